"""What the store says it synced, held against the syncs that SQLite asked the operating system for."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import apsw
import pytest
from store_rig import NOW, Rig, store_rig

from gateway.model import RetentionPolicy
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet


class CountingDisk(apsw.VFS):
    """The system's own VFS; counts the syncs of each file."""

    def __init__(self) -> None:
        self.syncs: Counter[str] = Counter()
        super().__init__("counting", "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        return CountingFile(self.syncs, name, flags)

    def connect(self, path: Path) -> Any:
        return apsw.Connection(str(path), vfs="counting")


class CountingFile(apsw.VFSFile):
    def __init__(self, syncs: Counter[str], name: Any, flags: list[int]) -> None:
        self._syncs = syncs
        self._kind = Path(name.filename() if isinstance(name, apsw.URIFilename) else name).suffix
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:
        self._syncs[self._kind] += 1
        super().xSync(flags)


@pytest.fixture
def disk() -> Any:
    counting = CountingDisk()
    yield counting
    counting.unregister()


async def checkpoints_seen(rig: Rig, disk: CountingDisk, wanted: int, salt: int) -> None:
    before, sent = disk.syncs[".db"], 0
    while disk.syncs[".db"] - before < wanted:
        wallet, sent = Wallet(bytes([salt]) + sent.to_bytes(31, "big")), sent + 1
        for n in range(60):
            wallet.pay("0011223344556677", n + 1, NOW)
        await rig.send(snapshot_cbor(wallet.hand_over(NOW)))


async def test_the_figure_is_the_syncs_that_were_waited_for_and_starts_anew_with_the_daemon(
    tmp_path: Path, disk: Any
) -> None:
    for start in range(2):
        async with store_rig(tmp_path / "log.db", connect=disk.connect) as rig:
            opened = disk.syncs.total()
            await checkpoints_seen(rig, disk, 1, start)
            await rig.store.mark_acked((await rig.store.head()).size, b"note")
            while (await rig.store.prune(RetentionPolicy(max_snapshots=0))).more:
                pass
            figures = await rig.store.figures()
            waited = disk.syncs.total() - opened
            assert figures.syncs_since_opening > figures.commits_since_opening
            # The header of a first WAL; the two syncs of a checkpoint that nothing was written after.
            assert 0 <= waited - figures.syncs_since_opening <= 3
