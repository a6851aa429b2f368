"""A gateway's log, its backup in a folder or a bucket, and what a restore makes of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from nacl.signing import SigningKey
from store_rig import GATEWAY, NOW, PLENTY, Rig, store_rig

from gateway.backup import BackupKey, Directory, Seal, Target, make_backup_key, read_key
from gateway.core.backup import Past, Remains
from gateway.model import Beginning, Halt, Head, Stamp, TimeQuality
from gateway.services.backup import Backup, BackupBook, BackupSettings, Restored, Source, restore
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor

SIGNING = SigningKey(sha256(b"gateway").digest())


class StillClock:
    """Stands still until told; sleeping is for nobody here."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def unix_ns(self) -> int:
        return NOW * 1_000_000 + int(self.seconds * 1e9)

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nobody waits here")


def key_in(folder: Path, name: str) -> BackupKey:
    path = folder / name
    if not path.exists():
        path.write_bytes(make_backup_key())
        path.chmod(0o600)
    return read_key(path)


@dataclass
class BackupRig:
    folder: Path
    target: Target
    clock: StillClock = field(default_factory=StillClock)
    keep_s: float = 1e9
    monthly_bytes: int = 0
    payments: int = 0
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    wallets: list[Wallet] = field(default_factory=lambda: [Wallet(bytes([n]) * 32) for n in (1, 2, 3)])

    @property
    def database(self) -> Path:
        return self.folder / "gateway.db"

    @property
    def key(self) -> BackupKey:
        return key_in(self.folder, "backup.key")

    @property
    def operator(self) -> BackupKey:
        return key_in(self.folder, "operator.key")

    def source(
        self, *, key: bytes | None = bytes(SIGNING.verify_key), opens: BackupKey | None = None
    ) -> Source:
        seal = Seal(opens or self.key, self.operator.recipient)
        return Source(self.target, seal, GATEWAY, key)

    def backup(self, rig: Rig, remains: Remains | None = None) -> Backup:
        async def gathered(head: Head) -> Remains:
            acked = head.acked_size, head.cosigned_note
            return remains or Remains(signed=(head.signed_size, head.signed_note), acked=acked)

        settings = BackupSettings(interval_s=240, keep_s=self.keep_s, monthly_bytes=self.monthly_bytes)
        book = BackupBook(self.folder / "backup.json", self.clock)
        return Backup(
            rig.store,
            self.source(),
            lambda text: SIGNING.sign(text).signature,
            gathered,
            book,
            self.clock,
            settings,
        )

    @asynccontextmanager
    async def gateway(self) -> AsyncIterator[Rig]:
        async with store_rig(self.database) as rig:
            yield rig

    async def grow(self, rig: Rig, snapshots: int) -> None:
        """So many more snapshots, each with one more payment and the receipts of those before."""
        for _ in range(snapshots):
            self.payments += 1
            payer, payee = (self.wallets[(self.payments + at) % 3] for at in (0, 1))
            payee.accept(
                payer.pay(payee.device_id, 1.0 + self.payments, NOW + self.payments), NOW + self.payments
            )
            over = payee.hand_over(NOW + self.payments)
            await rig.promised(snapshot_cbor(over), over.content)

    def beginning(self) -> Beginning:
        at = Stamp(NOW, TimeQuality.AGREED)
        told = Halt(what="a test", fix="nothing")
        return Beginning(key=bytes(SIGNING.verify_key), why="test", told=told, at=at)

    async def remains(self, rig: Rig) -> Remains:
        """With the epochs that are over."""
        head = await rig.store.head()
        past = tuple([Past(**one) for one in await rig.store.past_epochs()])
        signed, acked = (head.signed_size, head.signed_note), (head.acked_size, head.cosigned_note)
        return Remains(signed=signed, acked=acked, past=past)

    def wipe(self) -> None:
        for path in self.folder.glob("gateway.db*"):
            path.unlink()

    def restore(self, source: Source | None = None) -> Restored | None:
        self.told.clear()
        return restore(source or self.source(), self.database, lambda: PLENTY, self._tell)

    def _tell(self, what: str, figures: Any) -> None:
        self.told.append((what, dict(figures)))

    @property
    def objects(self) -> list[Path]:
        """Of a folder, in the order of their names."""
        return sorted((self.folder / "copies").rglob("*.age"))


def in_a_folder(folder: Path) -> BackupRig:
    (folder / "copies").mkdir()
    return BackupRig(folder, Directory(folder / "copies"))


async def settled(rig: Rig, wanted: Callable[[Any], bool]) -> Any:
    """The figures, as soon as they are so; what waits is judged while nobody asks."""
    while not wanted(figures := await rig.store.figures()):
        pass
    return figures
