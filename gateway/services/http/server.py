"""One listening HTTP server, bounded in connections and in time; what it answers is given to it."""

from __future__ import annotations

import asyncio
import errno
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from gateway.errors import NeedsPerson

log = logging.getLogger(__name__)

Respond = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _nobody_counts(status: int, seconds: float) -> None:
    """For servers whose requests are not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a server lets itself be kept busy with; times in seconds.

    Connections beyond are closed at once. ``head_s``: how long a connection may stand without the whole head
    of a request. ``request_s``: from there to the answer. ``drain_s``: for what runs when we close.
    """

    connections: int = 256
    connections_of_one_peer: int = 32
    head_s: float = 15.0
    request_s: float = 30.0
    drain_s: float = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What a server serves: (method, path) → answer. ``counted`` is told status and seconds of every request
    whose path is not among ``probes``: a probe that says no is not an error of the gateway's."""

    name: str
    host: str
    port: int
    routes: Mapping[tuple[str, str], Respond]
    probes: frozenset[str] = frozenset()
    counted: Callable[[int, float], None] = _nobody_counts
    opened: Callable[[str, int], None] = lambda host, port: None
    bounds: Bounds = Bounds()


async def serve(site: Site) -> None:
    """Serve until cancelled, then finish what runs. ``site.opened`` is told where it listens.

    Raises NeedsPerson where the port is taken or forbidden, and OSError where the address is not up yet.
    """
    runner = web.AppRunner(
        _application(site),
        access_log=None,
        auto_decompress=False,  # a small body that swells is refused as what it is: malformed
        keepalive_timeout=site.bounds.head_s,
        lingering_time=1.0,
        shutdown_timeout=site.bounds.drain_s,
    )
    await runner.setup()
    try:
        async with await _listen(site, runner) as listener:
            host, port = listener.sockets[0].getsockname()[:2]
            log.info("listening", extra={"server": site.name, "address": f"{host}:{port}"})
            site.opened(host, port)
            await asyncio.Event().wait()
    finally:
        await runner.cleanup()


async def _listen(site: Site, runner: web.AppRunner) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    try:
        return await loop.create_server(lambda: _Doorkeeper(runner, site.bounds), site.host, site.port)
    except OSError as error:
        what = f"cannot listen on TCP {site.host}:{site.port}: {error.strerror or error}"
        if error.errno == errno.EADDRINUSE:
            raise NeedsPerson(what, "stop the other server on this port, or set another port") from error
        if error.errno == errno.EACCES:
            raise NeedsPerson(what, "use a port from 1024 on") from error
        raise


class _Doorkeeper(asyncio.Protocol):
    """Hands a new connection to aiohttp, or closes it where there are too many, of all or of one peer."""

    def __init__(self, runner: web.AppRunner, bounds: Bounds) -> None:
        self._runner = runner
        self._bounds = bounds

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        connection = cast("asyncio.Transport", transport)
        server = self._runner.server
        if server is None or self._is_full(server, connection):
            connection.abort()
            return
        protocol = server()
        connection.set_protocol(protocol)
        protocol.connection_made(connection)

    def _is_full(self, server: web.Server, connection: asyncio.Transport) -> bool:
        host = _host(connection.get_extra_info("peername"))
        others = [_host(other.peername) for other in server.connections]
        return (
            len(others) >= self._bounds.connections
            or others.count(host) >= self._bounds.connections_of_one_peer
        )


def _host(peername: object) -> object:
    return peername[0] if isinstance(peername, tuple) and peername else None


def _application(site: Site) -> web.Application:
    @web.middleware
    async def within_bounds(request: web.Request, handler: Respond) -> web.StreamResponse:
        started = time.monotonic()
        response = await _answer(request, handler, site.bounds.request_s)
        if request.path not in site.probes:
            site.counted(response.status, time.monotonic() - started)
        return response

    application = web.Application(middlewares=[within_bounds])
    for (method, path), respond in site.routes.items():
        application.router.add_route(method, path, respond)
    return application


async def _answer(request: web.Request, handler: Respond, seconds: float) -> web.StreamResponse:
    try:
        async with asyncio.timeout(seconds):
            return await handler(request)
    except web.HTTPException as error:  # aiohttp's own: no such path, no such method
        return _failure(error.status, error.reason)
    except TimeoutError:
        return _failure(408, "too slow")
    except (ConnectionError, asyncio.IncompleteReadError, web.RequestPayloadError):
        return _failure(400, "the request ended early")  # told to the counter only: nobody is there
    except Exception:  # a bug in one answer: said loudly, counted as 500, and the server goes on
        log.exception("a request failed", extra={"method": request.method, "path": request.path})
        return _failure(500, "failed")


def _failure(status: int, reason: str) -> web.Response:
    response = web.json_response({"status": "failed", "detail": reason}, status=status)
    response.force_close()
    return response
