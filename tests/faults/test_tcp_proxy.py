"""The bad line itself: what it passes it passes unchanged, and it breaks as it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

import pytest

from simulators.faults import Line, TcpProxy


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(4096):
        writer.write(data)
    writer.close()


@pytest.fixture
async def proxy() -> AsyncIterator[TcpProxy]:
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    async with TcpProxy(server.sockets[0].getsockname()[:2], Random(1)) as proxy:
        yield proxy
    server.close()


async def test_what_passes_is_unchanged_in_slices_and_late(proxy: TcpProxy) -> None:
    proxy.line = Line(delay_s=0.0001, jitter_s=0.0001, slice_bytes=7)
    sent = Random(2).randbytes(5000)
    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(sent)
    assert await reader.readexactly(len(sent)) == sent
    writer.close()
    assert (proxy.counts["bytes_up"], proxy.counts["bytes_down"]) == (5000, 5000)


async def test_a_stall_holds_back_and_a_mend_lets_go(proxy: TcpProxy) -> None:
    reader, writer = await asyncio.open_connection(*proxy.address)
    proxy.stall()
    writer.write(b"held")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.05)
    proxy.mend()
    assert await reader.readexactly(4) == b"held"
    writer.close()


async def test_a_cut_resets_what_is_open_and_refuses_what_comes_until_the_mend(proxy: TcpProxy) -> None:
    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(b"x")
    await reader.readexactly(1)
    await proxy.cut()
    assert await ended(reader)
    writer.close()
    reader, writer = await asyncio.open_connection(*proxy.address)
    assert await ended(reader)
    writer.close()
    assert proxy.counts["refused"] == 1
    proxy.mend()
    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(b"y")
    assert await reader.readexactly(1) == b"y"
    writer.close()


async def test_a_lost_chunk_takes_its_connection_down(proxy: TcpProxy) -> None:
    proxy.line = Line(lose=1.0)
    reader, writer = await asyncio.open_connection(*proxy.address)
    writer.write(b"never arrives")
    assert await ended(reader)
    writer.close()
    assert proxy.counts["lost"] == 1


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the far side is gone, in order or by a reset."""
    try:
        return await reader.read() == b""
    except ConnectionError:
        return True
