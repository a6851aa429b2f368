"""A log off the device and back: the same root, whatever was lost or damaged on the way named."""

from __future__ import annotations

from pathlib import Path

import pytest
from backup_rig import SIGNING, BackupRig, in_a_folder, key_in, settled
from store_rig import audit

from gateway.backup import Directory, TargetFailed
from gateway.core.backup import BackupRefused
from gateway.services.backup import Restored


@pytest.fixture
def rig(tmp_path: Path) -> BackupRig:
    return in_a_folder(tmp_path)


def restored(rig: BackupRig) -> Restored:
    found = rig.restore()
    assert found is not None
    return found


async def test_a_wiped_disk_is_the_same_log_again(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        for _ in range(3):
            await rig.grow(gateway, 4)
            await backup.round()
        before, figures = await gateway.store.head(), await gateway.store.figures()
        assert backup.vitals().covered == before.size == 12
    rig.wipe()

    assert restored(rig).head.root == before.root

    async with rig.gateway() as gateway:
        assert await gateway.store.head() == before
        await audit(gateway.store)
        after = await settled(gateway, lambda now: now.verified_transactions == figures.verified_transactions)
        assert after.objects == figures.objects
        await rig.grow(gateway, 2)  # and it goes on: lists build on those that were restored
        await audit(gateway.store)
