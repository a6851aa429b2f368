"""The routes under /v1 hold no more bytes than they may, and say no before they read."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from gateway.core.answer import Answer
from gateway.core.message.downlink import Nack
from gateway.core.refusal import Refusal, Refused
from gateway.model import Source
from gateway.services.http.server import Site, serve
from gateway.services.http.uploads import BODIES_AT_ONCE, BODIES_OF_ONE_PEER, SMALL_PART, uploads

LARGEST = 1000
ACCEPTED = Answer(Nack(Refusal.NOT_FOUND))


class Desk:
    """Takes what comes and answers when it is told to."""

    max_bytes = LARGEST

    def __init__(self) -> None:
        self.go_on = asyncio.Event()
        self.arrivals: asyncio.Queue[int] = asyncio.Queue()
        self.charged_later: list[int] = []
        self.taken: list[bytes] = []
        self.refusals: list[Refusal] = []
        self.closed = False

    def arrived(self, source: Source, size: int) -> None:
        if self.closed:
            raise Refused(Refusal.RATE_LIMITED, retry_after_s=9)
        self.arrivals.put_nowait(size)

    def brought(self, source: Source, size: int) -> None:
        self.charged_later.append(size)

    def refuse(self, source: Source, refused: Refused) -> Answer:
        self.refusals.append(refused.code)
        return Answer(Nack.of(refused))

    async def message(self, source: Source, data: bytes) -> Answer:
        self.taken.append(data)
        await self.go_on.wait()
        return ACCEPTED

    snapshot = transactions = message

    async def receipt(self, content: bytes) -> Answer:
        return ACCEPTED

    async def beacon(self) -> Answer:
        return ACCEPTED


@contextlib.asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[tuple[str, int]]:
    ready: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    site = Site(
        name="test",
        host="127.0.0.1",
        port=0,
        routes=uploads(desk),
        opened=lambda host, port: ready.set_result((host, port)),
    )
    task = asyncio.create_task(serve(site))
    yield await ready
    desk.go_on.set()
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def post(
    address: tuple[str, int],
    announced: int,
    sent: int,
    content_type: str = "application/cbor",
    peer: str = "127.0.0.1",
) -> bytes:
    body = f"Content-Length: {announced}\r\n\r\n".encode() + bytes(sent)
    return await talk(address, body, content_type, peer)


async def post_chunks(address: tuple[str, int], sizes: list[int], peer: str = "127.0.0.1") -> bytes:
    chunks = b"".join(b"%x\r\n%b\r\n" % (size, bytes(size)) for size in [*sizes, 0])
    return await talk(address, b"Transfer-Encoding: chunked\r\n\r\n" + chunks, peer=peer)


async def talk(
    address: tuple[str, int], rest: bytes, content_type: str = "application/cbor", peer: str = "127.0.0.1"
) -> bytes:
    reader, writer = await asyncio.open_connection(*address, local_addr=(peer, 0))
    head = f"POST /v1/snapshots HTTP/1.1\r\nHost: x\r\nContent-Type: {content_type}\r\nConnection: close\r\n"
    writer.write(head.encode() + rest)
    answer = await reader.read()
    writer.close()
    return answer


async def begin(desk: Desk, address: tuple[str, int]) -> asyncio.StreamWriter:
    """Announces a body of the largest size, and sends three bytes of it."""
    _, writer = await asyncio.open_connection(*address)
    head = "POST /v1/snapshots HTTP/1.1\r\nHost: x\r\nContent-Type: application/cbor\r\n"
    writer.write(f"{head}Content-Length: {LARGEST}\r\n\r\nabc".encode())
    await desk.arrivals.get()
    return writer


@contextlib.asynccontextmanager
async def full(desk: Desk, address: tuple[str, int]) -> AsyncIterator[None]:
    """All room is taken, by as few peers as can."""
    async with asyncio.TaskGroup() as tasks:
        for number in range(BODIES_AT_ONCE):
            peer = f"127.0.0.{2 + number // BODIES_OF_ONE_PEER}"
            tasks.create_task(post(address, LARGEST, LARGEST, peer=peer))
        for _ in range(BODIES_AT_ONCE):
            await desk.arrivals.get()
        yield
        desk.go_on.set()


async def test_bodies_beyond_the_room_are_told_to_come_again() -> None:
    desk = Desk()
    async with served(desk) as address:
        async with full(desk, address):
            answer = await post(address, LARGEST // 2, 1)
            assert b" 503 " in answer
            assert b"Retry-After: 5" in answer
            assert desk.refusals == [Refusal.BUSY]
        assert b" 404 " in await post(address, LARGEST, LARGEST)


async def test_one_peer_s_slow_bodies_leave_room_for_others() -> None:
    desk = Desk()
    desk.go_on.set()
    async with served(desk) as address, contextlib.AsyncExitStack() as slow:
        for _ in range(BODIES_OF_ONE_PEER):
            slow.callback((await begin(desk, address)).close)
        assert b" 503 " in await post(address, LARGEST // 2, 0)
        assert b" 404 " in await post(address, LARGEST, LARGEST, peer="127.0.0.2")
        assert desk.taken == [bytes(LARGEST)]


async def test_a_small_body_needs_no_room() -> None:
    desk = Desk()
    async with served(desk) as address, full(desk, address):
        small = asyncio.create_task(post(address, LARGEST // SMALL_PART, LARGEST // SMALL_PART))
        chunked = asyncio.create_task(post_chunks(address, [1] * (LARGEST // SMALL_PART)))
        for _ in range(2):
            await desk.arrivals.get()
        assert b" 503 " in await post(address, LARGEST // SMALL_PART + 1, 1)
        desk.go_on.set()
        assert b" 404 " in await small
        assert b" 404 " in await chunked


async def test_who_leaves_in_the_middle_of_a_body_gives_its_room_back() -> None:
    desk = Desk()
    desk.go_on.set()
    async with served(desk) as address:
        for _ in range(2 * BODIES_AT_ONCE):
            writer = await begin(desk, address)
            writer.close()
            await writer.wait_closed()
        while b" 503 " in await post(address, LARGEST, LARGEST):
            await asyncio.sleep(0)
        assert desk.taken == [bytes(LARGEST)]


async def test_what_is_too_large_limited_or_of_another_type_is_refused_unread() -> None:
    desk = Desk()
    async with served(desk) as address:
        assert b" 413 " in await post(address, LARGEST + 1, 10)
        assert b" 415 " in await post(address, 10, 0, "text/html")
        desk.closed = True
        limited = await post(address, 10, 0)
        assert b" 429 " in limited
        assert b"Retry-After: 9" in limited
        assert desk.refusals == [Refusal.TOO_LARGE, Refusal.UNSUPPORTED, Refusal.RATE_LIMITED]
        assert desk.taken == []


async def test_a_body_in_chunks_is_taken_up_to_the_same_length_and_charged_as_it_came() -> None:
    desk = Desk()
    desk.go_on.set()
    async with served(desk) as address:
        assert b" 404 " in await post_chunks(address, [1, LARGEST - 1])
        assert b" 413 " in await post_chunks(address, [1, LARGEST])
        assert desk.taken == [bytes(LARGEST)]
        assert desk.refusals == [Refusal.TOO_LARGE]
        assert desk.charged_later == [LARGEST, LARGEST + 1]
        assert [desk.arrivals.get_nowait() for _ in range(2)] == [0, 0]


async def test_bodies_in_chunks_take_room_as_they_grow() -> None:
    desk = Desk()
    async with served(desk) as address:
        half = LARGEST // 2
        chunked = [asyncio.create_task(post_chunks(address, [half])) for _ in range(2 * BODIES_OF_ONE_PEER)]
        while len(desk.taken) < len(chunked):
            await asyncio.sleep(0)
        assert b" 503 " in await post_chunks(address, [half])
        assert desk.refusals == [Refusal.BUSY]
        assert desk.charged_later == [half]
        desk.go_on.set()
        await asyncio.gather(*chunked)
        assert b" 404 " in await post_chunks(address, [half])
