"""The reference coordinator: a WebSocket server, an HTTP server and one working thread behind both."""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from aiohttp import web
from nacl.signing import SigningKey
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

from simulators.coordinator import accounts, bundles, metrics, wire
from simulators.coordinator.api import application
from simulators.coordinator.authority import Authority
from simulators.coordinator.court import Conflict
from simulators.coordinator.faults import Fault, Faults
from simulators.coordinator.heads import take_text
from simulators.coordinator.link import Link
from simulators.coordinator.orders import Outcome
from simulators.coordinator.records import Registration
from simulators.coordinator.store import Store
from simulators.textbook.notes import Checkpoint

P = ParamSpec("P")
T = TypeVar("T")

Address = tuple[str, int]

NAME = "offgrid-coordinator"
PING_INTERVAL_S = 120.0
PING_TIMEOUT_S = 60.0


def wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000


class Coordinator:
    """Open with ``async with``; `ws_url`, `api_url` and `vkey` are told then.

    `verify=False`: only acknowledges. `tls` is the WebSocket's, `api_tls` that of HTTP.
    `decides`: every conflict at once, by the rules.
    `key_seed` (32 bytes) fixes the coordinator's key, else the store keeps the one it began with.
    """

    def __init__(
        self,
        *,
        db: Path,
        token: str,
        listen: Address = ("127.0.0.1", 0),
        api: Address = ("127.0.0.1", 0),
        name: str = NAME,
        verify: bool = True,
        faults: Iterable[Fault] = (),
        tls: ssl.SSLContext | None = None,
        api_tls: ssl.SSLContext | None = None,
        key_seed: bytes | None = None,
        decides: bool = False,
        now_ms: Callable[[], int] = wall_clock_ms,
    ) -> None:
        self.faults = Faults(tuple(faults))
        self.ws_url = ""
        self.api_url = ""
        self.vkey = ""
        self.authority: Authority
        self._db = db
        self._token = token
        self._listen = listen
        self._api = api
        self._name = name
        self._verify = verify
        self._tls = tls
        self._api_tls = api_tls
        self._key_seed = key_seed
        self._decides = decides
        self._now_ms = now_ms
        self._links: dict[Link, asyncio.Task[Any] | None] = {}
        self._waiting: set[asyncio.Event] = set()

    async def __aenter__(self) -> Self:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="coordinator")
        self._loop = asyncio.get_running_loop()
        async with AsyncExitStack() as stack:
            stack.callback(self._thread.shutdown)
            self.authority = await self.work(self._open)
            stack.push_async_callback(self.work, self.authority.store.close)
            self.vkey = self.authority.note_key.vkey()
            self.registry = metrics.registry(self.authority)
            await self._serve_api(stack)
            await stack.enter_async_context(await self._serve_links())
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def work(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Runs a call on the working thread: store, signatures and sessions belong to it."""
        return await self._loop.run_in_executor(self._thread, lambda: call(*args, **kwargs))

    async def register(
        self, gateway: str, key: bytes, kind: str = "lora", location: str = "{}"
    ) -> Registration:
        """Makes a gateway's key (32 bytes) known, as POST /v1/gateways does."""
        store = self.authority.store
        outcome = await self.work(store.register, gateway, key, kind, location, self._now_ms())
        if outcome is Registration.NEW:
            await self.work(self.authority.heard, gateway)
        return outcome

    async def counts(self) -> dict[str, Any]:
        return await self.work(accounts.counts, self.authority)

    async def accepted(self) -> dict[str, Any]:
        return await self.work(accounts.accepted, self.authority.store)

    async def forks(self) -> list[dict[str, Any]]:
        return await self.work(accounts.forks, self.authority.store)

    async def conflicts(self) -> list[Conflict]:
        return await self.work(self.authority.court.conflicts)

    async def decide(self, key: bytes, nonce: int) -> Conflict:
        """By the network's rules; every gateway is told. Raises `KeyError` where there is no conflict."""
        return await self.work(self.authority.court.decide, key, nonce)

    async def devices(self, known: list[tuple[bytes, bool]]) -> None:
        """Keys of devices, and whether each is blocked; every gateway is told."""
        await self.work(self.authority.court.devices, known)

    async def lift(self, gateway: str) -> None:
        """A person has looked at this gateway: quarantine, fence and forks no longer bar it."""
        await self.work(self.authority.store.quarantine, gateway, None)

    async def text(self, text: str) -> Checkpoint:
        """A text message has come: the head that it states. Raises `Malformed`."""
        return await self.work(take_text, self.authority, text)

    async def bundle(self, data: bytes) -> bytes:
        """A whole bundle has come by whatever way; the ack for it. Raises `bundles.Refused`."""
        return await self.work(bundles.take, self.authority, BytesIO(data))

    async def fetch(self, gateway: str, hashes: list[bytes]) -> list[bytes | None]:
        """Asks a connected gateway for objects by hash; raises `KeyError` where it is not connected."""
        session = self.authority.live[gateway]
        link = next(link for link in self._links if link.session is session)
        message, answer = await self.work(session.fetch, tuple(hashes))
        await link.send(message)
        return await asyncio.wrap_future(answer)

    async def order(self, gateway: str, name: str, arguments: dict[str, Any] | None = None) -> Outcome:
        """Has a connected gateway do something, and waits for what comes of it.

        Raises `KeyError` where it is not connected.
        """
        known = await self.work(self.authority.store.gateway, gateway)
        if known is None:
            raise KeyError(gateway)
        orders, now_ms = self.authority.orders, self._now_ms()
        given = await self.work(orders.give, gateway, known.key, name, arguments or {}, now_ms)
        return await self._ordered(gateway, *given)

    async def order_as_is(self, gateway: str, fields: list[object], number: int) -> Outcome:
        """The same with an order of any making: forged, old, of somebody else."""
        return await self._ordered(
            gateway, *await self.work(self.authority.orders.expect, gateway, fields, number)
        )

    async def _ordered(self, gateway: str, message: list[object], answer: Future[Outcome]) -> Outcome:
        session = self.authority.live[gateway]
        link = next(link for link in self._links if link.session is session)
        await link.send(message)
        return await asyncio.wrap_future(answer)

    async def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The counts, as soon as they make `true` true."""
        changed = asyncio.Event()
        self._waiting.add(changed)
        try:
            while not true(counts := await self.counts()):
                await changed.wait()
                changed.clear()
        finally:
            self._waiting.remove(changed)
        return counts

    def _open(self) -> Authority:
        store = Store(self._db)
        seed = self._key_seed or store.own("key", os.urandom(32))
        key = SigningKey(seed)
        authority = Authority(
            store, key, self._name, self.faults, self._now_ms, verify=self._verify, decides=self._decides
        )
        authority.on_change = self._on_change
        return authority

    def _on_change(self) -> None:
        """On the working thread."""
        self._loop.call_soon_threadsafe(self._wake)

    def _wake(self) -> None:
        for changed in self._waiting:
            changed.set()

    async def _serve_links(self) -> Server:
        server = await serve(
            self._link,
            *self._listen,
            ssl=self._tls,
            subprotocols=[Subprotocol(wire.SUBPROTOCOL)],
            compression=None,
            max_size=wire.MAX_MESSAGE,
            max_queue=4,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            process_request=self._process_request,
        )
        self.ws_url = _url("wss" if self._tls else "ws", next(iter(server.sockets)).getsockname())
        return server

    async def _serve_api(self, stack: AsyncExitStack) -> None:
        runner = web.AppRunner(application(self, self._token), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, *self._api, ssl_context=self._api_tls).start()
        self.api_url = _url("https" if self._api_tls else "http", runner.addresses[0])

    async def _link(self, websocket: ServerConnection) -> None:
        link = Link(self.authority, websocket, self.work)
        self._links[link] = asyncio.current_task()
        try:
            await link.run()
        finally:
            del self._links[link]

    def _process_request(self, connection: ServerConnection, _: Request) -> Response | None:
        if self.faults.take("refuse"):
            return connection.respond(HTTPStatus.SERVICE_UNAVAILABLE, "told to refuse\n")
        return None


def _url(scheme: str, address: Any) -> str:
    host, port, *_ = address
    return f"{scheme}://{host}:{port}"
