"""A log off the device and back: the same root, whatever was lost or damaged on the way named."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest
from backup_rig import SIGNING, BackupRig, in_a_folder, key_in, settled
from store_rig import audit

from gateway.backup import Directory, TargetFailed
from gateway.core.backup import BackupRefused
from gateway.errors import NeedsPerson
from gateway.model import RetentionPolicy
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


async def test_an_earlier_epoch_comes_back_with_the_one_that_followed(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        await rig.grow(gateway, 4)
        await backup.round()
        head = await gateway.store.head()
        await gateway.store.mark_acked(head.size - 1, b"cosigned")
        await gateway.store.begin_epoch(rig.beginning())  # the last leaf moves on
        await rig.grow(gateway, 2)
        backup = rig.backup(gateway, await rig.remains(gateway))
        await backup.round()
        before, past = await gateway.store.head(), await gateway.store.past_epochs()
        assert (before.epoch, before.size) == (2, 4)
    rig.wipe()

    assert restored(rig).head.root == before.root

    async with rig.gateway() as gateway:
        assert await gateway.store.head() == before
        assert await gateway.store.past_epochs() == past
        await rig.grow(gateway, 2)


async def test_sixteen_small_objects_become_one_and_go_after_their_time(rig: BackupRig) -> None:
    rig.keep_s = 3600.0
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        for _ in range(16):
            await rig.grow(gateway, 1)
            await backup.round()
        assert len(rig.objects) == 17
        rig.clock.seconds = 10**9
        await backup.round()
        before = await gateway.store.head()
    assert len(rig.objects) == 1
    rig.wipe()
    assert restored(rig).head.root == before.root


def damage(objects: list[Path], how: str) -> Path:
    """Something happens to the newest object; which it is."""
    newest = objects[-1]
    if how == "truncated":
        newest.write_bytes(newest.read_bytes()[:-100])
    elif how == "altered":
        newest.write_bytes(newest.read_bytes()[:-1] + b"!")
    elif how == "swapped":
        newest.write_bytes(objects[0].read_bytes())
    elif how == "renamed":  # the right hash in its name, the wrong place
        digest = objects[0].name.partition(".")[2]
        newest.unlink()
        newest = newest.with_name(f"{newest.name.partition('.')[0]}.{digest}")
        newest.write_bytes(objects[0].read_bytes())
    return newest


@pytest.mark.parametrize("how", ["truncated", "altered", "swapped", "renamed"])
async def test_a_damaged_object_is_refused_by_name_and_an_older_good_one_used(
    rig: BackupRig, how: str
) -> None:
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        await rig.grow(gateway, 3)
        await backup.round()
        older = await gateway.store.head()
        await rig.grow(gateway, 2)
        await backup.round()
    rig.wipe()
    bad = damage(rig.objects, how)

    found = restored(rig)

    assert found.head.root == older.root
    assert [Path(name).name for name in found.refused] == [bad.name]


async def test_of_two_objects_over_the_same_leaves_the_good_one_is_used(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        for _ in range(16):
            await rig.grow(gateway, 1)
            await backup.round()
        before = await gateway.store.head()
    longest = next(
        path for path in rig.objects if "-000000000016." in path.name and "/000000000000-" in str(path)
    )
    longest.write_bytes(b"")
    rig.wipe()
    found = restored(rig)
    assert (found.head.root, found.objects) == (before.root, 16)
    assert [Path(name).name for name in found.refused] == [longest.name]


async def test_a_missing_object_ends_the_log_before_it(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        for _ in range(3):
            await rig.grow(gateway, 2)
            await backup.round()
    rig.objects[1].unlink()
    rig.wipe()
    assert restored(rig).head.size == 2
    assert ("no good object leads on", {"leaf": 2, "objects_behind": 1}) in rig.told


async def test_an_object_of_another_key_is_refused(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 2)
        await rig.backup(gateway).round()
    rig.wipe()
    with pytest.raises(BackupRefused, match="foreign"):
        rig.restore(rig.source(key=bytes(32)))
    assert not rig.database.exists()


async def test_an_object_for_another_backup_key_cannot_be_opened(rig: BackupRig, tmp_path: Path) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 2)
        await rig.backup(gateway).round()
    rig.wipe()
    with pytest.raises(BackupRefused, match="cannot be opened by the key age1"):
        rig.restore(rig.source(opens=key_in(tmp_path, "stranger.key")))


async def test_the_operators_key_alone_opens_what_is_left_of_a_dead_card(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 2)
        await rig.backup(gateway).round()
        before = await gateway.store.head()
    rig.wipe()
    (rig.folder / "backup.key").unlink()
    found = rig.restore(rig.source(key=None, opens=rig.operator))
    assert found is not None
    assert (found.head.root, found.signer) == (before.root, bytes(SIGNING.verify_key))


async def test_without_any_object_there_is_nothing_to_restore(rig: BackupRig) -> None:
    assert rig.restore() is None
    assert not rig.database.exists()


async def test_a_disk_that_went_another_way_is_backed_up_beside_the_older_one(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 3)
        await rig.backup(gateway).round()
        await rig.grow(gateway, 3)
        await rig.backup(gateway).round()
    newest = rig.objects[-1]
    hidden = newest.rename(newest.with_suffix(".hidden"))  # the target forgot it for a while
    rig.wipe()
    restored(rig)
    hidden.rename(newest)
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 1)
        await rig.backup(gateway).round()
        await rig.grow(gateway, 1)
        await rig.backup(gateway).round()
        before = await gateway.store.head()
    rig.wipe()
    assert restored(rig).head.root == before.root


async def test_a_target_that_is_not_there_is_no_backup_and_no_empty_one(rig: BackupRig) -> None:
    rig.target = Directory(rig.folder / "unplugged")
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 1)
        backup = rig.backup(gateway)
        with pytest.raises(TargetFailed, match="plug it in or mount it"):
            await backup.round()
        assert backup.vitals().failures == 1
    rig.wipe()
    with pytest.raises(TargetFailed):
        rig.restore()
    assert not rig.database.exists()


async def test_the_months_bytes_end_the_uploads_and_say_so(rig: BackupRig) -> None:
    rig.monthly_bytes = 100
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 1)
        with pytest.raises(TargetFailed, match="monthly_mb"):
            await rig.backup(gateway).round()
    assert rig.objects == []


async def test_bodies_stay_until_they_are_backed_up(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 4)
        await gateway.store.mark_acked(4, b"cosigned")
        for covered, freed in ((0, 0), (2, 2), (4, 1)):  # the newest one stays by its number
            policy = RetentionPolicy(max_snapshots=1, backed_up=covered)
            assert (await gateway.store.prune(policy)).entries == freed


async def test_a_log_that_was_pruned_before_says_which_leaf_is_gone(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 3)
        await gateway.store.mark_acked(3, b"cosigned")
        await gateway.store.prune(RetentionPolicy(max_snapshots=1))
        with pytest.raises(NeedsPerson, match="leaf 0 was pruned before it was backed up"):
            await rig.backup(gateway).round()


def exit_code(*arguments: str) -> int:
    """Of another Python."""
    return subprocess.run([sys.executable, *arguments], check=False).returncode


async def test_a_restore_that_was_killed_leaves_no_database_and_begins_again(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        backup = rig.backup(gateway)
        for _ in range(2):
            await rig.grow(gateway, 2)
            await backup.round()
        before = await gateway.store.head()
    rig.wipe()
    program = (
        "import os, sys; sys.path[:0] = sys.argv[2:]\n"
        "from pathlib import Path\n"
        "from backup_rig import in_a_folder, BackupRig, Directory\n"
        "from gateway.store.rebuilding import Rebuilding\n"
        "Rebuilding.place = lambda *_, **__: os.kill(os.getpid(), 9)\n"
        "folder = Path(sys.argv[1])\n"
        "BackupRig(folder, Directory(folder / 'copies')).restore()\n"
    )
    assert exit_code("-c", program, str(rig.folder), *sys.path) == -9
    assert not rig.database.exists()
    assert restored(rig).head.root == before.root


async def test_a_part_that_a_kill_left_behind_is_neither_listed_nor_in_the_way(rig: BackupRig) -> None:
    async with rig.gateway() as gateway:
        await rig.grow(gateway, 2)
        await rig.backup(gateway).round()
        (only,) = rig.objects
        part = only.with_name(only.name + ".part")
        only.rename(part)  # as it stands when the kill comes before the rename
        backup = rig.backup(gateway)
        await backup.round()
        assert backup.vitals().objects == 1
    assert part.exists()
    rig.wipe()
    assert restored(rig).head.size == 2


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.ENOSPC, "it is full"), (errno.EROFS, "it is read-only"), (errno.EACCES, "access is denied")],
)
async def test_what_a_folder_refuses_is_named_and_the_next_round_makes_it_good(
    rig: BackupRig, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(code, "refused")

    async with rig.gateway() as gateway:
        await rig.grow(gateway, 2)
        backup = rig.backup(gateway)
        with monkeypatch.context() as disk:
            disk.setattr("gateway.backup.target.os.fsync", refuse)
            with pytest.raises(TargetFailed, match=words):
                await backup.round()
        assert rig.objects == []
        await backup.round()
        assert len(rig.objects) == 1
