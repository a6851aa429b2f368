"""A gateway's store and link in front of the reference coordinator, and clocks that hurry."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import threading
import time
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import cbor2
from nacl.signing import SigningKey

from gateway.clock import Clock
from gateway.core.pin import CoordinatorKey
from gateway.core.submission import EncodedObject, Item, ObjectState, Submission
from gateway.core.sync import Local
from gateway.core.timekeeper import Timekeeper
from gateway.model import EntryKind, Head, Stamp, TimeQuality
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from simulators.coordinator import Coordinator
from simulators.coordinator.faults import Fault, parse_fault

GATEWAY_ID = "gw-1"
KEY = SigningKey(sha256(b"gateway under test").digest())


class HastyClock:
    """Sleeps pass ``hurry`` times as fast; ``monotonic`` follows only where ``true_time`` is off."""

    def __init__(self, hurry: float = 200.0, *, true_time: bool = True, unix_ms: int | None = None) -> None:
        self._hurry = hurry
        self._speed = 1.0 if true_time else hurry
        self._unix_ms = unix_ms

    def monotonic(self) -> float:
        return time.monotonic() * self._speed

    def unix_ns(self) -> int:
        return time.time_ns() if self._unix_ms is None else self._unix_ms * 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._hurry)


def submission(number: int, objects: int = 2, salt: str = "") -> Submission:
    """Texts outside the grammar: the log takes them, and so does the coordinator."""
    texts = [f"{salt}{number}.{i}" for i in range(objects)]
    return Submission(
        kind=EntryKind.TRANSACTIONS,
        radio="lora",
        stamp=Stamp(1_790_000_000_000 + number, TimeQuality.AGREED),
        key=sha256(b"wallet").digest(),
        proven=frozenset(),
        items=tuple(_item(text) for text in texts),
        snapshot=None,
        horizon=0,
    )


def _item(text: str) -> Item:
    body = cbor2.dumps([6, text, "x"])
    return Item(
        identity=sha256(text.encode()).digest(),
        transaction=EncodedObject(sha256(b"\x02" + body).digest(), body),
        raw=True,
        state=ObjectState.INVALID,
        spend=None,
    )


class Rig:
    """One gateway: its store, its link while it runs, and the coordinator it talks to."""

    def __init__(self, store: Store, coordinator: Coordinator) -> None:
        self.store = store
        self.coordinator = coordinator
        self.latencies: list[float] = []
        self.signed_on: set[threading.Thread] = set()
        self._changed = asyncio.Event()
        self.status: dict[str, object] = {"health": 100, "reasons": [], "version": "1.2.3"}
        self.link: SyncLink
        self.timekeeper: Timekeeper

    async def append(self, first: int, last: int, salt: str = "") -> None:
        await self.store.append([submission(number, salt=salt) for number in range(first, last)])

    def make_link(
        self,
        clock: Clock | None = None,
        *,
        url: str | None = None,
        tls: ssl.SSLContext | None = None,
        instance: bytes = b"i" * 16,
        **settings: float,
    ) -> SyncLink:
        clock = clock or HastyClock()
        self.timekeeper = Timekeeper(clock)
        self.link = SyncLink(
            LinkSettings(url=url or self.coordinator.ws_url, tls=tls, **settings),  # type: ignore[arg-type]
            Local(
                gateway_id=GATEWAY_ID,
                key=bytes(KEY.verify_key),
                sign=self._sign,
                coordinator=CoordinatorKey.parse(self.coordinator.vkey),
                instance=instance,
                version="1.2.3",
            ),
            self.store,
            self.timekeeper,
            clock,
            status=lambda: self.status,
            observe_sync=self.latencies.append,
            on_change=self._changed.set,
            rng=random.Random(1),
        )
        return self.link

    def _sign(self, message: bytes) -> bytes:
        self.signed_on.add(threading.current_thread())
        return KEY.sign(message).signature

    async def acked(self, size: int) -> Head:
        """The head, once the coordinator has acked so many."""
        while (head := await self.store.head()).acked_size < size:
            await self._change()
        return head

    async def fault(self, word: str, times: int = 1) -> None:
        """Until the link has ended so often with this word."""
        while self.link.figures.faults[word] < times:
            await self._change()

    async def told_ahead(self, ms: int) -> int:
        """Connect, let the coordinator tell a time that is ``ms`` ahead; how far the gateway then is."""
        await self.connected()
        self.coordinator.authority.now_ms = lambda: time.time_ns() // 1_000_000 + ms
        heard = self.link.figures.heartbeats
        while self.link.figures.heartbeats < heard + 2:  # the first may have been on its way before
            self.link.heartbeat_soon()
            await asyncio.sleep(0)
        return self.timekeeper.now().unix_ms - time.time_ns() // 1_000_000

    async def connected(self) -> None:
        while not self.link.figures.connected:
            await self._change()

    async def _change(self) -> None:
        """The next change of the link; the look before may have been a little early for it."""
        self._changed.clear()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), 0.5)

    async def register(self) -> None:
        await self.coordinator.register(GATEWAY_ID, bytes(KEY.verify_key))

    def lie(self, written: str) -> None:
        self.coordinator.faults.set(parse_fault(written))


@contextlib.asynccontextmanager
async def running(link: SyncLink) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(link.run(), name="sync")
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    settings = StoreSettings(path=path, gateway_id=GATEWAY_ID, free_bytes=lambda: 1 << 40)
    async with Store(settings) as store:
        yield store


@contextlib.asynccontextmanager
async def open_coordinator(
    path: Path,
    *,
    registered: bool = True,
    faults: tuple[Fault, ...] = (),
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[Coordinator]:
    async with Coordinator(db=path, token="t", faults=faults, tls=tls) as coordinator:
        if registered:
            await coordinator.register(GATEWAY_ID, bytes(KEY.verify_key))
        yield coordinator
