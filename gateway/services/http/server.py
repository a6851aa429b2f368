"""One listening HTTP/1.1 server, bounded in connections, in bytes and in time; ``core.http1`` reads for it.

aiohttp would take 11 MiB of memory and a seventh of a second for what is needed here: whole bodies of a known
length in, whole answers out.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from gateway.core.http1 import CONTINUE, END_OF_HEAD, MAX_HEAD, Head, HttpError, Response, parse_head
from gateway.errors import FatalError, NeedsPerson

log = logging.getLogger(__name__)

LINGER_S = 1.0
LINGER_BYTES = 1 << 20
"""How long, and how much of a body that nobody wants is read before a connection is closed: data left unread
makes the kernel reset it, and the answer is lost with that (RFC 9112 section 9.6)."""


class Request:
    """One request; its body is read when somebody asks for it."""

    def __init__(
        self, head: Head, peer: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.head = head
        self.peer = peer
        self.unread = head.content_length
        self._reader = reader
        self._writer = writer

    @property
    def last_segment(self) -> str:
        """What follows the last slash of the path."""
        return self.head.path.rpartition("/")[2]

    async def body(self) -> bytes:
        """All of it, so look at its length first. Raises asyncio.IncompleteReadError and ConnectionError."""
        if self.unread and self.head.expects_continue:
            self._writer.write(CONTINUE)
        body = await self._reader.readexactly(self.unread)
        self.unread = 0
        return body


Respond = Callable[[Request], Awaitable[Response]]


def _nobody_counts(status: int, seconds: float) -> None:
    """For servers whose requests are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a server lets itself be kept busy with; times in seconds.

    Connections beyond are closed at once. ``head_s``: how long a connection may stand without the whole head
    of a request. ``request_s``: from there to the answer, and again until it is taken. ``drain_s``: for what
    runs when we close.
    """

    connections: int = 256
    connections_of_one_peer: int = 32
    head_s: float = 15.0
    request_s: float = 30.0
    drain_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a server serves: (method, path) → answer; a path that ends in ``/*`` stands for any last segment.

    ``counted`` is told status and seconds of every request whose path is not among ``probes``: a probe that
    says no is not an error of the gateway's. ``opened`` is told where it listens.
    """

    name: str
    host: str
    port: int
    routes: Mapping[tuple[str, str], Respond]
    probes: frozenset[str] = frozenset()
    counted: Callable[[int, float], None] = _nobody_counts
    opened: Callable[[str, int], None] = lambda host, port: None
    bounds: Bounds = Bounds()


async def serve(site: Site) -> None:
    """Serve until cancelled, then finish what runs.

    Raises the FatalError that an answer ended with, NeedsPerson where the port is taken or forbidden, and
    OSError where the address is not up yet.
    """
    server = _Server(site)
    listener = await _listen(site, server)
    host, port = listener.sockets[0].getsockname()[:2]
    log.info("listening", extra={"server": site.name, "address": f"{host}:{port}"})
    site.opened(host, port)
    try:
        await server.broken
    finally:
        listener.close()
        await server.drain()


async def _listen(site: Site, server: _Server) -> asyncio.Server:
    try:
        return await asyncio.start_server(server.connected, site.host, site.port, limit=MAX_HEAD)
    except OSError as error:
        what = f"cannot listen on TCP {site.host}:{site.port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            raise NeedsPerson(what, "stop the other server on this port, or set another port") from error
        if error.errno == errno.EACCES:
            raise NeedsPerson(what, "use a port from 1024 on") from error
        raise


@dataclass(slots=True, eq=False)
class _Connection:
    """Owned by its own task; ``busy`` from the first byte of a request to the end of its answer."""

    peer: str
    task: asyncio.Task[None] | None
    busy: bool = False


