"""Links to other gateways by TCP, to configured addresses and from whoever dials; docs/protocol/mesh.md."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from typing import Any

from drivers.errors import TransmitRefused
from gateway.clock import Clock
from gateway.core.mesh.messages import MAX_MESSAGE_BYTES
from gateway.errors import NeedsPerson

log = logging.getLogger(__name__)

HELLO = b"OGMESH\x01"
OPENING_S = 10.0
AGAIN_S = 15.0
"""Between two tries to reach a configured peer."""
SEND_S = 60.0
"""A message that does not go in so long has met a dead link."""
MAX_LINKS = 32
_ID = re.compile(r"[a-z0-9_-]{1,20}")

Address = tuple[str, int]


class LanLink:
    """A :class:`drivers.base.GatewayLink` over one connection; ``dialled_by`` is the id of who opened it."""

    def __init__(
        self, gateway_id: str, dialled_by: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.dialled_by = dialled_by
        self._id = gateway_id
        self._reader, self._writer = reader, writer

    @property
    def gateway_id(self) -> str:
        return self._id

    async def send(self, message: bytes) -> None:
        try:
            self._writer.write(len(message).to_bytes(4, "big") + message)
            async with asyncio.timeout(SEND_S):
                await self._writer.drain()
        except (OSError, TimeoutError) as error:
            self.close()
            raise TransmitRefused("no_route", f"{self._id}: {error!r}") from error

    async def messages(self) -> AsyncIterator[bytes]:
        """Ends with the connection, and with a message that is too long."""
        try:
            while True:
                yield await _message(self._reader)
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            log.debug("a link of the mesh ended", extra={"gateway": self._id, "reason": repr(error)})

    def close(self) -> None:
        self._writer.transport.abort()


class Lan:
    """A service. ``join`` is awaited for the life of each link."""

    def __init__(
        self,
        gateway_id: str,
        listen: Address | None,
        peers: Sequence[Address],
        join: Callable[[LanLink], Awaitable[None]],
        clock: Clock,
        opened: Callable[[int], None] = lambda port: None,
    ) -> None:
        self._id, self._listen, self._peers = gateway_id, listen, peers
        self._join, self._clock, self._opened = join, clock, opened
        self._links: dict[str, LanLink] = {}
        self._serving: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Raises NeedsPerson where the port is taken."""
        works: list[Coroutine[Any, Any, None]] = [self._dial(address) for address in self._peers]
        if self._listen is not None:
            works.append(self._serve(*self._listen))
        try:
            async with asyncio.TaskGroup() as tasks:
                for work in works:
                    tasks.create_task(work)
        finally:
            for task in self._serving:
                task.cancel()
            await asyncio.gather(*self._serving, return_exceptions=True)

    async def _serve(self, host: str, port: int) -> None:
        try:
            server = await asyncio.start_server(self._connected, host, port)
        except OSError as error:
            what = f"cannot listen for gateways on TCP {host}:{port}: {error.strerror or error}"
            raise NeedsPerson(what, "set another mesh.listen") from error
        port = server.sockets[0].getsockname()[1]
        log.info("listening", extra={"server": "mesh", "address": f"{host}:{port}"})
        self._opened(port)
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is None or len(self._serving) >= MAX_LINKS:
            writer.transport.abort()
            return
        self._serving.add(task)
        try:
            await self._live(reader, writer, dialled=False)
        except asyncio.CancelledError:
            log.debug("a link of the mesh is closed")  # with the service: asyncio would call it an error
        finally:
            self._serving.discard(task)

    async def _dial(self, address: Address) -> None:
        while True:
            try:
                async with asyncio.timeout(OPENING_S):
                    reader, writer = await asyncio.open_connection(*address)
            except (OSError, TimeoutError) as error:
                log.debug("a gateway of the mesh is out of reach", extra={"reason": str(error)})
            else:
                await self._live(reader, writer, dialled=True)
            await self._clock.sleep(AGAIN_S)

    async def _live(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, dialled: bool
    ) -> None:
        try:
            _write(writer, HELLO + self._id.encode())
            async with asyncio.timeout(OPENING_S):
                other = _id_of(await _message(reader))
            link = LanLink(other, self._id if dialled else other, reader, writer)
            if self._stays(link):
                await self._lived(link)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
            log.debug("no gateway of the mesh", extra={"reason": repr(error)})
        finally:
            writer.transport.abort()

    def _stays(self, link: LanLink) -> bool:
        """Of two links between the same two the one that the lesser id dialled, and of such the newer."""
        before = self._links.get(link.gateway_id)
        if link.gateway_id == self._id or (before is not None and link.dialled_by > before.dialled_by):
            return False
        if before is not None:
            before.close()
        return True

    async def _lived(self, link: LanLink) -> None:
        self._links[link.gateway_id] = link
        log.info("linked to a gateway", extra={"gateway": link.gateway_id})
        try:
            await self._join(link)
        finally:
            if self._links.get(link.gateway_id) is link:
                del self._links[link.gateway_id]
                log.info("a gateway is out of range", extra={"gateway": link.gateway_id})


def _write(writer: asyncio.StreamWriter, message: bytes) -> None:
    writer.write(len(message).to_bytes(4, "big") + message)


async def _message(reader: asyncio.StreamReader) -> bytes:
    """Raises ValueError for one that is too long."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    if not 0 < length <= MAX_MESSAGE_BYTES:
        raise ValueError(f"a message of {length} bytes")
    return await reader.readexactly(length)


def _id_of(message: bytes) -> str:
    name = message[len(HELLO) :].decode("ascii", errors="replace")
    if not message.startswith(HELLO) or not _ID.fullmatch(name):
        raise ValueError("not a gateway of this protocol")
    return name
