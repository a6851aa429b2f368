"""HTTP/1.1 over a socket: where a message ends is never a matter of opinion."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.services.http.connection import MAX_CHUNKS, Request
from gateway.services.http.message import Response
from gateway.services.http.server import Bounds, Site, serve

LARGEST = 100_000
END = b"0\r\n\r\n"


async def echo(request: Request) -> Response:
    return Response(await request.body(LARGEST), "text/plain")


async def page(request: Request) -> Response:
    return Response.of_text("a page")


@contextlib.asynccontextmanager
async def serving() -> AsyncIterator[tuple[str, int]]:
    ready: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    site = Site(
        name="test",
        host="127.0.0.1",
        port=0,
        routes={("POST", "/echo"): echo, ("GET", "/page"): page, ("GET", "/under/*"): page},
        opened=lambda host, port: ready.set_result((host, port)),
        bounds=Bounds(head_s=5.0, request_s=5.0),
    )
    task = asyncio.create_task(serve(site))
    yield await ready
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


async def talk(address: tuple[str, int], sent: bytes, *, piece: int = 1 << 20) -> bytes:
    """Everything that is answered to ``sent``, which goes out in pieces of so many bytes."""
    reader, writer = await asyncio.open_connection(*address)
    for at in range(0, len(sent), piece):
        writer.write(sent[at : at + piece])
        await writer.drain()
    writer.write_eof()
    answer = b""
    with contextlib.suppress(ConnectionError):
        answer = await reader.read()
    writer.close()
    return answer


def post(fields: bytes, body: bytes, version: bytes = b"1") -> bytes:
    return b"POST /echo HTTP/1.%b\r\nHost: x\r\n%b\r\n%b" % (version, fields, body)


def statuses(answers: bytes) -> list[int]:
    return [int(part[:3]) for part in answers.split(b"HTTP/1.1 ")[1:]]


CHUNKED = b"Transfer-Encoding: chunked\r\n"
PAGE = b"GET /page HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
async def test_requests_of_every_framing_follow_one_another_however_they_are_cut(piece: int) -> None:
    async with serving() as address:
        sent = (
            post(b"Content-Length: 5\r\n", b"first")
            + post(CHUNKED, b"3;ext=1\r\nsec\r\n3\r\nond\r\n0\r\nTrailer: x\r\n\r\n")
            + PAGE
            + post(b"Content-Length: 0\r\n", b"")
            + post(b"connection: CLOSE\r\nContent-Length: 4\r\n", b"last")
            + PAGE
        )
        answers = await talk(address, sent, piece=piece)
        assert statuses(answers) == [200] * 5
        assert [part.partition(b"\r\n\r\n")[2] for part in answers.split(b"HTTP/1.1 ")[1:]] == [
            b"first",
            b"second",
            b"a page",
            b"",
            b"last",
        ]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (post(b"Content-Length: 5\r\n" + CHUNKED, END), 400),
        (post(CHUNKED + b"Content-Length: 5\r\n", END), 400),
        (post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"abcdef"), 400),
        (post(b"Content-Length: +5\r\n", b"abcde"), 400),
        (post(b"Content-Length: 0x5\r\n", b"abcde"), 400),
        (post(b"Content-Length: -5\r\n", b"abcde"), 400),
        (post(b"Transfer-Encoding: gzip\r\n", END), 501),
        (post(b"Transfer-Encoding: gzip, chunked\r\n", END), 501),
        (post(CHUNKED + CHUNKED, END), 501),
        (post(CHUNKED, b"-1\r\na\r\n" + END), 400),
        (post(CHUNKED, b"1\r\nab\r\n" + END), 400),
        (post(CHUNKED, b"fffffffffffffffffffff\r\na\r\n" + END), 400),
        (post(CHUNKED, b"5\r\nab"), 400),
        (post(CHUNKED, b"0\r\n" + b"Trailer: x\r\n" * 9000), 431),
        (post(b"Field : value\r\n", b""), 400),
        (post(b"Field: a\x00b\r\n", b""), 400),
        (post(b"Host: another\r\n", b""), 400),
        (b"GET /page HTTP/1.1\r\n\r\n", 400),
        (b"GET  /page HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        (b"GET /page\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),  # TLS
    ],
)
async def test_what_could_mean_two_things_is_refused_and_the_connection_closed(
    request_: bytes, status: int
) -> None:
    async with serving() as address:
        answers = await talk(address, request_ + PAGE)
        assert statuses(answers) == [status]
        assert b"\r\nConnection: close\r\n" in answers


async def test_a_body_is_bounded_in_bytes_and_in_chunks() -> None:
    async with serving() as address:
        whole = bytes(LARGEST)
        chunk = b"%x\r\n%b\r\n" % (LARGEST, whole)
        assert (await talk(address, post(CHUNKED, chunk + END))).endswith(b"\r\n\r\n" + whole)
        assert statuses(await talk(address, post(CHUNKED, chunk + b"1\r\na\r\n" + END))) == [413]
        assert statuses(await talk(address, post(b"Content-Length: 100001\r\n", whole + b"a"))) == [413]
        ones = b"1\r\na\r\n" * MAX_CHUNKS
        assert statuses(await talk(address, post(CHUNKED, ones + END))) == [200]
        assert statuses(await talk(address, post(CHUNKED, ones + b"1\r\na\r\n" + END))) == [400]


async def test_head_is_answered_like_get_without_the_body_and_the_connection_goes_on() -> None:
    async with serving() as address:
        answers = await talk(address, PAGE.replace(b"GET", b"HEAD") + PAGE)
        head, _, rest = answers.partition(b"\r\n\r\n")
        assert b"\r\nContent-Length: 6\r\n" in head
        assert statuses(answers) == [200, 200]
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
        assert rest.endswith(b"\r\n\r\na page")


async def test_another_method_is_told_which_there_are() -> None:
    async with serving() as address:
        assert b"\r\nAllow: GET, HEAD\r\n" in await talk(address, PAGE.replace(b"GET", b"PUT"))
        assert b"\r\nAllow: GET, HEAD\r\n" in await talk(address, b"PUT /under/a HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"\r\nAllow: POST\r\n" in await talk(address, b"HEAD /echo HTTP/1.1\r\nHost: x\r\n\r\n")


async def test_a_chunked_body_that_waits_to_be_wanted_is_asked_for() -> None:
    async with serving() as address:
        reader, writer = await asyncio.open_connection(*address)
        writer.write(post(CHUNKED + b"Expect: 100-continue\r\nConnection: close\r\n", b""))
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"3\r\nabc\r\n" + END)
        assert (await reader.read()).endswith(b"\r\n\r\nabc")
        writer.close()


async def test_an_http_1_0_client_is_answered_and_its_connection_closed() -> None:
    async with serving() as address:
        answers = await talk(address, post(b"Content-Length: 3\r\n", b"abc", b"0") + PAGE)
        assert statuses(answers) == [200]
        assert b"\r\nConnection: close\r\n" in answers
        assert statuses(await talk(address, post(CHUNKED, END, b"0"))) == [400]


async def test_an_offer_to_switch_protocols_is_let_pass() -> None:
    async with serving() as address:
        upgrade = PAGE.replace(b"Host", b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHost")
        assert statuses(await talk(address, upgrade + PAGE)) == [200, 200]


@given(st.lists(st.binary(max_size=300), max_size=4))
def test_no_bytes_at_all_bring_the_server_down(pieces: list[bytes]) -> None:
    async def talked() -> None:
        async with serving() as address:
            for sent in (b"".join(pieces), *(post(CHUNKED, piece) for piece in pieces)):
                await talk(address, sent)
            assert statuses(await talk(address, PAGE)) == [200]

    asyncio.run(talked())