class _Server:
    """All connections of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._connections: set[_Connection] = set()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What asyncio runs, as a task, for each connection."""
        connection = _Connection(_host(writer), asyncio.current_task())
        if self._is_full(connection.peer):
            writer.transport.abort()
            return
        self._connections.add(connection)
        try:
            await self._converse(connection, reader, writer)
        except (ConnectionError, TimeoutError, asyncio.IncompleteReadError) as error:
            log.debug("connection ended", extra={"server": self._site.name, "reason": repr(error)})
        finally:
            self._connections.discard(connection)
            writer.close()

    async def drain(self) -> None:
        """End what is idle, give what is busy its time, end that too."""
        for connection in self._connections:
            if not connection.busy and connection.task is not None:
                connection.task.cancel()
        tasks = [connection.task for connection in self._connections if connection.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._site.bounds.drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _is_full(self, peer: str) -> bool:
        bounds = self._site.bounds
        of_peer = sum(connection.peer == peer for connection in self._connections)
        return len(self._connections) >= bounds.connections or of_peer >= bounds.connections_of_one_peer

    async def _converse(
        self, connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        keeps_alive = True
        while keeps_alive:
            async with asyncio.timeout(self._site.bounds.head_s):
                raw = await _read_head(reader)
            connection.busy = True
            keeps_alive = await self._exchange(connection, raw, reader, writer)
            connection.busy = False

    async def _exchange(
        self,
        connection: _Connection,
        raw: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> bool:
        """One request and its answer; whether another may follow."""
        started = time.monotonic()
        try:
            request = Request(parse_head(raw), connection.peer, reader, writer)
        except HttpError as error:
            self._site.counted(error.status, time.monotonic() - started)
            await self._send(writer, _failure(error), keeps_alive=False)
            await _linger(reader, writer)
            return False
        response = await self._answer(request)
        if request.head.path not in self._site.probes:
            self._site.counted(response.status, time.monotonic() - started)
        keeps_alive = request.head.keeps_alive and not request.unread
        await self._send(writer, response, keeps_alive=keeps_alive)
        if request.unread:
            await _linger(reader, writer)
        return keeps_alive

    async def _answer(self, request: Request) -> Response:
        try:
            respond = self._route(request.head)
            async with asyncio.timeout(self._site.bounds.request_s):
                return await respond(request)
        except HttpError as error:
            return _failure(error)
        except TimeoutError:
            return _failure(HttpError(HTTPStatus.REQUEST_TIMEOUT, "too slow"))
        except (ConnectionError, asyncio.IncompleteReadError):  # told to the counter: nobody is there
            return _failure(HttpError(HTTPStatus.BAD_REQUEST, "the request ended early"))
        except FatalError as error:
            if not self.broken.done():
                self.broken.set_exception(error)
            return _failure(HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway stops"))
        except Exception:  # a bug in one answer: said loudly, counted as 500, and the server goes on
            log.exception("a request failed", extra={"method": request.head.method})
            return _failure(HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "failed"))

    def _route(self, head: Head) -> Respond:
        parent = head.path.rpartition("/")[0]
        routes = self._site.routes
        for path in (head.path, f"{parent}/*"):
            if (head.method, path) in routes:
                return routes[head.method, path]
            if any(known == path for _, known in routes):
                raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "no such method here")
        raise HttpError(HTTPStatus.NOT_FOUND, "no such path")

    async def _send(self, writer: asyncio.StreamWriter, response: Response, *, keeps_alive: bool) -> None:
        writer.write(response.to_bytes(keeps_alive=keeps_alive))
        async with asyncio.timeout(self._site.bounds.request_s):
            await writer.drain()


async def _read_head(reader: asyncio.StreamReader) -> bytes:
    """Up to the empty line. What is longer than a head may be comes cut, for the parser to refuse."""
    try:
        return await reader.readuntil(END_OF_HEAD)
    except asyncio.LimitOverrunError:
        return await reader.read(MAX_HEAD + 1) + bytes(MAX_HEAD)


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    left = LINGER_BYTES
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(LINGER_S):
            writer.write_eof()
            while left > 0 and (piece := await reader.read(left)):
                left -= len(piece)


def _host(writer: asyncio.StreamWriter) -> str:
    peername = writer.get_extra_info("peername")
    return str(peername[0]) if peername else ""


def _failure(error: HttpError) -> Response:
    return Response.of_json({"status": "failed", "detail": str(error)}, error.status)
