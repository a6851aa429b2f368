"""Random histories of restores, clones, cuts and lost acks: every fork found, no false alarm, nothing lost.

    python -m benchmarks histories        1,000 histories, some 10 min of processor; with --quick 30

The store, the recorder, the session and the link are the real ones, so is the coordinator. A history ends
with one sync; then everything that was ever acked, and everything on the disk that is left, must be at the
coordinator, once.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random

from nacl.signing import SigningKey

from benchmarks.figure import Figure
from gateway.core.message.uplink import decode_uplink
from gateway.core.pin import CoordinatorKey
from gateway.core.submission import Upload
from gateway.core.sync import Local
from gateway.core.timekeeper import Timekeeper
from gateway.core.wallet.upload import SnapshotUpload
from gateway.errors import NeedsPerson
from gateway.model import Head, Source, Stamp, TimeQuality
from gateway.services.recorder import Recorder
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from simulators.coordinator import Coordinator
from simulators.coordinator.faults import Fault
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor

NOW = 1_790_000_000_000
AT_ONCE = 25
"""Histories behind one coordinator, one after the other."""
PATIENCE_S = 30.0


class Hurry:
    """A clock whose sleeps are short."""

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def unix_ns(self) -> int:
        return NOW * 1_000_000

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds / 500, 0.02))


class Device:
    """One disk with the gateway's key; ``instance`` is of its present boot."""

    def __init__(self, name: str, path: Path, coordinator: Coordinator, boot: str) -> None:
        self.name = name
        self.path = path
        self.key = SigningKey(sha256(name.encode()).digest())
        self.store: Store
        self._coordinator = coordinator
        self._recorder: Recorder
        self._instance = sha256(boot.encode()).digest()[:16]

    @contextlib.asynccontextmanager
    async def on(self) -> AsyncIterator[Device]:
        settings = StoreSettings(path=self.path, gateway_id=self.name, free_bytes=lambda: 1 << 40)
        async with Store(settings) as self.store:
            now = Stamp(NOW, TimeQuality.AGREED)
            self._recorder = Recorder(self.store, sign=self._sign, now=lambda: now, monotonic=lambda: 0.0)
            async with self._recorder:
                yield self

    async def take(self, message: bytes) -> None:
        upload = decode_uplink(message, max_bytes=1 << 20)
        if not isinstance(upload, SnapshotUpload):
            raise TypeError("no snapshot")
        source = Source(radio="benchmark", peer="a wallet", correlation_id="")
        fingerprint = sha256(message).digest()
        recorded = await self._recorder.record(Upload(message=upload, source=source, fingerprint=fingerprint))
        if not recorded.contents:
            raise RuntimeError(f"refused: {recorded.answer}")

    def link(self) -> SyncLink:
        clock = Hurry()
        local = Local(
            gateway_id=self.name,
            key=bytes(self.key.verify_key),
            sign=self._sign,
            coordinator=CoordinatorKey.parse(self._coordinator.vkey),
            instance=self._instance,
            version="benchmark",
        )
        settings = LinkSettings(url=self._coordinator.ws_url, max_entries=3)
        return SyncLink(settings, local, self.store, Timekeeper(clock), clock, status=dict)

    async def synced(self) -> Head:
        """Linked until the coordinator has all of it under the same root."""
        sync = self.link()
        link = asyncio.create_task(sync.run())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not sync.figures.connects or not await self._is_whole():
                    if link.done():
                        link.result()
                    await asyncio.sleep(0.002)
        finally:
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
        return await self.store.head()

    async def _is_whole(self) -> bool:
        head = await self.store.head()
        authority = self._coordinator.authority
        origins = await self._coordinator.work(authority.store.origins)
        there = next((one for one in origins if one.name == head.origin), None)
        if there is None or head.acked_size != head.size:
            return False
        return (there.range.size, there.range.root()) == (head.size, head.root)

    def _sign(self, text: bytes) -> bytes:
        return self.key.sign(text).signature


