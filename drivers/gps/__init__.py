"""GPS receivers over serial: where the gateway is, and what time its concentrator's counter means."""

from __future__ import annotations

from drivers.gps.driver import GpsDriver

__all__ = ["GpsDriver"]
