"""All checks, in the order in which a technician would look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

from gateway.services.doctor import (
    bluetooth,
    clock,
    daemon,
    database,
    disk,
    gpio,
    gps,
    hardware,
    keys,
    modem,
    network,
    serial,
    software,
    spi,
)
from gateway.services.doctor.check import Check, Finding, Outcome, Patient

CHECKS: tuple[Check, ...] = (
    *software.CHECKS,
    *daemon.CHECKS,
    *hardware.CHECKS,
    *spi.CHECKS,
    *gpio.CHECKS,
    *serial.CHECKS,
    *modem.CHECKS,
    *bluetooth.CHECKS,
    *gps.CHECKS,
    *clock.CHECKS,
    *disk.CHECKS,
    *database.CHECKS,
    *keys.CHECKS,
    *network.CHECKS,
)

FILES = frozenset({"keys", "certificate", "coordinator-key", "firmware", "folders"})
"""What `check-config` asks too: the files that the configuration names."""


def examine(
    patient: Patient, only: Collection[str] = (), told: Callable[[Finding], None] = lambda _: None
) -> list[Finding]:
    """Every check, or those named; ``told`` hears each finding as it comes. Raises nothing by itself."""
    findings = []
    for check in CHECKS:
        if only and check.name not in only:
            continue
        finding = _finding(check, patient)
        told(finding)
        findings.append(finding)
    return findings


def _finding(check: Check, patient: Patient) -> Finding:
    if check.needs_config and patient.config is None:
        outcome = Outcome("skip", "the configuration is not sound")
    else:
        try:
            outcome = check.look(patient)
        except Exception as error:  # one check that breaks on a strange machine must not hide the others
            outcome = Outcome("warn", f"could not be examined: {type(error).__name__}: {error}", "report it")
    return Finding(check.name, outcome.verdict, outcome.seen, check.why, outcome.fix)


def names() -> Iterator[str]:
    """Of all checks."""
    return (check.name for check in CHECKS)