class History:
    """What happened to one gateway, and what must follow from it."""

    def __init__(self, number: int, folder: Path, coordinator: Coordinator) -> None:
        self.random = Random(number)
        self.name = f"h{number}"
        self.count: Counter[str] = Counter()
        self._folder = folder
        self._coordinator = coordinator
        self._wallets = [Wallet(sha256(f"{number} {n}".encode()).digest()) for n in range(3)]
        self._copies: list[Path] = []
        self._boots = 0
        self._paid = 0
        self._contents: list[bytes] = []
        self._acked: set[bytes] = set()
        self._set_back = False  # leaves went since the epoch began
        self._diverged = False  # and others stand in their place: the next sync must find it

    @property
    def _disk(self) -> Path:
        return self._folder / f"{self.name}.db"

    async def run(self) -> None:
        key = SigningKey(sha256(self.name.encode()).digest())
        await self._coordinator.register(self.name, bytes(key.verify_key))
        steps = (self._upload, self._sync, self._lose_acks, self._cut, self._copy, self._restore, self._clone)
        weights = (6, 3, 2, 2, 3, 3, 1)
        for step in self.random.choices(steps, weights, k=self.random.randint(6, 14)):
            self.count[step.__name__.strip("_")] += 1
            await step()
        await self._sync()
        await self._audit()

    def _device(self, path: Path | None = None) -> Device:
        self._boots += 1
        return Device(self.name, path or self._disk, self._coordinator, f"{self.name} boot {self._boots}")

    async def _upload(self) -> None:
        async with self._device().on() as device:
            await self._bring(device, self.random.randint(1, 4))

    async def _bring(self, device: Device, times: int) -> None:
        behind = await self._is_behind(device)
        for _ in range(times):
            self._paid += 1
            payer, payee = self.random.sample(self._wallets, 2)
            payee.enter(payer.pay(payee.device_id, 1.0 + self._paid, NOW + self._paid))
            over = payee.hand_over(NOW + self._paid)
            await device.take(snapshot_cbor(over))
            self._contents.append(over.content)
        self._diverged = self._diverged or behind

    async def _is_behind(self, device: Device) -> bool:
        """Whether the coordinator holds leaves of this epoch, or a later epoch, that this disk lacks."""
        head = await device.store.head()
        origins = await self._coordinator.work(self._coordinator.authority.store.origins)
        ours = [one for one in origins if one.gateway == self.name and one.range.size]
        later = any(int(one.name.rpartition("/")[2]) > head.epoch for one in ours)
        return later or any(one.name == head.origin and one.range.size > head.size for one in ours)

    async def _sync(self) -> None:
        async with self._device().on() as device:
            await self._judged(device, await device.store.head())

    async def _judged(self, device: Device, before: Head) -> None:
        """Sync, and hold what came of it against what had to come."""
        if before.size == 0 and not self._contents:
            return
        origins = await self._coordinator.work(self._coordinator.authority.store.origins)
        names = [one.name for one in origins if one.gateway == self.name and one.range.size]
        must = self._diverged or any(int(name.rpartition("/")[2]) > before.epoch for name in names)
        after = await device.synced()
        begun = after.epoch > before.epoch
        self.count["epochs"] += begun
        self.count["caught_up"] += not begun and after.size > before.size
        self.count["undetected"] += must and not begun
        self.count["false_alarms"] += begun and not self._set_back
        if begun:
            self._set_back = False
        self._diverged = False
        for content in self._contents:
            if await device.store.content(content) is not None:
                self._acked.add(content)

    async def _lose_acks(self) -> None:
        self._coordinator.faults.set(Fault("lose-ack", times=self.random.randint(1, 3), gateway=self.name))
        await self._sync()

    async def _cut(self) -> None:
        """The link ends at any moment."""
        async with self._device().on() as device:
            before = await device.store.head()
            link = asyncio.create_task(device.link().run())
            for _ in range(self.random.randint(1, 60)):
                await asyncio.sleep(0.0005)
            link.cancel()
            await asyncio.gather(link, return_exceptions=True)
            after = await device.store.head()
            if after.epoch > before.epoch:
                self.count["epochs"] += 1
                self.count["false_alarms"] += not self._set_back
                self._set_back = self._diverged = False

    async def _copy(self) -> None:
        if self._disk.exists():
            copy = self._folder / f"{self.name}.{len(self._copies)}.copy"
            shutil.copy(self._disk, copy)
            self._copies.append(copy)

    async def _restore(self) -> None:
        if self._copies:
            self._replace(self.random.choice(self._copies))
            self._set_back = True
            self._diverged = False

    def _replace(self, copy: Path) -> None:
        for file in self._folder.glob(f"{self.name}.db*"):
            file.unlink()
        shutil.copy(copy, self._disk)

    async def _clone(self) -> None:
        """A copy of the disk lives beside it; the first that comes back after the other is found out."""
        async with self._device().on() as original:
            if not (await original.store.head()).size:
                return
            await self._judged(original, await original.store.head())
        second = self._folder / f"{self.name}.clone.db"
        shutil.copy(self._disk, second)
        async with original.on(), self._device(second).on() as clone:
            await self._bring(clone, self.random.randint(0, 2))
            await self._judged(clone, await clone.store.head())
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await original.link().run()
            except NeedsPerson:
                self.count["clones_found"] += (await original.store.head()).halted is not None
            await self._coordinator.lift(self.name)
            await original.store.resume()
            self._set_back = True
        second.unlink()

    async def _audit(self) -> None:
        """Everything that was acked, and everything on this disk, is at the coordinator, once."""
        snapshots = (await self._coordinator.accepted())["snapshots"]
        self.count["lost"] += sum(content.hex() not in snapshots for content in self._acked)
        told = (await self._coordinator.counts())["gateways"][self.name]
        self.count["twice"] += told["repeated"]
        self.count["acked_contents"] += len(self._acked)


async def play(first: int, last: int) -> Counter[str]:
    """Histories of these numbers."""
    count: Counter[str] = Counter()
    for start in range(first, last, AT_ONCE):
        with tempfile.TemporaryDirectory(prefix="histories-") as folder:
            async with Coordinator(db=Path(folder) / "coordinator.db", token=folder) as coordinator:
                for number in range(start, min(last, start + AT_ONCE)):
                    history = History(number, Path(folder), coordinator)
                    await history.run()
                    count.update(history.count)
                    count["histories"] += 1
    return count


def figures(quick: bool) -> Sequence[Figure]:
    """For ``python -m benchmarks``."""
    count = asyncio.run(play(0, 30 if quick else 1000))
    told = ("histories", "restore", "lose_acks", "cut", "caught_up", "epochs", "acked_contents")
    return [
        *(Figure(name.replace("_", " "), "", count[name]) for name in told),
        Figure("clones", "", count["clone"]),
        Figure("clones found out", "", count["clones_found"]),
        Figure("forks undetected", "", count["undetected"], 0),
        Figure("false alarms", "", count["false_alarms"], 0),
        Figure("acked contents lost", "", count["lost"], 0),
        Figure("objects applied twice", "", count["twice"], 0),
    ]
