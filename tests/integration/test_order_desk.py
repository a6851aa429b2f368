"""Orders at their bounds: too many, a record that is damaged, an answer too long, an act that is broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from gateway.core.pin import CoordinatorKey
from gateway.core.remote import MAX_ANSWER_BYTES, Kind, Order, Piece
from gateway.model import Stamp, TimeQuality
from gateway.services.orders import MAX_WAITING, NumberBook, Orders
from simulators.coordinator.orders import order as signed

COORDINATOR, GATEWAY = SigningKey(sha256(b"c").digest()), b"\7" * 32
NOW = 1_795_000_000_000


class Desk:
    """Acts that do what a test wants, and the orders over them."""

    def __init__(self, root: Path) -> None:
        self.names = ("do",)
        self.result: Any = {"done": True}
        self.free = asyncio.Event()
        self.free.set()
        self.begun: asyncio.Queue[str] = asyncio.Queue()
        self.refusals: list[str] = []
        self.book = NumberBook(root / "last_order")
        pinned = CoordinatorKey(bytes(COORDINATOR.verify_key))
        now = Stamp(NOW, TimeQuality.AGREED)
        self.orders = Orders(GATEWAY, lambda: pinned, self.book, self, lambda: now)

    async def perform(self, actor: str, name: str, arguments: Mapping[str, Any]) -> object:
        self.begun.put_nowait(name)
        await self.free.wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def refused(self, actor: str, name: str, why: str) -> None:
        self.refusals.append(why.partition(":")[0])

    async def take(self, number: int) -> None:
        fields = signed(COORDINATOR, GATEWAY, number, NOW + 1000, "do", b"")
        await self.orders.take(Order.of(fields))

    async def answer(self, number: int) -> Piece:
        await self.take(number)
        return await self.orders.piece()


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    desk = Desk(tmp_path)
    running = asyncio.create_task(desk.orders.run())
    yield desk
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_one_order_is_worked_on_four_wait_and_a_sixth_is_refused(desk: Desk) -> None:
    desk.free.clear()
    await desk.take(1)
    await desk.begun.get()
    assert desk.book.last() == 1  # on disk before it is done
    for number in range(2, MAX_WAITING + 2):
        await desk.take(number)
    assert desk.refusals == []
    await desk.take(MAX_WAITING + 2)
    assert (desk.refusals, desk.book.last()) == (["busy"], MAX_WAITING + 1)


async def test_a_damaged_record_of_numbers_refuses_with_the_way_out(desk: Desk) -> None:
    desk.book.path.write_text("x")
    answer = await desk.answer(1)
    assert answer.kind == Kind.REFUSED
    assert b"delete it, and it begins at 0" in answer.data


async def test_a_broken_act_and_an_answer_that_is_too_long_are_told_in_words(desk: Desk) -> None:
    desk.result = ZeroDivisionError()
    assert (await desk.answer(1)).data == b"the gateway failed: ZeroDivisionError; its log says more"
    desk.result = bytes(MAX_ANSWER_BYTES + 1)
    assert (await desk.answer(2)).data.startswith(b"done, but its answer of")


async def test_answers_that_nobody_fetches_are_bounded(desk: Desk) -> None:
    desk.result = bytes(MAX_ANSWER_BYTES)
    for number in (1, 2, 3, 4):
        await desk.take(number)
        await desk.begun.get()  # of 4: the answer to 3 has found no room
    seen = [await desk.orders.piece() for _ in range(64)]
    assert {piece.number for piece in seen} == {1, 2}
