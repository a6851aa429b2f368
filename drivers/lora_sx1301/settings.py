"""The driver's settings, checked."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.errors import DriverConfigError
from drivers.lora_sx1301.boards import Board, rak2245
from drivers.lora_sx1301.firmware import NAMES, SEMTECH_SHA256
from drivers.lora_sx1301.regions import Region, find_region


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a configuration can say of one concentrator.

    ``spi``: ``spidev:0.0`` or ``unix:PATH``. ``reset``: ``gpio:17``, ``unix:PATH`` or ``none`` (soft resets
    only). ``region`` None: receive only. ``duty`` False: whoever asks for emissions keeps the duty
    cycle. ``antenna_gain_db``: gain less cable loss, subtracted from the EIRP asked for. ``silence_s``: no
    shorter silence is ever taken for a dead receiver.
    """

    spi: str
    reset: str
    board: Board
    firmware: Path
    firmware_sha256: Mapping[str, str]
    region: Region | None
    duty: bool
    antenna_gain_db: float
    public: bool
    clock_hz: int
    watchdog_s: float
    silence_s: float


DEFAULTS: Mapping[str, Any] = {
    "address": "spidev:0.0",
    "reset": "gpio:17",
    "plan": "EU868",
    "gain_table": "rak_current",
    "firmware": "/var/lib/offgrid/firmware",
    "firmware_sha256": SEMTECH_SHA256,
    "region": None,
    "duty_cycle": True,
    "antenna_gain_dbi": 0.0,
    "public_network": True,
    "spi_hz": 2_000_000,
    "watchdog_s": 10.0,
    "silence_s": 600.0,
}


def parse_settings(values: Mapping[str, Any]) -> Settings:
    """Check the plain mapping of a configuration. Raises :class:`DriverConfigError`, naming the key."""
    unknown = sorted(values.keys() - DEFAULTS.keys())
    if unknown:
        raise DriverConfigError(f"unknown setting {unknown[0]!r}", fix=f"known are {', '.join(DEFAULTS)}")
    chosen = {**DEFAULTS, **values}
    address = str(chosen["address"])
    region = chosen["region"]
    return Settings(
        spi=address,
        # A simulator's pins come through one socket.
        reset=address if address.startswith("unix:") and "reset" not in values else str(chosen["reset"]),
        board=rak2245(str(chosen["plan"]), str(chosen["gain_table"])),
        firmware=Path(str(chosen["firmware"])),
        firmware_sha256=_digests(chosen["firmware_sha256"]),
        region=None if region is None else find_region(str(region)),
        duty=_flag(chosen, "duty_cycle"),
        antenna_gain_db=_number(chosen, "antenna_gain_dbi", -20, 20),
        public=_flag(chosen, "public_network"),
        clock_hz=int(_number(chosen, "spi_hz", 100_000, 8_000_000)),
        watchdog_s=_number(chosen, "watchdog_s", 0.1, 3600),
        silence_s=_number(chosen, "silence_s", 1, 86_400),
    )


def _number(values: Mapping[str, Any], key: str, low: float, high: float) -> float:
    value = values[key]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
        raise DriverConfigError(f"{key} is {value!r}", fix=f"use a number from {low} to {high}")
    return float(value)


def _flag(values: Mapping[str, Any], key: str) -> bool:
    value = values[key]
    if not isinstance(value, bool):
        raise DriverConfigError(f"{key} is {value!r}", fix="use true or false")
    return value


def _digests(value: object) -> Mapping[str, str]:
    """One for each image."""
    given = dict(value) if isinstance(value, Mapping) else {}
    fine = all(re.fullmatch("[0-9a-f]{64}", str(digest)) for digest in given.values())
    if not fine or set(given) != set(NAMES):
        raise DriverConfigError(
            f"firmware_sha256 is {value!r}", fix=f"give 64 hex digits for each of {', '.join(NAMES)}"
        )
    return {name: str(digest) for name, digest in given.items()}
