"""What drivers.base promises, kept by the SX1301 driver over the register model."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Frame, LoraDownlink, Receiver, Transmitter, TxReceipt, TxRequest
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.lora_sx1301 import Sx1301Driver, concentrator, driver, regions, transmitter
from simulators.concentrator.air import Emission
from simulators.concentrator.rig import Rig

OPEN_RATE = 20.0  # opening waits 2.9 s of the clock's time
ANSWER_RATE = 0.15  # an answer is programmed 30 ms before it leaves; a busy host wakes later than that


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, rate=OPEN_RATE) as rig:
        yield rig


@asynccontextmanager
async def opened(rig: Rig, **settings: Any) -> AsyncIterator[Sx1301Driver]:
    """A driver at the model, at true speed once it is open."""
    async with Sx1301Driver("hill", rig.settings(**settings), clock=rig.clock) as radio:
        rig.clock.set_rate(1.0)
        yield radio
        rig.clock.set_rate(OPEN_RATE)
    assert not rig.chip.violations


async def next_frame(radio: Sx1301Driver) -> Frame:
    return await anext(radio.frames())


def downlink(**changes: Any) -> LoraDownlink:
    settings: dict[str, Any] = {
        "frequency_hz": 869_525_000,
        "spreading_factor": 7,
        "bandwidth_hz": 125_000,
        **changes,
    }
    return LoraDownlink(**settings)


def request(
    payload: bytes = b"promise", priority: int = 1, timeout_s: float = 10.0, **changes: Any
) -> TxRequest:
    return TxRequest(payload=payload, lora=downlink(**changes), priority=priority, timeout_s=timeout_s)


async def refusal(radio: Sx1301Driver, asked: TxRequest) -> str:
    with pytest.raises(TransmitRefused) as caught:
        await radio.transmit(asked)
    return caught.value.reason


# -- life


async def test_it_is_a_receiver_and_a_transmitter_and_touches_nothing_before_it_is_opened(rig: Rig) -> None:
    radio = Sx1301Driver("hill", rig.settings(address="unix:/nowhere"), clock=rig.clock)
    assert isinstance(radio, Receiver)
    assert isinstance(radio, Transmitter)
    assert radio.stats().frames == {}
    assert await refusal(radio, request()) == "no_route"


async def test_frames_end_when_we_close_and_what_was_read_is_still_given(rig: Rig) -> None:
    heard: list[bytes] = []
    async with opened(rig) as radio:
        rig.hear(b"last words")
        heard.append((await next_frame(radio)).payload)
    assert heard == [b"last words"]
    assert [frame async for frame in radio.frames()] == []
    await radio.__aexit__(None, None, None)
    assert radio.stats().frames == {"ok": 1}
    assert await refusal(radio, request()) == "no_route"


async def test_closing_releases_the_chip_and_it_can_be_opened_again(rig: Rig) -> None:
    for turn in range(2):
        rig.clock.set_rate(OPEN_RATE)
        async with opened(rig) as radio:
            rig.hear(bytes((turn,)))
            assert (await next_frame(radio)).payload == bytes((turn,))
        assert not rig.chip.receiving


async def test_what_an_opening_before_this_one_heard_is_not_given_with_a_counter_that_began_anew(
    rig: Rig,
) -> None:
    async with opened(rig) as radio:
        rig.hear(b"before")
        while not radio.stats().frames.get("ok"):
            await rig.clock.sleep(0.01)
    rig.clock.set_rate(OPEN_RATE)
    async with radio:
        rig.clock.set_rate(1.0)
        rig.hear(b"after")
        assert (await next_frame(radio)).payload == b"after"


async def test_a_vanished_device_is_driver_lost_and_says_so(rig: Rig) -> None:
    async with opened(rig) as radio:
        rig.set_fault("spi_gone", True)
        with pytest.raises(DriverLost, match=r"SPI at unix:.* failed: SPI device vanished"):
            await next_frame(radio)
        assert "vanished" in radio.stats().note
        assert await refusal(radio, request()) == "no_route"


async def test_the_queue_is_bounded_and_drops_the_newest(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "QUEUE_DEPTH", 3)
    async with opened(rig) as radio:
        for n in range(5):
            rig.hear(bytes((n,)))
        while radio.stats().frames.get("queue_full", 0) < 2:
            await rig.clock.sleep(0.01)
        frames = radio.frames()
        assert [(await anext(frames)).payload for _ in range(3)] == [b"\0", b"\1", b"\2"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"plan": "AS923"}, "no channel plan 'AS923'; use one of EU868, US915"),
        ({"region": "MARS"}, "no transmit rules for region 'MARS'"),
        ({"antenna_gain_dbi": "high"}, "antenna_gain_dbi is 'high'"),
        ({"antena_gain": 3}, "unknown setting 'antena_gain'"),
    ],
)
def test_a_wrong_setting_is_named_at_once(rig: Rig, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(DriverConfigError, match=message):
        Sx1301Driver("hill", rig.settings(**settings), clock=rig.clock)


# -- receive


async def test_a_frame_carries_what_the_chip_measured_and_when_it_ended(rig: Rig) -> None:
    async with opened(rig) as radio:
        counter = rig.hear(b"snapshot", spreading_factor=9, rssi_dbm=-107.0, snr_db=-6.25)
        now_ns = rig.clock.unix_ns()
        frame = await next_frame(radio)
        assert frame.lora is not None
        assert frame.lora.counter_us % (1 << 32) != 0
        assert (frame.radio, frame.payload) == ("hill", b"snapshot")
        assert (frame.lora.frequency_hz, frame.lora.spreading_factor) == (868_100_000, 9)
        assert (frame.lora.bandwidth_hz, frame.lora.coding_rate, frame.lora.channel) == (125_000, "4/5", 0)
        assert (frame.lora.rssi_dbm, frame.lora.snr_db) == (-107.0, -6.25)
        assert frame.lora.airtime_us == 123_904
        assert abs(frame.received_unix_ns - now_ns) < 1e9
        assert not frame.utc_from_radio
        later = rig.hear(b"another")
        second = await next_frame(radio)
        assert second.lora is not None
        assert second.lora.counter_us - frame.lora.counter_us == later - counter


async def test_bad_and_missing_crcs_are_counted_and_dropped(rig: Rig) -> None:
    async with opened(rig) as radio:
        for crc in ("bad", "missing", "bad", "ok"):
            rig.hear(crc.encode(), crc=crc)
        assert (await next_frame(radio)).payload == b"ok"
        assert radio.stats().frames == {"crc_bad": 2, "crc_missing": 1, "ok": 1}
        (row,) = radio.stats().channels
        assert (row.channel, row.spreading_factor, row.frames, row.crc_errors) == (0, 7, 1, 2)


@pytest.mark.parametrize("plan", ["EU868", "US915"])
async def test_each_channel_of_the_plan_is_heard(rig: Rig, plan: str) -> None:
    async with opened(rig, plan=plan) as radio:
        board = radio._settings.board
        for chain in range(8):
            rig.hear(bytes((chain,)), frequency_hz=board.frequency_hz(chain), spreading_factor=7 + chain % 6)
        frames = radio.frames()
        heard = [await anext(frames) for _ in range(8)]
        assert [frame.lora.channel for frame in heard if frame.lora] == list(range(8))


async def test_timestamps_stay_right_over_the_counters_wrap_and_a_step_of_the_hosts_clock(
    tmp_path: Path,
) -> None:
    wrap = 1 << 32
    with Rig(tmp_path, rate=OPEN_RATE, counter_at_start=wrap - 20_000_000) as rig:
        async with opened(rig, region="EU868") as radio:
            heard: list[tuple[int, Frame]] = []
            frames = radio.frames()
            for n in range(4):
                heard.append((rig.hear(bytes((n,))), await anext(frames)))
                if n == 1:
                    rig.clock.step_wall(-86_400.0)
                    rig.clock.set_rate(OPEN_RATE)  # to the other side of the wrap
                    await rig.clock.sleep(20.0)
                    rig.clock.set_rate(1.0)
            raw = [counter for counter, _ in heard]
            assert raw[0] > wrap // 2 > raw[3]
            linear = [frame.lora.counter_us for _, frame in heard if frame.lora]
            assert [b - a for a, b in itertools.pairwise(linear)] == [
                (b - a) % wrap for a, b in itertools.pairwise(raw)
            ]
            receipt, sent = await answer(rig, radio, request(counter_us=linear[3] + 300_000))
            assert sent.counter_us == (raw[3] + 300_000) % wrap
            assert receipt.counter_us == linear[3] + 300_000
            assert radio.stats().gauges["resets_soft"] == 0


# -- transmit


async def answer(rig: Rig, radio: Sx1301Driver, asked: TxRequest) -> tuple[TxReceipt, Emission]:
    rig.clock.set_rate(ANSWER_RATE)
    receipt = await radio.transmit(asked)
    rig.clock.set_rate(1.0)
    return receipt, rig.emissions()[-1]


async def test_an_answer_leaves_exactly_one_second_after_the_uplinks_end(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        counter = rig.hear(b"snapshot")
        frame = await next_frame(radio)
        assert frame.lora is not None
        await rig.clock.sleep(0.8)
        receipt, sent = await answer(rig, radio, request(counter_us=frame.lora.counter_us + 1_000_000))
        assert sent.counter_us == (counter + 1_000_000) % (1 << 32)
        assert receipt.confirmed
        assert receipt.airtime_us == sent.end_us - sent.start_us == 30_976
        assert (sent.payload, sent.inverted_iq, sent.crc) == (b"promise", True, False)
        assert abs(sent.frequency_hz - 869_525_000) < 62
        assert radio.stats().transmits == {"sent": 1}
        assert radio.stats().gauges["deaf_s"] == pytest.approx(0.030976)


async def test_a_frame_without_a_time_leaves_as_soon_as_possible_and_others_queue_behind_it(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        rig.clock.set_rate(ANSWER_RATE)
        texts = [bytes((n,)) for n in range(3)]
        await asyncio.gather(*(radio.transmit(request(text)) for text in texts))
        sent = rig.emissions()
        assert [one.payload for one in sent] == texts
        assert all(a.end_us < b.start_us for a, b in itertools.pairwise(sent))


async def test_nothing_is_sent_while_the_region_is_unset(rig: Rig) -> None:
    async with opened(rig) as radio:
        assert await refusal(radio, request()) == "region_unset"
        assert radio.stats().transmits == {"region_unset": 1}
        assert not rig.emissions()


async def test_too_late_and_too_early_are_told_apart(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        rig.hear(b"x")
        frame = await next_frame(radio)
        assert frame.lora is not None
        now = frame.lora.counter_us
        assert await refusal(radio, request(counter_us=now - 5_000_000)) == "too_late"
        assert await refusal(radio, request(counter_us=now + 10_000)) == "too_late"
        assert await refusal(radio, request(counter_us=now + 600_000_000)) == "too_early"
        assert await refusal(radio, request(counter_us=now + 30_000_000, timeout_s=10)) == "too_early"
        assert radio.stats().transmits == {"too_late": 2, "too_early": 2}


async def test_on_a_clash_the_higher_priority_is_sent_and_equals_come_first(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        rig.hear(b"x")
        frame = await next_frame(radio)
        assert frame.lora is not None
        at = frame.lora.counter_us + 300_000
        rig.clock.set_rate(ANSWER_RATE)
        notice = asyncio.create_task(radio.transmit(request(b"notice", priority=2, counter_us=at)))
        await asyncio.sleep(0)
        promise = asyncio.create_task(radio.transmit(request(b"promise", priority=0, counter_us=at + 1_000)))
        await asyncio.sleep(0)
        assert await refusal(radio, request(b"second", priority=0, counter_us=at - 1_000)) == "collision"
        with pytest.raises(TransmitRefused, match="displaced by an emission of higher priority"):
            await notice
        await promise
        assert [sent.payload for sent in rig.emissions()] == [b"promise"]
        assert radio.stats().transmits == {"collision": 2, "sent": 1}


async def test_a_withdrawn_request_is_not_sent_and_gives_its_airtime_back(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        rig.hear(b"x")
        frame = await next_frame(radio)
        assert frame.lora is not None
        at = frame.lora.counter_us + 300_000
        rig.clock.set_rate(ANSWER_RATE)
        waiting = asyncio.create_task(radio.transmit(request(b"withdrawn", counter_us=at)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert radio.stats().gauges["sub_band_869400_airtime_used_s"] == 0
        await radio.transmit(request(b"instead", counter_us=at))
        assert [sent.payload for sent in rig.emissions()] == [b"instead"]
        assert radio.stats().transmits == {"withdrawn": 1, "sent": 1}


async def test_the_sub_bands_hour_is_kept(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    narrow = regions.SubBand(868_000_000, 868_600_000, 100_000 / regions.HOUR_US, 16.15)  # 100 ms an hour
    others = regions.REGIONS["EU868"].sub_bands[3:]
    monkeypatch.setitem(regions.REGIONS, "EU868", regions.Region("EU868", (narrow, *others)))
    async with opened(rig, region="EU868") as radio:
        rig.clock.set_rate(ANSWER_RATE)
        for _ in range(3):
            await radio.transmit(request(frequency_hz=868_100_000))  # 31 ms each
        assert await refusal(radio, request(frequency_hz=868_300_000)) == "duty_cycle"
        await radio.transmit(request(frequency_hz=869_525_000))  # another sub-band has its own hour
        gauges = radio.stats().gauges
        assert gauges["sub_band_868000_airtime_used_s"] == pytest.approx(0.092928)
        assert gauges["sub_band_868000_airtime_left_s"] == pytest.approx(0.007072)
    assert len(rig.emissions()) == 4


async def test_us915_dwell_time_is_kept_on_narrow_channels(rig: Rig) -> None:
    async with opened(rig, plan="US915", region="US915") as radio:
        slow = {"spreading_factor": 10, "bandwidth_hz": 125_000}
        assert await refusal(radio, request(bytes(100), frequency_hz=923_300_000, **slow)) == "dwell_time"
        await radio.transmit(request(bytes(11), frequency_hz=923_300_000, **slow))
        assert await refusal(radio, request(bytes(11), frequency_hz=923_300_000, **slow)) == "dwell_time"
        await radio.transmit(request(bytes(11), frequency_hz=923_900_000, **slow))
        wide = request(bytes(100), frequency_hz=923_300_000, spreading_factor=10, bandwidth_hz=500_000)
        await radio.transmit(wide)
        await radio.transmit(wide)


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        (request(frequency_hz=868_650_000), "frequency"),  # between two sub-bands
        (request(frequency_hz=869_525_000, bandwidth_hz=500_000), "frequency"),  # wider than the sub-band
        (request(b""), "size"),
        (request(bytes(256)), "size"),
        (request(spreading_factor=6), "unsupported"),
        (request(coding_rate="4/9"), "unsupported"),
        (TxRequest(payload=b"x"), "unsupported"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_its_word(rig: Rig, asked: TxRequest, reason: str) -> None:
    async with opened(rig, region="EU868") as radio:
        assert await refusal(radio, asked) == reason
        assert radio.stats().transmits == {reason: 1}


@pytest.mark.parametrize(
    ("gain_db", "frequency_hz", "asked_dbm", "table_dbm"),
    [
        (0.0, 868_100_000, 30.0, 16),  # 16.15 dBm EIRP at most
        (0.0, 869_525_000, 30.0, 27),  # 29.15 allowed, 27 is all there is
        (5.0, 868_100_000, 30.0, 11),
        (5.0, 868_100_000, 14.0, 6),  # 9 dBm at the connector: the entry below
        (-2.0, 868_100_000, 14.0, 16),  # cable loss is made good
    ],
)
async def test_the_power_is_clamped_to_the_band_with_the_antennas_gain(
    rig: Rig, gain_db: float, frequency_hz: int, asked_dbm: float, table_dbm: int
) -> None:
    async with opened(rig, region="EU868", antenna_gain_dbi=gain_db) as radio:
        _, sent = await answer(rig, radio, request(frequency_hz=frequency_hz, power_dbm=asked_dbm))
        codes = {gain.power_dbm: gain.code for gain in radio._settings.board.gains}
        assert sent.power_code == codes[table_dbm]


async def test_while_it_sends_nothing_is_heard_and_that_is_accounted(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        sending = asyncio.create_task(radio.transmit(request(bytes(50), spreading_factor=10)))
        while not (rig.chip.busy() and rig.chip._transmitter.status(rig.clock.micros()) == 0xF0):
            await rig.clock.sleep(0.002)
        with pytest.raises(RuntimeError, match="transmitting"):
            rig.hear(b"lost")
        receipt = await sending
        assert radio.stats().gauges["deaf_s"] == pytest.approx(receipt.airtime_us / 1e6)


async def test_an_idle_radio_hears_and_sends_at_once(rig: Rig) -> None:
    """After five quiet seconds the FIFO is watched from the bus thread; who else wants the bus gets it."""
    async with opened(rig, region="EU868") as radio:
        rig.clock.set_rate(OPEN_RATE)
        await rig.clock.sleep(driver.IDLE_AFTER_S + 3)
        rig.clock.set_rate(ANSWER_RATE)
        rig.hear(b"first after a long time")
        frame = await next_frame(radio)
        assert frame.lora is not None
        await answer(rig, radio, request(counter_us=frame.lora.counter_us + 600_000))
        assert len(rig.emissions()) == 1


async def test_a_host_too_slow_to_arm_an_answer_says_too_late_and_arms_nothing(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transmitter, "LEAD_US", -100_000)  # programs 100 ms after the start
    async with opened(rig, region="EU868") as radio:
        rig.hear(b"x")
        frame = await next_frame(radio)
        assert frame.lora is not None
        late = request(counter_us=frame.lora.counter_us + 300_000)
        with pytest.raises(
            TransmitRefused, match=r"could not be programmed in time: -1\d+\.\d ms before its trigger"
        ):
            await radio.transmit(late)
        assert not rig.chip.busy()
        assert radio.stats().gauges["sub_band_869400_airtime_used_s"] == 0
        # as soon as possible is tried three times
        assert await refusal(radio, request()) == "too_late"
        assert radio.stats().transmits == {"too_late": 2}


async def test_a_trigger_that_was_missed_is_taken_back_and_not_called_sent(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The chip waits for its counter to wrap then; 71 minutes later nobody wants the frame."""
    monkeypatch.setattr(concentrator, "PROGRAM_MARGIN_US", -1_000_000)
    monkeypatch.setattr(transmitter, "LEAD_US", -100_000)
    async with Sx1301Driver("hill", rig.settings(region="EU868"), clock=rig.clock) as radio:
        rig.clock.set_rate(1.0)
        rig.hear(b"x")
        frame = await next_frame(radio)
        assert frame.lora is not None
        with pytest.raises(TransmitRefused, match="passed before it was armed"):
            await radio.transmit(request(counter_us=frame.lora.counter_us + 300_000))
        assert not rig.chip.busy()
        assert not rig.emissions()
        assert "in the past" in rig.chip.violations[0]


