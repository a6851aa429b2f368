"""What ``doctor`` examines, put together: for the command line, and for the daemon about itself."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config import load
from gateway.errors import ConfigError
from gateway.services.doctor import Host, Patient, document, examine
from gateway.systemclock import SystemClock


def patient_at(config_path: Path, status: Mapping[str, Any] | None, host: Host | None = None) -> Patient:
    """The machine with the configuration at ``config_path``, sound or not; ``status`` None: stopped."""
    host = host or Host()
    try:
        config = load(config_path, clock=SystemClock())
    except ConfigError as error:
        problems = [str(problem) for problem in error.problems]
        return Patient(host=host, config_path=config_path, problems=problems, status=status)
    return Patient(host=host, config_path=config_path, config=config, status=status)


async def examined(config_path: Path, status: Mapping[str, Any]) -> Mapping[str, object]:
    """The findings as :func:`gateway.services.doctor.document`, from within the daemon."""
    return await asyncio.to_thread(lambda: document(examine(patient_at(config_path, status))))
