"""What a person may set for a GSM modem, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from drivers.errors import DriverConfigError

BY_ID = "/dev/serial/by-id/*"
# Bounds of the numbers: name -> lowest, highest
BOUNDS: Mapping[str, tuple[float, float]] = {
    "interface": (0, 255),
    "baud": (1200, 4_000_000),
    "queue": (1, 4096),
    "max_parts": (1, 255),
    "per_minute": (1, 60),
    "per_day": (0, 100_000),
    "per_day_reserve": (0, 100_000),
    "attempts": (1, 100),
    "sweep_s": (1, 3600),
    "poll_s": (1, 3600),
    "answer_s": (0.1, 60),
    "send_s": (1, 600),
    "restart_s": (0.1, 300),
    "reset_interval_s": (0, 86_400),
    "parts_expire_h": (1, 24 * 14),
    "message_expire_h": (1, 24 * 14),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GsmSettings:
    """``port``: a path, or a pattern of which the AT port is found; ``interface``: its USB interface number,
    None for what is known of the maker. ``pin``: tried once. ``spool``: directory of what must survive.

    Sending: ``per_minute`` and ``per_day`` bound messages (each part is one, each is paid for), the last
    ``per_day_reserve`` of a day are for priority 0; ``max_parts`` of one message; ``status_reports``: ask for
    them; ``attempts`` until a message is set aside, ``message_expire_h`` until it is given up.

    Times: ``sweep_s`` between looks into all storages, ``poll_s`` between looks at signal and registration,
    ``answer_s`` a command may take, ``send_s`` a message: TS 27.005 leaves it open, slow networks take 60 to
    120, but a modem that died with a message in hand is found no sooner, and what comes twice is joined once.
    ``restart_s`` a restart. ``may_reset_bearer``: CFUN and the power pin may be used on a modem that does not
    answer, at most each ``reset_interval_s``; they drop a data connection over the same modem. ``power_pin``:
    address of the line (:mod:`drivers.transport.gpio`).
    """

    port: str = BY_ID
    interface: int | None = None
    baud: int = 115_200
    pin: str = ""
    spool: Path | None = None
    queue: int = 256
    max_parts: int = 10
    per_minute: int = 8
    per_day: int = 300
    per_day_reserve: int = 20
    status_reports: bool = True
    attempts: int = 5
    sweep_s: float = 30.0
    poll_s: float = 30.0
    answer_s: float = 5.0
    send_s: float = 50.0
    restart_s: float = 30.0
    may_reset_bearer: bool = False
    reset_interval_s: float = 600.0
    power_pin: str = ""
    parts_expire_h: float = 48.0
    message_expire_h: float = 24.0

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> GsmSettings:
        """Raises :class:`DriverConfigError` that names the setting, what was seen and what is allowed."""
        known = {field.name: field for field in fields(cls)}
        if unknown := sorted(set(settings) - set(known)):
            raise DriverConfigError(
                f"unknown setting {unknown[0]!r}", fix=f"use one of {', '.join(sorted(known))}"
            )
        return cls(**{name: _checked(name, str(known[name].type), value) for name, value in settings.items()})


def _checked(name: str, kind: str, value: Any) -> Any:
    if value is None and "None" in kind:
        return None
    if name in BOUNDS:
        return _number(name, value, whole=kind.startswith("int"))
    if kind == "bool":
        if not isinstance(value, bool):
            raise DriverConfigError(f"{name} is {value!r}", fix="give true or false")
        return value
    text = str(value)
    if not isinstance(value, str | Path | int) or isinstance(value, bool):
        raise DriverConfigError(f"{name} is {value!r}", fix="give text")
    if name == "pin" and not (text.isascii() and text.isdecimal() and 4 <= len(text) <= 8):
        raise DriverConfigError("pin is not a PIN", fix="give 4 to 8 digits, in quotes")
    return Path(text) if "Path" in kind else text


def _number(name: str, value: Any, *, whole: bool) -> float | int:
    low, high = BOUNDS[name]
    right_kind = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not right_kind or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise DriverConfigError(f"{name} is {value!r}", fix=f"give {what} from {low:g} to {high:g}")
    return int(value) if whole else float(value)
