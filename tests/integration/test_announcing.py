"""What a radio shows is renewed when the checkpoint is another, each minute else, and never in a hurry."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from gateway.core.answer import Answer
from gateway.core.message.downlink import Beacon, encode_downlink
from gateway.model import Stamp, TimeQuality
from gateway.services import announcing as module
from gateway.services.announcing import Announcing

NOW = 1_790_000_000_000
TEXT = "offgrid/hill/1\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
SIGNED = "— offgrid/hill/1 AAAAAAAA{}AAAAAAAAAAA\n"
NOTE = (TEXT + SIGNED.format("E")).encode()
BEACON = Beacon("hill", "offgrid/hill/1", bytes(32), NOW, 2, NOTE, bytes(64))


class Desk:
    """Answers with a beacon, with or without its checkpoint."""

    note = NOTE

    async def beacon(self, *, checkpoint: bool = True) -> Answer:
        return Answer(replace(BEACON, checkpoint=self.note if checkpoint else None))


class Stage:
    """A clock whose sleeps end when the test says so, and a radio that keeps what it is told."""

    def __init__(self) -> None:
        self.sleeps: asyncio.Queue[tuple[float, asyncio.Event]] = asyncio.Queue()
        self.told: asyncio.Queue[Mapping[str, bytes]] = asyncio.Queue()

    def monotonic(self) -> float:
        return 0.0

    def unix_ns(self) -> int:
        return (NOW - 7) * 1_000_000

    async def sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        self.sleeps.put_nowait((seconds, over))
        await over.wait()

    def announce(self, facts: Mapping[str, bytes]) -> None:
        self.told.put_nowait(facts)


def announcing(stage: Stage, desk: Desk) -> Announcing:
    return Announcing(desk, lambda: Stamp(NOW, TimeQuality.AGREED), stage, lambda: True)


async def test_it_is_renewed_each_minute_and_at_once_for_a_new_checkpoint_but_not_for_each_of_many() -> None:
    stage = Stage()
    showing = announcing(stage, Desk())
    running = asyncio.create_task(showing.run(stage))
    first = await stage.told.get()
    assert first["beacon"] == encode_downlink(BEACON)
    assert (first["checkpoint"], first["clock"]) == (NOTE, (7).to_bytes(8) + b"\x02")
    assert first["hint"][:6] == b"\x01\x03" + bytes(4)
    for _ in range(5):
        showing.soon()
    seconds, over = await stage.sleeps.get()
    assert (seconds, stage.told.qsize()) == (module.AT_MOST_EVERY_S, 0)
    over.set()
    await stage.told.get()
    (await stage.sleeps.get())[1].set()
    while (waiting := await stage.sleeps.get())[0] != module.PERIOD_S:
        waiting[1].set()
    assert stage.told.empty()
    waiting[1].set()
    await stage.told.get()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    showing.soon()  # to nobody


async def test_a_checkpoint_too_long_for_an_attribute_is_left_out_and_the_beacon_says_so() -> None:
    desk = Desk()
    desk.note = (TEXT + "".join(SIGNED.format(letter) for letter in "AEIMQUYcgkos")).encode()
    assert len(desk.note) > module.MAX_VALUE
    facts = await announcing(Stage(), desk).facts()
    assert facts["checkpoint"] == b""
    assert facts["beacon"] == encode_downlink(replace(BEACON, checkpoint=None))
