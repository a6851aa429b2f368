"""The modem driver's working day on simulated modems."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gsm_rig import BINARY, GATEWAY, LONG, PHONE, Bench, Listener, part_count, received, running, until

from drivers.base import Receiver, Transmitter, TxRequest
from simulators.modem.profiles import PROFILES


@pytest.fixture(params=sorted(PROFILES))
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bench(profile: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(Bench(profile, tmp_path)) as bench:
        yield bench


def test_it_is_a_receiver_and_a_transmitter(tmp_path: Path) -> None:
    driver = Bench("EC25", tmp_path).driver()
    assert isinstance(driver, Receiver)
    assert isinstance(driver, Transmitter)


async def test_text_and_data_of_any_length_come_in_and_leave_the_sim(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver)
        for message in ("kurz {1}", LONG, BINARY, "中兴 😀" * 40):
            bench.phone.send(GATEWAY, message)
        frames = await listener.hears(4)
        assert {frame.payload for frame in frames} == {
            b"kurz {1}",
            LONG.encode(),
            BINARY,
            ("中兴 😀" * 40).encode(),
        }
        assert {frame.peer for frame in frames} == {PHONE}
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)
        await until(lambda: not bench.spooled("parts"))
        assert driver.stats().frames["ok"] == 4


async def test_answers_go_out_as_they_were_asked_and_numbers_by_what_they_are(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "text?")
        (question,) = await listener.hears(1)
        for payload, to in (
            (b"text!", question.reply_to),
            (LONG.encode(), PHONE),
            (BINARY, PHONE),
            ("😀".encode(), PHONE),
        ):
            receipt = await driver.transmit(TxRequest(payload=payload, reply_to=to, timeout_s=20))
            assert receipt.confirmed
        texts = [await received(bench.phone) for _ in range(4)]
        assert texts == ["text!", LONG, BINARY, "😀"]
        await until(lambda: part_count(driver, "delivered") == part_count(driver, "paid") > 4)
        assert bench.spooled("queue") == []


async def test_what_is_not_settled_is_delivered_again_and_what_is_settled_is_not(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver, settle=False)
        bench.phone.send(GATEWAY, "kept")
        bench.phone.send(GATEWAY, LONG)
        bench.phone.send(GATEWAY, "done")
        frames = await listener.hears(3)
        done = next(frame for frame in frames if frame.payload == b"done")
        await driver.settled(done)
        await until(lambda: len(bench.sim.messages) + len(bench.modem.own_memory) == 1)
    async with bench.driver() as driver:
        frames = await Listener(driver).hears(2)
        assert {frame.payload for frame in frames} == {b"kept", LONG.encode()}
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)
        await until(lambda: not bench.spooled("parts"))
    async with bench.driver() as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "only this")
        assert (await listener.hears(1))[0].payload == b"only this"
