"""Driver errors, classed by what the caller should do next.

DriverError
├── DriverConfigError   a person must act: wrong pin, missing firmware, no region; do not retry
├── DriverLost          the device vanished or hung: close, back off, open again
└── TransmitRefused     this one frame cannot be sent; the driver is well
"""

from __future__ import annotations


class DriverError(Exception):
    """Base of everything a driver raises on purpose."""


class DriverConfigError(DriverError):
    """Only a person can mend this. ``fix`` says how, in words a technician can follow."""

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message if not fix else f"{message}; {fix}")
        self.fix = fix


class DriverLost(DriverError):
    """The device vanished, hung or was reset; opening it again may succeed."""


class TransmitRefused(DriverError):
    """This frame was not and will not be sent.

    ``reason`` is one word from a closed list, fit for a metric label: ``too_late``, ``too_early``,
    ``collision``, ``duty_cycle``, ``dwell_time``, ``frequency``, ``power``, ``size``, ``region_unset``,
    ``gps_unlocked``, ``queue_full``, ``no_route``, ``budget``, ``unsupported``. ``on_air``: a part of it may
    have left all the same, so its airtime stays spent.
    """

    def __init__(self, reason: str, message: str = "", *, on_air: bool = False) -> None:
        super().__init__(message or reason)
        self.reason = reason
        self.on_air = on_air
