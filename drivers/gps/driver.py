"""GPS driver: position and UTC once a second from a serial receiver.

NMEA is enough; a u-blox receiver is asked for NAV-TIMEGPS, which knows leap seconds and is used when it does.
Wired to a concentrator (:meth:`GpsDriver.use_counter`), each second also becomes a pulse of
:class:`drivers.gps.reference.TimeReference`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import serial

from drivers.base import Clock, DriverStats, Fix
from drivers.errors import DriverConfigError, DriverError, DriverLost
from drivers.gps import ubx
from drivers.gps.nmea import NANO, Gga, Rmc
from drivers.gps.reference import TimeReference, Verdict
from drivers.gps.stream import GpsStream
from drivers.gps.ubx import TimeGps

log = logging.getLogger(__name__)

READ_SIZE = 512
SILENCE_S = 10.0  # a receiver speaks each second, with or without a fix
DEFAULTS: Mapping[str, Any] = {"address": "/dev/ttyAMA0", "baud": 9600}


class GpsDriver:
    """A receiver that speaks NMEA. ``address`` is a serial device or a pyserial URL (``socket://...``)."""

    def __init__(self, name: str, settings: Mapping[str, Any], *, clock: Clock) -> None:
        unknown = sorted(settings.keys() - DEFAULTS.keys())
        if unknown:
            raise DriverConfigError(f"unknown setting {unknown[0]!r}", fix=f"known are {', '.join(DEFAULTS)}")
        chosen = {**DEFAULTS, **settings}
        self.reference = TimeReference()
        self._name, self._clock = name, clock
        self._address, self._baud = str(chosen["address"]), chosen["baud"]
        if type(self._baud) is not int or self._baud not in serial.Serial.BAUDRATES:
            raise DriverConfigError(f"baud is {self._baud!r}", fix="u-blox receivers speak at 9600")
        self._port: Any = None
        self._counter: Callable[[], Awaitable[int]] | None = None
        self._stream = GpsStream()
        self._fix = Fix(latitude_deg=None, longitude_deg=None, altitude_m=None, unix_ns=None)
        self._ubx_time = False  # NAV-TIMEGPS has given UTC: RMC is no longer needed for it
        self._messages: Counter[str] = Counter()
        self._pulses: Counter[Verdict] = Counter()

    def use_counter(self, latched_us: Callable[[], Awaitable[int]] | None) -> None:
        """Where to read the concentrator's linear counter as it was at the last PPS; pulses start over."""
        self._counter = latched_us
        self.reference = TimeReference()

    def unix_ns_at(self, counter_us: int) -> int | None:
        """UTC of that counter's value; None more than 30 s from the newest pulse."""
        return self.reference.unix_ns_at(counter_us)

    async def __aenter__(self) -> Self:
        opening = asyncio.ensure_future(asyncio.to_thread(self._open))
        try:
            self._port = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_again)
            raise
        except OSError as error:  # pyserial's exceptions are such
            if isinstance(error.__context__, PermissionError):
                raise DriverConfigError(
                    f"no permission to open {self._address}",
                    fix="add the gateway's user to the group dialout",
                ) from error
            raise DriverLost(f"GPS at {self._address} cannot be opened: {error}") from error
        return self

    def _open(self) -> Any:
        port = serial.serial_for_url(self._address, baudrate=self._baud, timeout=1.0, write_timeout=1.0)
        try:
            port.write(ubx.ENABLE_TIMEGPS)
        except BaseException:
            port.close()
            raise
        return port

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        port, self._port = self._port, None
        if port is not None:
            await asyncio.to_thread(port.close)

    async def fixes(self) -> AsyncIterator[Fix]:
        """A fix a second, with None for what is not known. Raises :class:`DriverLost`."""
        last_s = self._clock.monotonic()
        while (port := self._port) is not None:
            data = await self._read(port)
            now_s = self._clock.monotonic()
            if data:
                last_s = now_s
            elif now_s - last_s > SILENCE_S:
                raise DriverLost(f"GPS at {self._address} has been silent for {now_s - last_s:.0f} s")
            for message in self._stream.feed(data):
                if await self._absorb(message):
                    yield self._fix

    async def _read(self, port: Any) -> bytes:
        """What is there, at least a byte, or nothing within a second."""
        try:
            return bytes(await asyncio.to_thread(lambda: port.read(min(READ_SIZE, port.in_waiting or 1))))
        except (serial.SerialException, OSError, TypeError) as error:
            if self._port is None:
                return b""  # closed under the read, where pyserial raises TypeError
            raise DriverLost(f"GPS at {self._address} is gone: {error}") from error

    async def _absorb(self, message: Rmc | Gga | TimeGps) -> bool:
        """Take a message in; whether it completes the second's fix."""
        self._messages[type(message).__name__.lower()] += 1
        match message:
            case Gga():
                self._fix = replace(
                    self._fix,
                    latitude_deg=message.latitude_deg,
                    longitude_deg=message.longitude_deg,
                    altitude_m=message.altitude_m,
                    satellites=message.satellites,
                )
                return True
            case TimeGps(unix_ns=int(unix_ns)):
                self._ubx_time = True
                await self._second(unix_ns)
            case TimeGps():
                self._ubx_time = False
            case Rmc():
                if not self._ubx_time:
                    await self._second(message.unix_ns if message.valid else None)
        return False

    async def _second(self, unix_ns: int | None) -> None:
        """The receiver named the second that began with the last PPS."""
        self._fix = replace(self._fix, unix_ns=unix_ns)
        if unix_ns is None or self._counter is None:
            return
        try:
            counter_us = await self._counter()
        except DriverError as error:
            log.debug("%s: no counter to go with the second: %s", self._name, error)
            return
        self._pulses[self.reference.pulse(counter_us, whole_second(unix_ns))] += 1

    def stats(self) -> DriverStats:
        """Messages by kind; ``pulses_*`` say how PPS and counter agree."""
        gauges = {
            "satellites": float(self._fix.satellites),
            "crystal_drift_ppm": self.reference.drift_ppm,
            **{f"pulses_{verdict.value}": float(self._pulses[verdict]) for verdict in Verdict},
        }
        frames = {**self._messages, "malformed": self._stream.errors}
        note = "no fix" if self._fix.latitude_deg is None else ""
        return DriverStats(frames=frames, gauges=gauges, note=note)


def _close_again(opening: asyncio.Future[Any]) -> None:
    """Whoever asked for the port has gone; one that did not open has nothing to close."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()


def whole_second(unix_ns: int) -> int:
    """The second that a pulse began, of a solution for about then: u-blox receivers solve up to half a
    millisecond beside it (NAV-TIMEGPS, fTOW), which on the reference would be a drift of 500 ppm."""
    return (unix_ns + NANO // 2) // NANO * NANO
