"""Servers at the coordinator's address that are none: each is named, none is a crash."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from sync_rig import Rig, open_coordinator, open_store, running
from websockets.asyncio.server import ServerConnection, serve

from gateway.services.sync_link import LinkSettings, client_context
from gateway.services.sync_link.link import SUBPROTOCOL

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with (
        open_coordinator(tmp_path / "coordinator.db") as coordinator,
        open_store(tmp_path / "gateway.db") as store,
    ):
        yield Rig(store, coordinator)


async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")


async def noise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(bytes(range(256)) * 400)


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


@pytest.mark.parametrize(
    ("answer", "word"),
    [(http, "refused"), (noise, "unreachable"), (hang_up, "unreachable"), (silence, "unreachable")],
)
async def test_what_does_not_open_a_websocket_is_named(rig: Rig, answer: Answer, word: str) -> None:
    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await answer(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, running(rig.make_link(url=f"ws://127.0.0.1:{port}", open_timeout_s=0.2)) as task:
        await rig.fault(word, times=2)
        assert not task.done()
    assert set(rig.link.figures.faults) == {word}


async def test_a_websocket_of_another_protocol_is_refused(rig: Rig) -> None:
    async def wait(socket: ServerConnection) -> None:
        await socket.wait_closed()

    async with serve(wait, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(rig.make_link(url=f"ws://127.0.0.1:{port}")):
            await rig.fault("refused")
    assert "offgrid-sync.v1" in rig.link.vitals().last_fault


async def test_bytes_that_are_no_websocket_frames_are_garbage(rig: Rig) -> None:
    async def spoil(socket: ServerConnection) -> None:
        socket.transport.write(b"\xff\xff\xff\xff")
        await socket.wait_closed()

    async with serve(spoil, "127.0.0.1", 0, subprotocols=[SUBPROTOCOL]) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with running(rig.make_link(url=f"ws://127.0.0.1:{port}")):
            await rig.fault("garbage", times=2)


async def test_plain_text_where_tls_is_expected_is_named(rig: Rig) -> None:
    url = rig.coordinator.ws_url.replace("ws:", "wss:")
    async with running(rig.make_link(url=url, tls=client_context())):
        await rig.fault("unreachable", times=2)


@pytest.mark.parametrize(("url", "tls"), [("wss://a", None), ("ws://a", ssl.create_default_context())])
def test_a_tls_context_belongs_to_wss_and_to_nothing_else(url: str, tls: ssl.SSLContext | None) -> None:
    with pytest.raises(ValueError, match="TLS context"):
        LinkSettings(url=url, tls=tls)
