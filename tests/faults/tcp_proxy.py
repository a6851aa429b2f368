"""A TCP proxy between the link and the coordinator that can go silent, or pass one byte at a time."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Proxy:
    """``frozen``: connections stay open, nothing passes, as on a cut line. ``slice``: bytes a write."""

    def __init__(self, host: str, port: int) -> None:
        self._to = host, port
        self._tasks: set[asyncio.Task[None]] = set()
        self.frozen = False
        self.slice = 65536
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(*self._to)
        for source, sink in ((reader, far_writer), (far_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def stop(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                for start in range(0, len(data), self.slice):
                    if not self.frozen:
                        sink.write(data[start : start + self.slice])
                        await sink.drain()
        except ConnectionError:
            pass  # one side is gone, so the other goes
        finally:
            sink.transport.abort()


@contextlib.asynccontextmanager
async def proxy_to(url: str) -> AsyncIterator[Proxy]:
    """``url`` of a WebSocket; the proxy's own is in ``url``."""
    host, port = url.removeprefix("ws://").rstrip("/").split(":")
    proxy = Proxy(host, int(port))
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.stop()
