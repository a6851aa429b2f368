"""The GPS driver at a serial line, and frames stamped by its PPS."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Locator, PulseClock
from drivers.errors import DriverConfigError, DriverLost
from drivers.gps import GpsDriver, ubx
from drivers.lora_sx1301 import Sx1301Driver
from simulators.concentrator.rig import Rig
from simulators.concentrator.warp import WarpClock

NANO = 1_000_000_000


def sentence(body: str) -> bytes:
    checksum = 0
    for byte in body.encode():
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode()


GGA = sentence("GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,")
RMC = sentence("GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230326,003.1,W,A")


class Line:
    """The far end of a serial line."""

    def __init__(self) -> None:
        self._master, slave = os.openpty()
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave

    def say(self, data: bytes) -> None:
        os.write(self._master, data)

    async def hears(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += await asyncio.to_thread(os.read, self._master, size - len(data))
        return data

    def cut(self) -> None:
        for end in (self._master, self._slave):
            if end >= 0:
                os.close(end)
        self._master = self._slave = -1


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.cut()


def gps(line: Line, clock: Any = None) -> GpsDriver:
    return GpsDriver("gps", {"address": line.path}, clock=clock or WarpClock())


async def test_it_is_a_locator_and_asks_for_timegps(line: Line) -> None:
    assert isinstance(gps(line), Locator)
    async with gps(line):
        assert await line.hears(16) == ubx.ENABLE_TIMEGPS


async def test_a_fix_has_position_and_utc_from_nmea_alone(line: Line) -> None:
    async with gps(line) as receiver:
        line.say(b"\xff\x00noise\r\n" + RMC + GGA)
        fix = await anext(receiver.fixes())
        assert fix.latitude_deg == pytest.approx(48 + 7.038 / 60)
        assert fix.longitude_deg == pytest.approx(11 + 31 / 60)
        assert fix.altitude_m == pytest.approx(592.3)
        assert fix.unix_ns == 1_774_269_319 * NANO
        assert receiver.stats().frames == {"rmc": 1, "gga": 1, "malformed": 0}


async def test_closing_ends_the_fixes_and_twice_is_harmless(line: Line) -> None:
    async with gps(line) as receiver:
        fixes = receiver.fixes()
        line.say(GGA)
        await anext(fixes)
        reading = asyncio.ensure_future(anext(fixes, None))
        await asyncio.sleep(0)
    assert await reading is None
    await receiver.__aexit__(None, None, None)
    assert receiver.stats().note == ""


async def test_a_receiver_that_vanishes_or_falls_silent_is_lost(line: Line) -> None:
    async with gps(line) as receiver:
        line.say(GGA)
        fixes = receiver.fixes()
        await anext(fixes)
        await asyncio.to_thread(line.cut)
        with pytest.raises(DriverLost, match="is gone"):
            await anext(fixes)


async def test_silence_of_ten_seconds_is_a_lost_receiver(line: Line) -> None:
    async with gps(line, WarpClock(20)) as receiver:
        with pytest.raises(DriverLost, match="has been silent for"):
            await anext(receiver.fixes())


async def test_no_device_is_lost_and_a_wrong_setting_is_for_a_person() -> None:
    with pytest.raises(DriverLost, match="/dev/none cannot be opened"):
        async with GpsDriver("gps", {"address": "/dev/none"}, clock=WarpClock()):
            pass
    with pytest.raises(DriverConfigError, match="unknown setting 'port'"):
        GpsDriver("gps", {"port": 1}, clock=WarpClock())
    with pytest.raises(DriverConfigError, match="baud is 9601; u-blox receivers speak at 9600"):
        GpsDriver("gps", {"baud": 9601}, clock=WarpClock())


async def test_a_receiver_opened_for_someone_who_has_gone_is_closed_again(line: Line) -> None:
    """An open port that nobody closes is a ResourceWarning, and that a failure."""
    for _ in range(3):
        opening = asyncio.create_task(gps(line).__aenter__())
        await asyncio.sleep(0)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert await line.hears(16) == ubx.ENABLE_TIMEGPS
    async with gps(line) as receiver:
        line.say(GGA)
        assert (await anext(receiver.fixes())).satellites == 8


async def second(line: Line, rig: Rig, receiver: GpsDriver, unix_s: int, beside_ns: int = 0) -> int:
    """Wait for the model's next PPS, then let the receiver name that second. The counter of the pulse.

    ``beside_ns``: how far from the pulse the receiver solved for.
    """
    at_us = rig.clock.micros()
    pulse_us = (at_us // 1_000_000 + 1) * 1_000_000
    await rig.clock.sleep((pulse_us - at_us) / 1e6 + 0.05)
    week, tow = divmod(unix_s + 18 - ubx.GPS_EPOCH_UNIX_S, ubx.WEEK_S)
    payload = (
        (tow * 1000).to_bytes(4, "little")
        + beside_ns.to_bytes(4, "little", signed=True)
        + week.to_bytes(2, "little")
        + bytes((18, 7))
        + bytes(4)
    )
    seen = sum(value for name, value in receiver.stats().gauges.items() if name.startswith("pulses_"))
    line.say(ubx.frame(ubx.NAV_TIMEGPS, payload))
    while sum(v for name, v in receiver.stats().gauges.items() if name.startswith("pulses_")) == seen:
        await asyncio.sleep(0.005)
    return pulse_us


async def test_frames_are_stamped_with_gps_time_though_the_hosts_clock_is_wrong(
    line: Line, tmp_path: Path
) -> None:
    with Rig(tmp_path, rate=20) as rig:
        rig.clock.step_wall(-1_000_000)
        receiver = gps(line, rig.clock)
        async with receiver, Sx1301Driver("hill", rig.settings(), clock=rig.clock) as radio:
            rig.clock.set_rate(1.0)
            receiver.use_counter(radio.latched_counter_us)
            radio.use_time(receiver.reference)
            reading = asyncio.ensure_future(anext(receiver.fixes()))
            await second(line, rig, receiver, 1_800_000_000, beside_ns=400_000)
            pulse_us = await second(line, rig, receiver, 1_800_000_001, beside_ns=-300_000)
            assert receiver.stats().gauges["pulses_taken"] == 1
            rig.hear(b"snapshot")
            heard_us = rig.clock.micros()
            frame = await anext(radio.frames())
            assert frame.utc_from_radio
            ended_us = (frame.received_unix_ns - 1_800_000_001 * NANO) // 1000 + pulse_us
            assert -20_000 < ended_us - heard_us <= 100
            rig.set_fault("no_pps", True)
            await second(line, rig, receiver, 1_800_000_002)
            await second(line, rig, receiver, 1_800_000_003)
            assert receiver.stats().gauges["pulses_no_pps"] >= 1
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def test_another_counter_starts_over_and_utc_of_the_old_one_is_not_told() -> None:
    receiver = GpsDriver("gps", {}, clock=WarpClock())
    assert isinstance(receiver, PulseClock)
    receiver.reference.pulse(1_000_000, 1_800_000_000 * NANO)
    assert receiver.unix_ns_at(1_500_000) == 1_800_000_000 * NANO + NANO // 2

    async def latched() -> int:
        return 0

    receiver.use_counter(latched)
    assert receiver.unix_ns_at(1_500_000) is None
