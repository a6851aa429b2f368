"""GPS, PPS and beacons through the whole daemon, and a Pi's hardware configured where there is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from concentrator_house import ANSWER_RATE, RATE, ROWS, SMALL, Home, home
from daemon_rig import command

from drivers.base import Frame
from gateway.core.lora.airtime import airtime_us
from gateway.services.metrics import Metrics
from simulators.concentrator.rig import Rig
from simulators.gps.receiver import GpsReceiver
from simulators.lora.frames import BATCH, read_downlink
from simulators.textbook.cbor import decode

NAIROBI = {"lat": -1.2921, "lon": 36.8219, "name": "Nairobi"}
TRUE_S = 1_830_000_000  # 2027-12-28: not what the host believes


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    board = tmp_path / "board"
    board.mkdir()
    with Rig(board, rate=RATE) as rig:
        yield rig


@pytest.fixture
def gps(rig: Rig) -> Iterator[GpsReceiver]:
    zero_s = TRUE_S - rig.clock.micros() // 1_000_000
    with GpsReceiver(rig.clock.micros, unix_at_zero_s=zero_s) as receiver:
        yield receiver


async def status(there: Home, wanted: Any) -> dict[str, Any]:
    """The status as soon as ``wanted`` holds of it."""
    while not wanted(told := await there.get("/status")):
        await asyncio.sleep(0.02)
    assert isinstance(told, dict)
    return told


def sections(gps: GpsReceiver) -> dict[str, Any]:
    gateway = {"location": NAIROBI}
    return {"gps": {"address": gps.path}, "gateway": gateway}


async def test_a_gps_with_pps_tells_place_time_and_each_frames_moment_under_a_wrong_host_clock(
    rig: Rig,
    gps: GpsReceiver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig.clock.step_wall(-40 * 365 * 86_400)
    frames: list[Frame] = []
    heard = Metrics.heard

    def kept(metrics: Metrics, frame: Frame) -> None:
        frames.append(frame)
        heard(metrics, frame)

    monkeypatch.setattr(Metrics, "heard", kept)
    async with home(tmp_path, rig, caplog, monkeypatch, **sections(gps)) as there:
        await there.until(lambda: rig.chip.receiving)
        rig.clock.set_rate(ANSWER_RATE)  # a second must be told before the next pulse
        told = await status(there, lambda told: told["gps"]["gauges"].get("pulses_taken", 0) >= 2)
        assert told["time"]["quality"] == 3
        assert abs(told["time"]["unixMs"] / 1000 - gps.unix_ns_at(rig.clock.micros()) / 1e9) < 2
        assert told["gps"]["position"]["fromConfiguredM"] < 5
        assert told["gps"]["position"]["altitudeM"] == 1660.0
        before_ns = gps.unix_ns_at(rig.clock.micros())
        await there.heard_by_lora(SMALL[0])
        assert all(frame.utc_from_radio for frame in frames)
        assert 0 <= frames[0].received_unix_ns - before_ns < 100_000_000
        heard_there = 'gateway_radio_channel_frames_total{channel="0",mhz="868.1",radio="lora"'
        while heard_there not in (page := await there.metrics()):
            await asyncio.sleep(0.02)  # a reading is kept for a moment
        assert "gateway_time_quality 3.0" in page
        assert "gateway_gps_fixed 1.0" in page
        assert "gateway_gps_crystal_drift_ppm" in page
        assert 'gateway_lora_figure{figure="exchanges",radio="lora"} 1.0' in page
        code, out, _ = await command("radios", "--config", str(there.house.config))
        assert code == 0
        assert "lora  works for" in out
        assert "868.100    7" in out
        assert "airtime in the hour, sub-band M" in out
        assert "gps  fixed at -1.2921, 36.8219, 0 m from" in out


async def test_without_pps_there_is_time_and_no_pulse(
    rig: Rig,
    gps: GpsReceiver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig.set_fault("no_pps", True)
    gps.sky.ubx = False
    async with home(tmp_path, rig, caplog, monkeypatch, **sections(gps)) as there:
        told = await status(there, lambda told: told["gps"]["gauges"].get("pulses_no_pps", 0) >= 2)
        assert told["time"]["quality"] == 3
        assert told["gps"]["gauges"]["pulses_taken"] == 0
        await there.until(lambda: rig.chip.receiving)
        await there.heard_by_lora(SMALL[0])


async def test_a_gps_that_is_not_there_costs_nothing_else(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home(tmp_path, rig, caplog, monkeypatch, gps={"address": str(tmp_path / "none")}) as there:
        told = await status(there, lambda told: told["services"]["gps"]["state"] == "waiting")
        assert f"GPS at {tmp_path / 'none'} cannot be opened" in told["services"]["gps"]["reason"]
        await there.until(lambda: rig.chip.receiving)
        await there.heard_by_lora(SMALL[0])
        assert (await there.post(ROWS[0])).status == 200


async def test_a_pulled_cable_is_named_and_mended_and_a_far_position_is_told(
    rig: Rig,
    gps: GpsReceiver,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gps.sky.latitude_deg = -4.05
    async with home(tmp_path, rig, caplog, monkeypatch, **sections(gps)) as there:
        told = await status(there, lambda told: told["gps"]["fixed"])
        assert 300_000 < told["gps"]["position"]["fromConfiguredM"] < 310_000
        gps.sky.silent = True
        told = await status(there, lambda told: told["services"]["gps"]["state"] == "waiting")
        assert "has been silent for" in told["services"]["gps"]["reason"]
        gps.sky.silent = False
        await status(there, lambda told: told["services"]["gps"]["state"] == "running")
        await status(there, lambda told: told["gps"]["gauges"].get("pulses_taken", 0) >= 1)


async def test_the_beacon_goes_out_with_the_configured_rate_and_power(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lora = {"frequency": 868, "region": "EU868", "driver": "lora_sx1301", "options": rig.settings()}
    rate = {"spreading_factor": 10, "bandwidth": 125, "tx_power": 20, "beacon_seconds": 60}
    async with home(tmp_path, rig, caplog, monkeypatch, lora={**lora, **rate}) as there:
        await there.until(lambda: rig.chip.receiving)
        rig.clock.set_rate(ANSWER_RATE)
        await there.until(lambda: len(rig.emissions()) == 1)
        (first,) = rig.emissions()
        frame = read_downlink(first.payload)
        assert frame is not None
        assert (frame.kind, frame.index, frame.total) == (BATCH, 0, 1)
        beacon = decode(frame.body)
        assert isinstance(beacon, list)
        assert beacon[:2] == [22, "gw_e2e"]
        assert beacon[6] is None  # no checkpoint: it fits one frame
        assert (first.spreading_factor, first.bandwidth_hz, first.inverted_iq) == (10, 125_000, True)
        assert abs(first.frequency_hz - 869_525_000) < 62
        assert first.end_us - first.start_us == pytest.approx(
            airtime_us(len(first.payload), spreading_factor=10, bandwidth_hz=125_000, crc=False), rel=0.01
        )
        while 'gateway_lora_events_total{event="sent_none",radio="lora"} 1.0' not in await there.metrics():
            await asyncio.sleep(0.02)


async def test_off_a_pi_what_is_missing_is_said_and_how_to_simulate_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is an SPI device and a board, this is a Pi: tests/hardware has the word there."""
    lora = {
        "frequency": 868,
        "region": "EU868",
        "driver": "lora_sx1301",
        "options": {"address": "spidev:7.3"},
    }
    async with home(tmp_path, None, caplog, monkeypatch, lora=lora) as there:
        told = await there.service(state="halted")
        assert "spidev" in told["reason"]
        assert "python -m simulators.concentrator --socket PATH --firmware FOLDER" in told["reason"]
        assert there.said("python -m simulators.concentrator")
        assert (await there.post(ROWS[0])).status == 200
        health = await there.get("/health")
        assert health["score"] <= 50
        assert "spidev" in json.dumps(health["reasons"])


async def test_airtime_is_remembered_by_the_next_daemon(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home(tmp_path, rig, caplog, monkeypatch) as there:
        await there.until(lambda: rig.chip.receiving)
        sent = await there.heard_by_lora(SMALL[0])
        while not any((used := (await there.service())["dutyUsedSeconds"]).values()):
            await asyncio.sleep(0.02)  # a status may be kept for a while
        band = "M" if sent.frequency_hz < 869_000_000 else "P"
        assert used[band] == pytest.approx((sent.end_us - sent.start_us) / 1e6, rel=0.01)
    caplog.clear()
    again = tmp_path / "again"
    again.mkdir()
    (tmp_path / "airtime.json").rename(again / "airtime.json")
    async with home(again, rig, caplog, monkeypatch) as there:
        assert (await there.service())["dutyUsedSeconds"] == used
