"""What ``drivers.base`` promises, over every driver that has a bench."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from radio_benches import BENCHES, SMALL_QUEUE, Bench

from drivers.base import Frame, Receiver, Transmitter
from drivers.errors import DriverLost, TransmitRefused
from drivers.gsm_at import GsmDriver


@pytest.fixture(params=sorted(BENCHES))
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Bench:
    return BENCHES[request.param](tmp_path)


async def counted(radio: Receiver, outcome: str, count: int) -> None:
    """Until the driver has counted so many frames: they come by a device that nobody can await."""
    while radio.stats().frames.get(outcome, 0) < count:
        await asyncio.sleep(0.005)


async def test_it_can_hear_and_send_and_is_countable_before_it_is_opened(bench: Bench) -> None:
    radio = bench.build()
    assert isinstance(radio, Receiver)
    assert isinstance(radio, Transmitter)
    assert not radio.stats().frames.get("ok")


async def test_a_frame_comes_as_it_was_heard(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"\xe0\x01 a frame")
        frame = await anext(radio.frames())
        assert (frame.radio, frame.payload) == ("radio", b"\xe0\x01 a frame")
        if bench.lora:
            assert frame.lora is not None
            assert (frame.lora.frequency_hz, frame.lora.spreading_factor) == (868_100_000, 7)
            assert frame.lora.airtime_us > 0
        assert frame.received_unix_ns > 0
        assert radio.stats().frames["ok"] == 1


async def test_frames_end_only_because_we_close(bench: Bench) -> None:
    heard: list[Frame] = []
    async with bench.opened() as radio:

        async def listen() -> None:
            heard.extend([frame async for frame in radio.frames()])

        listener = asyncio.create_task(listen())
        bench.hear(b"one")
        await counted(radio, "ok", 1)
        assert not listener.done()
    await asyncio.wait_for(listener, 5)
    assert [frame.payload for frame in heard] == [b"one"]


async def test_what_nobody_took_before_we_close_is_counted_or_comes_with_the_next_opening(
    bench: Bench,
) -> None:
    async with bench.opened() as radio:
        bench.hear(b"one")
        await counted(radio, "ok", 1)
        assert "untaken" not in radio.stats().frames
    comes_again = isinstance(radio, GsmDriver)  # from the SIM or the spool, until it is settled
    assert radio.stats().frames.get("untaken", 0) == (not comes_again)
    assert [frame.payload async for frame in radio.frames()] == [b"one"]
    assert "untaken" not in radio.stats().frames


async def test_closing_twice_is_harmless_and_the_counts_stay_readable(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"one")
        await counted(radio, "ok", 1)
    await radio.__aexit__(None, None, None)
    assert radio.stats().frames["ok"] == 1


async def test_a_vanished_device_is_driver_lost(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.vanish()
        with pytest.raises(DriverLost):
            async for _ in radio.frames():
                pass


async def test_the_queue_is_bounded_and_drops_the_newest(bench: Bench) -> None:
    async with bench.opened() as radio:
        for number in range(SMALL_QUEUE + 4):
            bench.hear(bytes([number]) * 4)
        await counted(radio, "queue_full", 4)
        frames = radio.frames()
        assert [(await anext(frames)).payload[0] for _ in range(SMALL_QUEUE)] == list(range(SMALL_QUEUE))


async def test_an_answer_is_sent_and_its_receipt_says_how_long_it_takes(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"question")
        request = bench.answer(await anext(radio.frames()))
        receipt = await radio.transmit(request)
        assert receipt.confirmed
        if bench.lora:
            assert request.lora is not None
            assert receipt.airtime_us > 0
            assert receipt.counter_us == request.lora.counter_us
        assert radio.stats().transmits == {"sent": 1}


async def test_what_cannot_be_sent_is_refused_by_its_reason_and_the_driver_stays_well(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"question")
        frame = await anext(radio.frames())
        refused = bench.refused(frame)
        for request, reason in refused:
            with pytest.raises(TransmitRefused) as refusal:
                await radio.transmit(request)
            assert refusal.value.reason == reason, request
        assert sum(radio.stats().transmits.values()) == len(refused)
        bench.hear(b"still here")
        await counted(radio, "ok", 2)


async def test_a_closed_radio_refuses_to_send(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"question")
        request = bench.answer(await anext(radio.frames()))
    with pytest.raises(TransmitRefused) as refusal:
        await radio.transmit(request)
    assert refusal.value.reason == "no_route"
