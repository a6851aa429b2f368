"""A gateway of one test: store and recorder, and while it is linked the link to the reference coordinator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

from nacl.signing import SigningKey
from sync_rig import HastyClock

from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.message.uplink import decode_uplink
from gateway.core.note import VerifierKey
from gateway.core.pin import CoordinatorKey
from gateway.core.submission import Upload
from gateway.core.sync import Local
from gateway.core.timekeeper import Timekeeper
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.model import Beginning, Figures, Halt, Source, Stamp, TimeQuality
from gateway.services.recorder import Recorded, Recorder
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from simulators.coordinator import Coordinator

NOW = 1_790_000_000_000


class Gateway:
    """Store, recorder and, while :meth:`linked`, the link."""

    def __init__(self, name: str, folder: Path, coordinator: Coordinator) -> None:
        self.name = name
        self.key = SigningKey(sha256(name.encode()).digest())
        self.path = folder / f"{name}.db"
        self.coordinator = coordinator
        self.store: Store
        self.recorder: Recorder
        self._links = 0

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Gateway]:
        await self.coordinator.register(self.name, bytes(self.key.verify_key))
        settings = StoreSettings(path=self.path, gateway_id=self.name, free_bytes=lambda: 1 << 40)
        async with Store(settings) as self.store:
            self.recorder = Recorder(
                self.store,
                sign=self._sign,
                now=lambda: Stamp(NOW, TimeQuality.AGREED),
                monotonic=lambda: 0.0,
            )
            async with self.recorder:
                yield self

    @contextlib.asynccontextmanager
    async def linked(self) -> AsyncIterator[SyncLink]:
        clock = HastyClock()
        self._links += 1
        link = SyncLink(
            LinkSettings(url=self.coordinator.ws_url),
            Local(
                gateway_id=self.name,
                key=bytes(self.key.verify_key),
                sign=self._sign,
                coordinator=CoordinatorKey.parse(self.coordinator.vkey),
                instance=sha256(f"{self.name}{self._links}".encode()).digest()[:16],
                version="1",
            ),
            self.store,
            Timekeeper(clock),
            clock,
            status=dict,
        )
        task = asyncio.create_task(link.run())
        try:
            yield link
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def send(self, message: bytes) -> Recorded:
        upload = decode_uplink(message, max_bytes=1 << 20)
        assert isinstance(upload, SnapshotUpload | TransactionsUpload)
        source = Source(radio="test", peer="nobody", correlation_id="c")
        fingerprint = sha256(message).digest()
        return await self.recorder.record(Upload(message=upload, source=source, fingerprint=fingerprint))

    def signed(self, origin: str, size: int, root: bytes) -> bytes:
        """A checkpoint of ours."""
        key = VerifierKey(origin, bytes(self.key.verify_key))
        return sign_checkpoint(Checkpoint(origin, size, root), key, self._sign).to_bytes()

    def beginning(self) -> Beginning:
        told = Halt(what="a test", fix="nothing")
        at = Stamp(NOW, TimeQuality.AGREED)
        return Beginning(key=bytes(self.key.verify_key), why="test", told=told, at=at)

    async def settled(self) -> Figures:
        """The figures, once nothing waits to be judged again."""
        figures = await self.store.figures()
        while (again := await self.store.figures()) != figures:
            figures = again
        return figures

    async def until(self, **wanted: int) -> Figures:
        while True:
            figures = await self.store.figures()
            if all(getattr(figures, name) == value for name, value in wanted.items()):
                return figures

    def _sign(self, text: bytes) -> bytes:
        return self.key.sign(text).signature