async def test_an_antenna_that_no_step_of_the_table_suits_is_refused(rig: Rig) -> None:
    async with opened(rig, region="EU868", antenna_gain_dbi=20.0, gain_table="rak_2019") as radio:
        _, sent = await answer(rig, radio, request(frequency_hz=868_100_000))
        assert sent.power_code == radio._settings.board.gains[0].code
    loud = dataclasses.replace(radio._settings, antenna_gain_db=23.0)
    queue = transmitter.TransmitQueue(loud, rig.clock)
    band = regions.REGIONS["EU868"].sub_bands[2]
    with pytest.raises(TransmitRefused, match=r"even -6 dBm exceeds 16.15 dBm EIRP") as caught:
        queue._gain_index(14.0, band)
    assert caught.value.reason == "power"


async def test_a_frame_given_back_while_it_leaves_says_so_and_one_that_waits_does_not(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        long = request(b"x" * 50, spreading_factor=12)
        leaving = asyncio.ensure_future(radio.transmit(long))
        waiting = asyncio.ensure_future(radio.transmit(request(b"behind")))
        while not (held := rig.chip._transmitter.current) or rig.clock.micros() < held.start_us:
            await rig.clock.sleep(0.01)
    for task, on_air in ((leaving, True), (waiting, False)):
        with pytest.raises(TransmitRefused) as caught:
            await task
        assert (caught.value.reason, caught.value.on_air) == ("no_route", on_air)


async def test_without_a_duty_cycle_of_its_own_only_the_dwell_time_is_kept(rig: Rig) -> None:
    async with opened(rig, region="EU868", duty_cycle=False) as radio:
        ledger = radio._transmitter.ledger
        assert ledger is not None
        assert ledger.usage(0) == {}
        assert radio.routes() == {rig.settings()["address"]: None}
    assert radio.routes() == {}
