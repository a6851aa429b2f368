"""One listening HTTP/1.1 server, bounded in connections, in bytes and in time."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from gateway.errors import FatalError, NeedsPerson
from gateway.services.http.connection import READ, Connection, Request
from gateway.services.http.message import HttpError, Response

log = logging.getLogger(__name__)

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
        return await asyncio.start_server(server.connected, site.host, site.port, limit=READ)
    except OSError as error:
        what = f"cannot listen on TCP {site.host}:{site.port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            raise NeedsPerson(what, "stop the other server on this port, or set another port") from error
        if error.errno == errno.EACCES:
            raise NeedsPerson(what, "use a port from 1024 on") from error
        raise


@dataclass(slots=True, eq=False)
class _Client:
    """Owned by its own task; ``busy`` from the head of a request to the end of its answer."""

    peer: str
    task: asyncio.Task[None] | None
    busy: bool = False


class _Server:
    """All connections of one site."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._clients: set[_Client] = set()
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What asyncio runs, as a task, for each connection."""
        connection = Connection(reader, writer)
        client = _Client(connection.peer, asyncio.current_task())
        if self._is_full(client.peer):
            writer.transport.abort()
            return
        self._clients.add(client)
        try:
            await self._converse(client, connection)
        except (ConnectionError, TimeoutError) as error:
            log.debug("connection ended", extra={"server": self._site.name, "reason": repr(error)})
        finally:
            self._clients.discard(client)
            writer.close()

    async def drain(self) -> None:
        """End what is idle, give what is busy its time, end that too."""
        for client in self._clients:
            if not client.busy and client.task is not None:
                client.task.cancel()
        tasks = [client.task for client in self._clients if client.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=self._site.bounds.drain_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _is_full(self, peer: str) -> bool:
        bounds = self._site.bounds
        of_peer = sum(client.peer == peer for client in self._clients)
        return len(self._clients) >= bounds.connections or of_peer >= bounds.connections_of_one_peer

    async def _converse(self, client: _Client, connection: Connection) -> None:
        goes_on = True
        while goes_on:
            try:
                async with asyncio.timeout(self._site.bounds.head_s):
                    request = await connection.next_request()
            except HttpError as error:
                self._site.counted(error.status, 0.0)
                await self._send(connection, error.response)
                return
            if request is None:
                return
            client.busy = True
            goes_on = await self._exchange(connection, request)
            client.busy = False

    async def _exchange(self, connection: Connection, request: Request) -> bool:
        """One request and its answer; whether another may follow."""
        started = time.monotonic()
        response = await self._answer(request)
        if request.path not in self._site.probes:
            self._site.counted(response.status, time.monotonic() - started)
        return await self._send(connection, response)

    async def _answer(self, request: Request) -> Response:
        try:
            respond = self._route(request)
            async with asyncio.timeout(self._site.bounds.request_s):
                return await respond(request)
        except HttpError as error:
            return error.response
        except TimeoutError:
            return HttpError(HTTPStatus.REQUEST_TIMEOUT, "too slow").response
        except ConnectionError:  # told to the counter: nobody is there
            return HttpError(HTTPStatus.BAD_REQUEST, "the request ended early").response
        except FatalError as error:
            if not self.broken.done():
                self.broken.set_exception(error)
            return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "the gateway stops").response
        except Exception:  # a bug in one answer: said loudly, counted as 500, and the server goes on
            log.exception("a request failed", extra={"method": request.method})
            return HttpError(HTTPStatus.INTERNAL_SERVER_ERROR, "failed").response

    def _route(self, request: Request) -> Respond:
        routes = self._site.routes
        method = "GET" if request.method == "HEAD" else request.method
        for path in (request.path, f"{request.path.rpartition('/')[0]}/*"):
            if (method, path) in routes:
                return routes[method, path]
            allowed = [known for known, at in routes if at == path]
            if allowed:
                allow = {"Allow": ", ".join([*allowed, "HEAD"] if "GET" in allowed else allowed)}
                raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "no such method here", allow)
        raise HttpError(HTTPStatus.NOT_FOUND, "no such path")

    async def _send(self, connection: Connection, response: Response) -> bool:
        async with asyncio.timeout(self._site.bounds.request_s):
            return await connection.answer(response)
