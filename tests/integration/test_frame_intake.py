"""A radio whose frames are whole messages: heard, answered by the way they came, bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

import pytest

from drivers.base import DriverStats, Frame, TxReceipt, TxRequest
from drivers.errors import DriverLost, TransmitRefused
from gateway.core.restart import gravest
from gateway.services import frame_intake
from gateway.services.observed import observed


class Ear:
    """Hears what the test says, and nothing else."""

    def __init__(self, *payloads: bytes, end: Exception | None = None) -> None:
        self.payloads = payloads
        self.end = end
        self.closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    def stats(self) -> DriverStats:
        return DriverStats()

    async def frames(self) -> AsyncIterator[Frame]:
        for payload in self.payloads:
            yield Frame(radio="r", payload=payload, peer="p", received_unix_ns=0, reply_to=payload)
        if self.end is not None:
            raise self.end
        await asyncio.Event().wait()


class EarAndMouth(Ear):
    """Sends, too; refuses what is answered to ``b"deaf"``."""

    def __init__(self, *payloads: bytes) -> None:
        super().__init__(*payloads)
        self.sent: asyncio.Queue[TxRequest] = asyncio.Queue()

    async def transmit(self, request: TxRequest) -> TxReceipt:
        if request.reply_to == b"deaf":
            raise TransmitRefused("no_route")
        self.sent.put_nowait(request)
        return TxReceipt(airtime_us=7)


async def reverse(message: bytes, peer: str, correlation: str) -> bytes:
    return message[::-1]


async def test_each_frame_is_answered_by_the_way_it_came_and_a_refused_one_hurts_nobody() -> None:
    radio = EarAndMouth(b"deaf", b"one", b"two")
    heard: list[Frame] = []
    airtimes: list[int] = []
    watched = observed(radio, heard.append, lambda receipt: airtimes.append(receipt.airtime_us))
    task = asyncio.create_task(frame_intake.take(watched, reverse))
    answers = [await radio.sent.get() for _ in range(2)]
    assert [(answer.payload, answer.reply_to) for answer in answers] == [(b"eno", b"one"), (b"owt", b"two")]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert radio.closed
    assert ([frame.payload for frame in heard], airtimes) == ([b"deaf", b"one", b"two"], [7, 7])


async def test_a_radio_that_only_hears_is_heard() -> None:
    submitted = asyncio.Event()

    async def submit(message: bytes, peer: str, correlation: str) -> bytes:
        submitted.set()
        return b""

    task = asyncio.create_task(frame_intake.take(observed(Ear(b"x"), lambda _: None, lambda _: None), submit))
    await submitted.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize("end", [DriverLost("unplugged")])
async def test_a_lost_radio_comes_out_as_what_supervision_knows(end: Exception) -> None:
    with pytest.raises(ExceptionGroup) as raised:
        await frame_intake.take(Ear(end=end), reverse)
    assert gravest(raised.value) is end


async def test_no_more_messages_are_answered_at_once_than_the_bound() -> None:
    running, most = 0, 0
    full, go_on = asyncio.Event(), asyncio.Event()

    async def slow(message: bytes, peer: str, correlation: str) -> bytes:
        nonlocal running, most
        running += 1
        most = max(most, running)
        if running == frame_intake.MAX_SUBMITTED:
            full.set()
        await go_on.wait()
        running -= 1
        return message

    radio = EarAndMouth(*[b"%d" % n for n in range(3 * frame_intake.MAX_SUBMITTED)])
    task = asyncio.create_task(frame_intake.take(radio, slow))
    await full.wait()
    go_on.set()
    for _ in range(3 * frame_intake.MAX_SUBMITTED):
        await radio.sent.get()
    assert most == frame_intake.MAX_SUBMITTED
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
