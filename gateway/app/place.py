"""GPS as a service, and between a concentrator and it: counter at each PPS one way, UTC of the counter back.

Either driver may be lost and built anew at any time; each new pair starts over.
"""

from __future__ import annotations

from drivers.base import CounterLatch, Driver, DriverStats, Locator, PulseClock
from drivers.errors import DriverConfigError, DriverLost
from drivers.registry import load_driver
from gateway.clock import Clock
from gateway.config import Config, gps_setup
from gateway.core.timekeeper import Timekeeper
from gateway.core.vitals import GpsVitals
from gateway.services.locate import Locate
from gateway.services.supervision import Service


class Place:
    """Nothing at all where no ``gps`` is configured."""

    def __init__(self, config: Config, timekeeper: Timekeeper, clock: Clock) -> None:
        where = config.gateway.location
        self._setup = gps_setup(config)
        self._clock = clock
        self._locate = Locate((where.lat, where.lon), timekeeper, clock.monotonic)
        self._gps: Driver | None = None
        self._latch: CounterLatch | None = None

    def services(self) -> dict[str, Service]:
        """``gps``, where it is configured."""
        return {} if self._setup is None else {"gps": self._run}

    def vitals(self) -> GpsVitals | None:
        """How it fares; None where there is none."""
        if self._setup is None:
            return None
        return self._locate.vitals(DriverStats() if self._gps is None else self._gps.stats())

    def radio_built(self, radio: Driver) -> None:
        """A radio's driver was built, perhaps once more: the newest that latches its counter is used."""
        if self._setup is None or not isinstance(radio, CounterLatch):
            return
        self._latch = radio
        radio.use_time(self)
        self._pair()

    def unix_ns_at(self, counter_us: int) -> int | None:
        """UTC of the concentrator's linear counter, while PPS says it."""
        return self._gps.unix_ns_at(counter_us) if isinstance(self._gps, PulseClock) else None

    async def _run(self) -> None:
        setup = self._setup
        assert setup is not None  # noqa: S101 - there is no such service without
        self._gps = gps = load_driver(setup.driver)(setup.name, setup.settings, clock=self._clock)
        if not isinstance(gps, Locator):
            raise DriverConfigError(f"driver {setup.driver!r} tells no fixes", fix="name a GPS driver")
        self._pair()
        await self._locate.follow(gps)

    def _pair(self) -> None:
        if isinstance(self._gps, PulseClock) and self._latch is not None:
            self._gps.use_counter(self._latched_us)

    async def _latched_us(self) -> int:
        if self._latch is None:
            raise DriverLost("no concentrator")
        return await self._latch.latched_counter_us()
