"""Where a gateway's Bluetooth controller is plugged in: H4 over TCP, or over a pty as slow as a UART."""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
import tty
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from bumble.transport.common import PacketParser

from simulators.phones.controller import VirtualController

BITS_A_BYTE = 10  # 8N1
TICK_S = 0.001  # what USB serial adapters gather
HELD_BYTES = 4096  # of ACL data in a dongle, 16 packets, before it takes no more from the air


class Wire(Protocol):
    """Towards the host."""

    def write(self, data: bytes) -> None: ...


class HostPort:
    """H4 packets between a byte stream and a controller."""

    def __init__(self, controller: VirtualController) -> None:
        self._controller = controller
        self._parser = PacketParser(controller)
        self._hung = False
        self.wire: Wire | None = None
        controller.set_packet_sink(self)

    def attach(self, wire: Wire | None) -> None:
        """A host came, or went."""
        self._parser.reset()
        self.wire = wire
        self.has_room(True)

    def hang(self) -> None:
        """The controller is there, but answers nothing."""
        self._hung = True

    def revive(self) -> None:
        """As after a reset of its own: half a packet is forgotten."""
        self._parser.reset()
        self._hung = False

    def has_room(self, room: bool) -> None:
        """The wire is full, or has emptied."""
        self._controller.host_has_room(room)

    def received(self, data: bytes) -> None:
        """From the host."""
        if not self._hung:
            self._parser.feed_data(data)

    def on_packet(self, packet: bytes) -> None:
        """From the controller."""
        if self.wire is not None and not self._hung:
            self.wire.write(packet)


class TcpPort:
    """``tcp-client:HOST:PORT``, one host at a time; the last that came."""

    def __init__(self, controller: VirtualController, host: str = "127.0.0.1", port: int = 0) -> None:
        self.port = HostPort(controller)
        self._where = (host, port)
        self._server: asyncio.Server | None = None
        self._client: asyncio.Transport | None = None

    @property
    def address(self) -> str:
        """As a gateway's configuration names it."""
        host, port = self._where
        return f"tcp-client:{host}:{port}"

    async def __aenter__(self) -> Self:
        await self.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unplug()

    async def plug(self) -> None:
        """Listen; after the first time on the same port."""
        self._server = await asyncio.get_running_loop().create_server(lambda: _TcpHost(self), *self._where)
        self._where = self._server.sockets[0].getsockname()[:2]

    async def unplug(self) -> None:
        """As if the dongle were pulled out."""
        server, self._server = self._server, None
        client, self._client = self._client, None
        if client is not None:
            client.abort()
        self.port.attach(None)
        if server is not None:
            server.close()
            await server.wait_closed()

    def connected(self, client: asyncio.Transport) -> None:
        if self._client is not None:
            self._client.abort()
        self._client = client
        self.port.attach(client)


class _TcpHost(asyncio.Protocol):
    def __init__(self, owner: TcpPort) -> None:
        self._owner = owner

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what create_server makes
        self._owner.connected(transport)

    def data_received(self, data: bytes) -> None:
        self._owner.port.received(data)

    def pause_writing(self) -> None:
        self._owner.port.has_room(False)

    def resume_writing(self) -> None:
        self._owner.port.has_room(True)


class PtyPort:
    """``serial:PATH``: a pseudo-terminal that passes ``baud`` bits a second each way.

    ``link`` is a symbolic link to the terminal of the moment, for a path that outlives an unplugging. What
    the host writes too fast waits in the kernel and then holds the host up, as RTS does.
    """

    def __init__(
        self, controller: VirtualController, *, baud: int = 1_000_000, link: Path | None = None
    ) -> None:
        self.port = HostPort(controller)
        self._bytes_per_s = baud / BITS_A_BYTE
        self._link = link
        self._master = self._slave = -1
        self._waiting: deque[bytes] = deque()
        self._held_bytes = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._news = asyncio.Event()

    @property
    def path(self) -> str:
        return str(self._link) if self._link is not None else os.ttyname(self._slave)

    @property
    def address(self) -> str:
        """As a gateway's configuration names it."""
        return f"serial:{self.path},1000000,rtscts"

    async def __aenter__(self) -> Self:
        self.plug()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.unplug()

    def plug(self) -> None:
        """Make the terminal; our own end of the host's side stays open, so that hosts may come and go."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        if self._link is not None:
            self._link.unlink(missing_ok=True)
            self._link.symlink_to(os.ttyname(self._slave))
        self.port.attach(self)
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._write())]

    async def unplug(self) -> None:
        """As if the dongle were pulled out: the host reads an end of file."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._waiting.clear()
        self._held_bytes = 0
        self.port.attach(None)
        for descriptor in (self._master, self._slave):
            if descriptor >= 0:
                os.close(descriptor)
        self._master = self._slave = -1
        if self._link is not None:
            self._link.unlink(missing_ok=True)

    def write(self, data: bytes) -> None:
        self._waiting.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > HELD_BYTES:
            self.port.has_room(False)
        self._news.set()

    def _passed(self, count: int) -> None:
        """To the host."""
        was_full = self._held_bytes > HELD_BYTES // 2
        self._held_bytes -= count
        if was_full and self._held_bytes <= HELD_BYTES // 2:
            self.port.has_room(True)

    async def _read(self) -> None:
        """Bytes of the host, no faster than the line."""
        pace = Pace(self._bytes_per_s)
        while True:
            await _readable(self._master)
            while data := _read_some(self._master, await pace.allowance()):
                pace.spend(len(data))
                self.port.received(data)

    async def _write(self) -> None:
        """Bytes to the host, no faster than the line."""
        pace = Pace(self._bytes_per_s)
        while True:
            self._news.clear()
            while self._waiting:
                head = self._waiting.popleft()
                room = await pace.allowance()
                sent = _write_some(self._master, head[:room])
                pace.spend(sent)
                if sent < len(head):
                    self._waiting.appendleft(head[sent:])
                self._passed(sent)
                if sent == 0:
                    await _writable(self._master)
            await self._news.wait()


class Pace:
    """So many bytes a second, a few milliseconds' worth at once."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._loop = asyncio.get_running_loop()
        self._free_at = self._loop.time()

    async def allowance(self) -> int:
        """Wait until some may pass; how many."""
        await asyncio.sleep(max(0.0, self._free_at - self._loop.time()))
        idle = max(0.0, min(self._loop.time() - self._free_at, 4 * TICK_S))
        self._free_at = self._loop.time() - idle
        return max(1, int((idle + TICK_S) * self._rate))

    def spend(self, count: int) -> None:
        self._free_at += count / self._rate


def _read_some(descriptor: int, count: int) -> bytes:
    try:
        return os.read(descriptor, count)
    except BlockingIOError:
        return b""


def _write_some(descriptor: int, data: bytes) -> int:
    try:
        return os.write(descriptor, data)
    except BlockingIOError:
        return 0


async def _readable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)


async def _writable(descriptor: int) -> None:
    loop, ready = asyncio.get_running_loop(), asyncio.Event()
    loop.add_writer(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(descriptor)
