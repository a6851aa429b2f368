"""A server that cannot be kept busy: connections, heads and requests end in time."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from gateway.errors import FatalError, NeedsPerson
from gateway.services.http.connection import Request
from gateway.services.http.message import Response
from gateway.services.http.server import Bounds, Site, serve

Address = tuple[str, int]

LARGEST = 1 << 20


async def hello(request: Request) -> Response:
    return Response.of_text("hello")


async def echo(request: Request) -> Response:
    return Response(await request.body(LARGEST), "text/plain")


async def bug(request: Request) -> Response:
    raise KeyError("a bug")


DEFAULT = Bounds()
ROUTES = {("GET", "/"): hello, ("POST", "/echo"): echo, ("GET", "/bug"): bug, ("GET", "/livez"): hello}


class Served:
    """A running server, and what it counted."""

    def __init__(self, bounds: Bounds) -> None:
        self.counts: list[int] = []
        self.ready: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
        self.site = Site(
            name="test",
            host="127.0.0.1",
            port=0,
            routes=ROUTES,
            probes=frozenset({"/livez"}),
            counted=lambda status, seconds: self.counts.append(status),
            opened=lambda host, port: self.ready.set_result((host, port)),
            bounds=bounds,
        )


@contextlib.asynccontextmanager
async def serving(bounds: Bounds = DEFAULT) -> AsyncIterator[Served]:
    served = Served(bounds)
    task = asyncio.create_task(serve(served.site))
    await served.ready
    yield served
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def talk(served: Served, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*await served.ready)
    writer.write(request)
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


GET = b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_requests_are_counted_and_probes_are_not() -> None:
    async with serving() as served:
        assert status_of(await talk(served, GET % b"/")) == 200
        assert status_of(await talk(served, GET % b"/livez")) == 200
        assert status_of(await talk(served, GET % b"/nowhere")) == 404
        assert status_of(await talk(served, b"PUT / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")) == 405
        assert served.counts == [200, 404, 405]


async def test_a_bug_in_one_answer_is_a_500_and_the_next_request_is_served() -> None:
    async with serving() as served:
        answer = await talk(served, GET % b"/bug")
        assert status_of(answer) == 500
        assert b"KeyError" not in answer
        assert status_of(await talk(served, GET % b"/")) == 200
        assert served.counts == [500, 200]


async def test_a_broken_store_seen_by_one_answer_ends_the_server_and_so_the_daemon() -> None:
    async def broken(request: Request) -> Response:
        raise FatalError("store corrupt")

    served = Served(Bounds())
    task = asyncio.create_task(serve(replace(served.site, routes={("GET", "/"): broken})))
    assert status_of(await talk(served, GET % b"/")) == 500
    with pytest.raises(FatalError, match="store corrupt"):
        await task


async def test_a_head_that_never_ends_is_cut() -> None:
    async with serving(Bounds(head_s=0.05)) as served:
        assert await talk(served, b"GET / HTTP/1.1\r\nHost: ") == b""
        assert await talk(served, b"") == b""


async def test_a_body_that_never_ends_is_answered_408() -> None:
    async with serving(Bounds(request_s=0.05)) as served:
        request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc"
        assert status_of(await talk(served, request)) == 408
        assert served.counts == [408]


async def test_connections_beyond_the_bound_are_closed_and_leave_room_when_they_go() -> None:
    async with serving(Bounds(connections=2)) as served:
        idle = [await asyncio.open_connection(*await served.ready) for _ in range(2)]
        assert await talk(served, GET % b"/") == b""
        for _, writer in idle:
            writer.close()
        while not await talk(served, GET % b"/"):
            await asyncio.sleep(0)


async def test_one_peer_cannot_take_all_connections() -> None:
    async with serving(Bounds(connections=10, connections_of_one_peer=1)) as served:
        _, writer = await asyncio.open_connection(*await served.ready)
        assert await talk(served, GET % b"/") == b""
        other = await asyncio.open_connection(*await served.ready, local_addr=("127.0.0.2", 0))
        other[1].write(GET % b"/")
        assert status_of(await other[0].read()) == 200
        writer.close()
        other[1].close()


@pytest.mark.parametrize(
    ("garbage", "status"),
    [
        (b"\x00" * 100 + b"\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"a: b\r\n" * 9000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"a" * 20_000, 431),
    ],
)
async def test_garbage_is_refused_and_nothing_else_happens(garbage: bytes, status: int) -> None:
    async with serving() as served:
        assert status_of(await talk(served, garbage)) == status
        assert status_of(await talk(served, GET % b"/")) == 200
        assert served.counts == [status, 200]


async def test_one_connection_carries_requests_one_after_another_and_in_one_piece() -> None:
    async with serving() as served:
        post = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        answer = await talk(served, post + post + GET % b"/")
        assert answer.count(b"HTTP/1.1 200 OK") == 3
        assert answer.count(b"\r\n\r\nabc") == 2
        assert served.counts == [200, 200, 200]


async def test_who_asks_first_is_told_to_go_on_only_where_the_body_is_wanted() -> None:
    async with serving() as served:
        head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n"
        reader, writer = await asyncio.open_connection(*await served.ready)
        writer.write(head % b"/echo" + b"Connection: close\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"abc")
        assert (await reader.read()).endswith(b"abc")
        writer.close()
        assert status_of(await talk(served, head % b"/nowhere" + b"\r\n")) == 404


async def test_an_answer_reaches_a_client_whose_body_was_not_wanted() -> None:
    async with serving() as served:
        head = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 500000\r\n\r\n"
        assert status_of(await talk(served, head + bytes(500_000))) == 404


async def test_what_runs_is_finished_when_the_server_is_stopped() -> None:
    started, go_on = asyncio.Event(), asyncio.Event()

    async def slow(request: Request) -> Response:
        started.set()
        await go_on.wait()
        return Response.of_text("finished")

    served = Served(Bounds())
    task = asyncio.create_task(serve(replace(served.site, routes={("GET", "/"): slow})))
    answer = asyncio.create_task(talk(served, GET % b"/"))
    await started.wait()
    task.cancel()
    go_on.set()
    assert (await answer).endswith(b"finished")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_taken_port_waits_for_a_person_and_says_which() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(NeedsPerson, match=f"{port}.*stop the other server"):
            await serve(Site(name="test", host="127.0.0.1", port=port, routes={}))


async def test_a_compressed_body_is_not_inflated() -> None:
    async with serving() as served:
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
        answer = await talk(served, head + b"Content-Length: 4\r\n\r\nabcd")
        assert answer.endswith(b"abcd")
        assert status_of(answer) == 200
