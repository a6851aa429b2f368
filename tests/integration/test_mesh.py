"""Three gateways in a line over TCP, one with a coordinator: logs go up, acks come back, even when cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from sync_rig import HastyClock, submission

from gateway.carried import Carried
from gateway.core.mesh import RelayLimits
from gateway.core.pin import CoordinatorKey
from gateway.core.sync import Local
from gateway.core.timekeeper import Timekeeper
from gateway.model import Head, Stamp, TimeQuality
from gateway.services.carrying import Author, Carrying, Delivery, Surroundings
from gateway.services.mesh import Lan, Mesh, MeshSettings
from gateway.services.mesh.service import Shore
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from simulators.coordinator import Coordinator

SETTINGS = MeshSettings(
    limits=RelayLimits(settle_s=0.0), after_s=0.0, gather_s=10.0, tick_s=5.0, bundle_bytes=1 << 16
)


class Station:
    """One gateway: log, folder, mesh, and a link where it is ``online``."""

    def __init__(
        self, name: str, root: Path, store: Store, coordinator: Coordinator, *, online: bool
    ) -> None:
        self.name, self.store = name, store
        self._coordinator, self._online = coordinator, online
        key = SigningKey(sha256(name.encode()).digest())
        self.key = bytes(key.verify_key)
        self._sign = lambda message: key.sign(message).signature
        pinned = CoordinatorKey.parse(coordinator.vkey)
        self.carried = Carried(root / f"{name}-carried", 1 << 26, lambda: pinned)
        around = Surroundings(
            store=store,
            carried=self.carried,
            author=Author(name, self.key, self._sign),
            coordinator=lambda: pinned,
            now=lambda: Stamp(1_790_000_000_000, TimeQuality.AGREED),
            outbox=root / f"{name}-out",
        )
        carrying = Carrying(around, lambda: self.delivery.stirred.set())
        self.delivery = Delivery(self.carried, self.key, carrying.take_ack_of)
        self.link = self._link()
        shore = Shore(
            store=store,
            carried=self.carried,
            desk=carrying,
            key=self.key,
            clock=HastyClock(),
            down_s=lambda: 0.0 if self.link.figures.connected else 1.0,
        )
        self.mesh = Mesh(SETTINGS, shore)
        self._works: list[asyncio.Task[None]] = []
        self._lan: asyncio.Task[None] | None = None

    async def start(self) -> None:
        await self._coordinator.register(self.name, self.key)
        works: list[Callable[[], Awaitable[None]]] = [self.mesh.run]
        works += [self.link.run] if self._online else []
        self._works = [asyncio.ensure_future(work()) for work in works]

    async def listen(self, *peers: int) -> int:
        """On the network, until :meth:`leave`; the port."""
        opened: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        addresses = [("127.0.0.1", port) for port in peers]
        lan = Lan(self.name, ("127.0.0.1", 0), addresses, self.mesh.join, HastyClock(), opened.set_result)
        self._lan = asyncio.ensure_future(lan.run())
        return await opened

    async def leave(self) -> None:
        await _ended([self._lan] if self._lan else [])
        self._lan = None

    async def stop(self) -> None:
        await self.leave()
        await _ended(self._works)

    async def append(self, first: int, last: int) -> None:
        for start in range(first, last, 250):
            numbers = range(start, min(last, start + 250))
            await self.store.append([submission(number, 1, salt=self.name) for number in numbers])

    async def acked(self, size: int) -> Head:
        while (head := await self.store.head()).acked_size < size:
            await asyncio.sleep(0.01)
        return head

    def _link(self) -> SyncLink:
        clock = HastyClock()
        return SyncLink(
            LinkSettings(url=self._coordinator.ws_url),
            Local(
                gateway_id=self.name,
                key=self.key,
                sign=self._sign,
                coordinator=CoordinatorKey.parse(self._coordinator.vkey),
                instance=sha256(self.name.encode()).digest()[:16],
                version="1",
            ),
            self.store,
            Timekeeper(clock),
            clock,
            status=dict,
            cargo=self.delivery,
        )


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@asynccontextmanager
async def line(root: Path) -> AsyncIterator[tuple[Coordinator, Station, Station, Station]]:
    """a - b - c, and c with a coordinator; none is on the network yet."""
    async with AsyncExitStack() as stack:
        coordinator = await stack.enter_async_context(Coordinator(db=root / "coordinator.db", token="t"))
        stations = []
        for name in "abc":
            settings = StoreSettings(path=root / f"{name}.db", gateway_id=name, free_bytes=lambda: 1 << 40)
            store = await stack.enter_async_context(Store(settings))
            station = Station(name, root, store, coordinator, online=name == "c")
            stack.push_async_callback(station.stop)
            await station.start()
            stations.append(station)
        a, b, c = stations
        yield coordinator, a, b, c


@pytest.fixture
async def stations(tmp_path: Path) -> AsyncIterator[tuple[Coordinator, Station, Station, Station]]:
    async with line(tmp_path) as opened:
        yield opened


Line = tuple[Coordinator, Station, Station, Station]


async def test_a_log_goes_through_the_line_and_its_ack_comes_back(stations: Line) -> None:
    coordinator, a, b, c = stations
    await b.listen(await a.listen(), await c.listen())
    await a.append(0, 60)
    async with asyncio.timeout(30):
        head = await a.acked(60)
    counts = (await coordinator.counts())["gateways"]["a"]
    assert counts["origins"][head.origin] == {"size": 60, "root": head.root.hex()}
    assert counts["duplicates"] == 0 and counts["repeated"] == 0
    assert head.cosigned_note is not None and not a.carried.held

    await a.append(60, 90)
    await b.append(0, 10)
    async with asyncio.timeout(30):
        await a.acked(90)
        await b.acked(10)
    while b.carried.held or c.carried.held:  # the acks let go of what was carried
        await asyncio.sleep(0.01)
    assert b.mesh.sent_bytes > 0 and b.mesh.neighbours == 2


async def test_the_one_in_the_middle_is_cut_out_and_back_and_nothing_is_lost_or_comes_twice(
    stations: Line,
) -> None:
    coordinator, a, b, c = stations
    await a.append(0, 40)
    await b.listen(await a.listen())
    async with asyncio.timeout(30):
        while not any(held.gateway_id == "a" and held.size == 40 for held in b.carried.held):
            await asyncio.sleep(0.01)
    await b.leave()  # from a; what b has it carries on
    await a.append(40, 50)
    await a.leave()
    await b.listen(await c.listen())
    async with asyncio.timeout(30):
        while not b.carried.acks:
            await asyncio.sleep(0.01)
    assert (await coordinator.counts())["gateways"]["a"]["entries"] == 40
    assert (await a.store.head()).acked_size == 0
    await b.leave()
    await b.listen(await a.listen())  # the ack goes back, the rest comes on, c is out of range
    async with asyncio.timeout(30):
        await a.acked(40)
    await c.leave()
    await b.leave()
    await a.leave()
    await b.listen(await a.listen(), await c.listen())
    async with asyncio.timeout(30):
        await a.acked(50)
    counts = (await coordinator.counts())["gateways"]["a"]
    assert (counts["entries"], counts["duplicates"], counts["repeated"]) == (50, 0, 0)
