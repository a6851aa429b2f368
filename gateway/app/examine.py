"""What ``doctor`` examines, put together: for the command line, and for the daemon about itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from drivers.base import SelfTesting
from drivers.errors import DriverConfigError
from drivers.registry import load_driver
from gateway.config import RadioSetup, load, radio_setups
from gateway.errors import ConfigError
from gateway.services.doctor import Finding, Host, Patient, Verdict, document, examine
from gateway.systemclock import SystemClock

VERDICTS: Mapping[str, Verdict] = {"pass": "pass", "warn": "warn", "fail": "fail"}


def patient_at(config_path: Path, status: Mapping[str, Any] | None, host: Host | None = None) -> Patient:
    """The machine with the configuration at ``config_path``, sound or not; ``status`` None: stopped."""
    host = host or Host()
    try:
        config = load(config_path, clock=SystemClock())
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
        return Patient(host=host, config_path=config_path, problems=problems, status=status)
    return Patient(host=host, config_path=config_path, config=config, status=status)


async def radios_tested(patient: Patient, told: Callable[[Finding], None]) -> list[Finding]:
    """Each radio's own test of its hardware; nothing is sent. Those that a gateway holds are left alone."""
    if patient.config is None:
        return []
    services = {} if patient.status is None else patient.status["services"]
    findings = []
    for setup in radio_setups(patient.config):
        if services.get(setup.name, {"state": "halted"})["state"] == "halted":
            async for finding in _tested(setup):
                told(finding)
                findings.append(finding)
    return findings


async def _tested(setup: RadioSetup) -> AsyncIterator[Finding]:
    why = f"a step of {setup.driver}'s own test"
    try:
        driver = load_driver(setup.driver)(setup.name, setup.settings, clock=SystemClock())
    except DriverConfigError as error:
        yield Finding(setup.name, "fail", str(error).removesuffix(f"; {error.fix}"), why, error.fix)
        return
    if isinstance(driver, SelfTesting):
        async for check in driver.self_test():
            yield Finding(f"{setup.name}: {check.name}", VERDICTS[check.verdict], check.seen, why, check.fix)


async def examined(config_path: Path, status: Mapping[str, Any]) -> Mapping[str, object]:
    """The findings as :func:`gateway.services.doctor.document`, from within the daemon."""
    return await asyncio.to_thread(lambda: document(examine(patient_at(config_path, status))))
