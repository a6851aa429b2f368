"""The LoRa link over the SX1301 driver and the register model: the same link, another radio."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from drivers.lora_sx1301 import Sx1301Driver
from gateway.core.lora.link import LoraLink
from gateway.core.lora.regions import EU868
from gateway.services.lora_intake import LoraIntake, Notice
from simulators.concentrator.rig import Rig
from simulators.lora.frames import ANSWER, BATCH, data_frame, read_downlink, transfer_id

OPEN_RATE = 20.0


async def test_a_message_in_fragments_is_answered_one_second_after_its_last_one(tmp_path: Path) -> None:
    message = bytes(range(256)) * 2
    chunks = [message[at : at + 240] for at in range(0, 512, 240)]

    async def submit(content: bytes, peer: str, correlation: str) -> bytes:
        return hashlib.sha256(content).digest()

    with Rig(tmp_path, rate=OPEN_RATE) as rig:
        driver = Sx1301Driver("lora", rig.settings(region="EU868"), clock=rig.clock)
        link = LoraLink(EU868)
        service = asyncio.create_task(LoraIntake("lora", driver, link, submit, clock=rig.clock).run())
        while not rig.chip.receiving:
            await asyncio.sleep(0.01)
        rig.clock.set_rate(1.0)
        for index, chunk in enumerate(chunks):
            last = index == len(chunks) - 1
            counter = rig.hear(data_frame(transfer_id(message), index, 3, chunk, listening=last))
        while not (emissions := rig.emissions()):
            await asyncio.sleep(0.01)
        rig.clock.set_rate(OPEN_RATE)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
    (sent,) = emissions
    answer = read_downlink(sent.payload)
    assert answer is not None
    assert (answer.kind, answer.body) == (ANSWER, hashlib.sha256(message).digest())
    assert (sent.counter_us, sent.inverted_iq) == ((counter + 1_000_000) % (1 << 32), True)
    assert abs(sent.frequency_hz - 868_100_000) < 62


async def test_a_notice_goes_to_all_at_its_period_and_each_is_built_anew(tmp_path: Path) -> None:
    channel, built = EU868.broadcast(7, 125_000), 0
    assert channel is not None

    async def build() -> bytes:
        nonlocal built
        built += 1
        return b"beacon %d" % built

    async def submit(content: bytes, peer: str, correlation: str) -> bytes:
        raise AssertionError("nobody sends here")

    with Rig(tmp_path, rate=OPEN_RATE) as rig:
        driver = Sx1301Driver("lora", rig.settings(region="EU868"), clock=rig.clock)
        intake = LoraIntake(
            "lora", driver, LoraLink(EU868), submit, clock=rig.clock, notice=Notice(1.0, channel, build)
        )
        service = asyncio.create_task(intake.run())
        while not rig.chip.receiving:
            await asyncio.sleep(0.01)
        rig.clock.set_rate(0.5)
        while len(emissions := rig.emissions()) < 2:
            await asyncio.sleep(0.01)
        rig.clock.set_rate(OPEN_RATE)
        service.cancel()
        await asyncio.gather(service, return_exceptions=True)
    said = [read_downlink(emission.payload) for emission in emissions]
    first, second = (int(one.body.removeprefix(b"beacon ")) for one in said if one and one.kind == BATCH)
    assert first < second, "one that a busy host programmed too late is left out, not sent late"
    assert emissions[1].start_us - emissions[0].start_us > 900_000
