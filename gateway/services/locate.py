"""Where the gateway stands and what time it is, by a GPS receiver: fixes into the timekeeper and the status.

None of it is needed. Without a fix the coordinator's or the host's time is used, and the configured position.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from drivers.base import DriverStats, Fix, Locator
from drivers.errors import DriverLost
from gateway.core.timekeeper import Timekeeper
from gateway.core.vitals import GpsVitals, Position
from gateway.model import TimeQuality

log = logging.getLogger(__name__)

FAR_M = 1000.0  # from where the configuration says: somebody copied it from another gateway
FRESH_S = 30.0  # a fix older than this is none
MOST_LATE_MS = 1000
RETIME_S = 3600.0  # our own crystal is off by 180 ms by then at the most
EARTH_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """The newest position, and when it came (monotonic seconds)."""

    position: Position
    at: float


class Locate:
    """The service and what it knows. Owned by the event loop; runs again after the receiver was lost."""

    def __init__(
        self, configured: tuple[float, float], timekeeper: Timekeeper, monotonic: Callable[[], float]
    ) -> None:
        self._configured = configured
        self._timekeeper = timekeeper
        self._monotonic = monotonic
        self._seen: _Seen | None = None
        self._timed_at = float("-inf")
        self._told_time = self._told_place = False

    async def follow(self, gps: Locator) -> None:
        """Take fixes until cancelled. Raises :class:`drivers.errors.DriverLost`."""
        async with gps:
            async for fix in gps.fixes():
                self.take(fix)
        raise DriverLost("the GPS driver ended by itself")

    def take(self, fix: Fix) -> None:
        """A fix a second; None in it is for what the receiver does not know."""
        if fix.unix_ns is not None:
            self._take_time(fix.unix_ns // 1_000_000)
        if fix.latitude_deg is None or fix.longitude_deg is None:
            return
        away_m = distance_m(self._configured, (fix.latitude_deg, fix.longitude_deg))
        position = Position(
            latitude_deg=fix.latitude_deg,
            longitude_deg=fix.longitude_deg,
            altitude_m=fix.altitude_m,
            from_configured_m=away_m,
        )
        self._seen = _Seen(position, self._monotonic())
        if not self._told_place:
            level = logging.WARNING if away_m > FAR_M else logging.INFO
            place = f"{fix.latitude_deg:.5f}, {fix.longitude_deg:.5f}"
            log.log(level, "position by GPS", extra={"position": place, "from_configured_m": round(away_m)})
            self._told_place = True

    def _take_time(self, unix_ms: int) -> None:
        """A receiver names a second some tenths late and never early: of many words the earliest is right."""
        now, at = self._timekeeper.now(), self._monotonic()
        late_ms = now.unix_ms - unix_ms
        fresh = at - self._timed_at < RETIME_S and now.quality is TimeQuality.GPS
        if fresh and 0 <= late_ms < MOST_LATE_MS:
            return
        if not self._timekeeper.hear(unix_ms, TimeQuality.GPS):
            return
        self._timed_at = at
        if not self._told_time:
            log.info("time by GPS", extra={"unix_ms": unix_ms})
            self._told_time = True

    def vitals(self, stats: DriverStats) -> GpsVitals:
        """What it knows now, beside its driver's own figures."""
        seen = self._seen
        fresh = seen is not None and self._monotonic() - seen.at <= FRESH_S
        return GpsVitals(fixed=fresh, position=None if seen is None else seen.position, stats=stats)


def distance_m(one: tuple[float, float], other: tuple[float, float]) -> float:
    """Between two places in degrees, over a sphere (haversine; within 0.6 %)."""
    (lat1, lon1), (lat2, lon2) = (tuple(map(math.radians, place)) for place in (one, other))
    half = (
        math.sin((lat2 - lat1) / 2) ** 2 + math.cos(lat1) * math.cos(lat2) * math.sin((lon2 - lon1) / 2) ** 2
    )
    return 2 * EARTH_M * math.asin(math.sqrt(min(1.0, half)))
