"""The receiver: what a second sounds like, and the terminal it speaks on. Shares no code with the driver."""

from __future__ import annotations

import contextlib
import os
import pty
import threading
import tty
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

LEAP_S = 18  # GPS is ahead of UTC since 2017
GPS_BEGAN_S = 315_964_800
ASKED_FOR = bytes((0x06, 0x01)) + (8).to_bytes(2, "little") + bytes((0x01, 0x20))  # CFG-MSG for NAV-TIMEGPS
SPOKEN_AFTER_US = 150_000  # a receiver names the second a little after its pulse


@dataclass(slots=True)
class Sky:
    """What is to be seen from where the receiver is; may be changed while it runs."""

    latitude_deg: float = -1.2921
    longitude_deg: float = 36.8219
    altitude_m: float = 1675.0  # above sea level
    geoid_m: float = -15.0  # sea level above the ellipsoid
    satellites: int = 9
    fixed: bool = True
    silent: bool = False  # the cable is pulled
    ubx: bool = True  # a receiver of another make ignores what it is asked


def sentence(body: str) -> bytes:
    """NMEA 0183: ``$``, body, ``*``, exclusive-or of the body in hex."""
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n".encode()


def spoken(sky: Sky, unix_s: int, *, timegps: bool) -> bytes:
    """All that the receiver says about one second."""
    at = datetime.fromtimestamp(unix_s, UTC)
    place = _place(sky) if sky.fixed else ",,,"
    clock, state = at.strftime("%H%M%S.00"), "A" if sky.fixed else "V"
    height = f"{sky.altitude_m:.1f},M,{sky.geoid_m:.1f},M" if sky.fixed else ",M,,M"
    said = sentence(f"GNRMC,{clock},{state},{place},0.0,,{at:%d%m%y},,,{state}")
    said += sentence(f"GNGGA,{clock},{place},{int(sky.fixed)},{sky.satellites:02d},0.9,{height},,")
    return said + (_timegps(unix_s, valid=sky.fixed) if timegps else b"")


def _place(sky: Sky) -> str:
    return f"{_degrees(sky.latitude_deg, 2, 'NS')},{_degrees(sky.longitude_deg, 3, 'EW')}"


def _degrees(value: float, width: int, names: str) -> str:
    """Degrees and minutes in one number, as NMEA has it."""
    whole, part = divmod(abs(value), 1)
    return f"{int(whole):0{width}d}{60 * part:08.5f},{names[value < 0]}"


def _timegps(unix_s: int, *, valid: bool) -> bytes:
    """UBX-NAV-TIMEGPS: time of week, week, leap seconds, validity, accuracy."""
    week, of_week = divmod(unix_s - GPS_BEGAN_S + LEAP_S, 604_800)
    payload = (
        (of_week * 1000).to_bytes(4, "little")
        + (0).to_bytes(4, "little")
        + week.to_bytes(2, "little")
        + bytes((LEAP_S, 0x07 if valid else 0x00))
        + (30).to_bytes(4, "little")
    )
    body = bytes((0x01, 0x20)) + len(payload).to_bytes(2, "little") + payload
    a = b = 0
    for byte in body:
        a = (a + byte) % 256
        b = (b + a) % 256
    return b"\xb5\x62" + body + bytes((a, b))


class GpsReceiver:
    """A context manager; ``path`` is the terminal to open.

    ``micros`` is the clock that the pulses are on: one falls where it is ``phase_us`` past a whole second,
    and that second is ``unix_at_zero_s`` later than the clock says.
    """

    def __init__(
        self, micros: Callable[[], int], *, unix_at_zero_s: int, phase_us: int = 0, tick_s: float = 0.005
    ) -> None:
        self.sky = Sky()
        self.path = ""
        self._micros, self._zero_s, self._phase_us, self._tick_s = micros, unix_at_zero_s, phase_us, tick_s
        self._asked = False
        self._over = threading.Event()
        self._master = self._slave = -1
        self._thread = threading.Thread(target=self._speak, name="gps", daemon=True)

    def __enter__(self) -> GpsReceiver:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)

    def unix_ns_at(self, micros: int) -> int:
        """True time at a moment of the clock."""
        return (micros - self._phase_us) * 1000 + self._zero_s * 1_000_000_000

    def _speak(self) -> None:
        told = self._second()
        while not self._over.wait(self._tick_s):
            self._listen()
            second = self._second()
            if second != told:
                told = second
                self._say(self._zero_s + second)

    def _second(self) -> int:
        return (self._micros() - self._phase_us - SPOKEN_AFTER_US) // 1_000_000

    def _listen(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._asked |= ASKED_FOR in os.read(self._master, 4096)

    def _say(self, unix_s: int) -> None:
        if self.sky.silent:
            return
        with contextlib.suppress(BlockingIOError):  # nobody reads: a serial line loses what is not read
            os.write(self._master, spoken(self.sky, unix_s, timegps=self._asked and self.sky.ubx))
