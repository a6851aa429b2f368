"""A TCP proxy that is a bad line: slow, late, in slices, losing connections, stalled, cut.

What it passes it passes unchanged and in order, as TCP does; what a network loses shows as time or as a lost
connection.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Self

CHUNK = 16_384


@dataclass(frozen=True, slots=True)
class Line:
    """What the line is like while it is there.

    `delay_s` and up to `jitter_s` more before each chunk; `bytes_per_s` None: no limit; `slice_bytes` at most
    in one write; `lose`: the chance that a chunk takes its connection down instead of arriving.
    """

    delay_s: float = 0.0
    jitter_s: float = 0.0
    bytes_per_s: float | None = None
    slice_bytes: int = CHUNK
    lose: float = 0.0


class TcpProxy:
    """Between whoever connects to `address` and `target`; open with ``async with``.

    `counts`: ``connections``, ``refused``, ``lost``, ``bytes_up`` (towards the target), ``bytes_down``.
    The memory it takes is one chunk a direction: who sends faster than the line waits.
    """

    def __init__(self, target: tuple[str, int], random: Random, line: Line | None = None) -> None:
        self.line = line or Line()
        self.counts: Counter[str] = Counter()
        self.address = ("127.0.0.1", 0)
        self._target = target
        self._random = random
        self._there = True
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accepted, *self.address, limit=CHUNK)
        self.address = self._server.sockets[0].getsockname()[:2]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        await self._drop_all()

    @property
    def url(self) -> str:
        """As a WebSocket's address."""
        host, port = self.address
        return f"ws://{host}:{port}"

    async def cut(self) -> None:
        """Every connection is reset, and so is each new one, until :meth:`mend`."""
        self._there = False
        await self._drop_all()

    def stall(self) -> None:
        """Connections stay and nothing passes, as on a dead radio link, until :meth:`mend`."""
        self._flowing.clear()

    def mend(self) -> None:
        """The line is there again; what a stall held back goes on."""
        self._there = True
        self._flowing.set()

    async def _drop_all(self) -> None:
        tasks = list(self._connections)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or not self._there:
            self.counts["refused"] += 1
            writer.transport.abort()
            return
        self._connections.add(task)
        self.counts["connections"] += 1
        try:
            await self._connected(reader, writer)
        except asyncio.CancelledError:
            pass  # cut; asyncio's server would log a cancellation as a fault of ours
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target, limit=CHUNK)
        except OSError:
            self.counts["refused"] += 1
            return
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer, "bytes_up")),
            asyncio.create_task(self._pump(far_reader, writer, "bytes_down")),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            await asyncio.gather(*pumps, return_exceptions=True)
            far_writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, count: str) -> None:
        """Until one side is gone, which takes the other down: no half-open connections."""
        try:
            while chunk := await source.read(CHUNK):
                if self._random.random() < self.line.lose:
                    self.counts["lost"] += 1
                    return
                for start in range(0, len(chunk), self.line.slice_bytes):
                    await self._pass(chunk[start : start + self.line.slice_bytes], sink)
                self.counts[count] += len(chunk)
        except ConnectionError:
            return

    async def _pass(self, piece: bytes, sink: asyncio.StreamWriter) -> None:
        line = self.line
        wait = line.delay_s + self._random.random() * line.jitter_s
        if line.bytes_per_s:
            wait += len(piece) / line.bytes_per_s
        if wait:
            await asyncio.sleep(wait)
        await self._flowing.wait()
        sink.write(piece)
        await sink.drain()
