"""The store by itself: restarts, marks, halts, proofs, the lock, what it finds wrong at opening."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from store_rig import GATEWAY, NOW, PLENTY, audit, store_rig

from gateway.core.merkle import leaf_hash, verify_consistency, verify_inclusion
from gateway.core.message.downlink import Nack
from gateway.core.refusal import Refusal
from gateway.errors import FatalError
from gateway.model import Halt, RetentionPolicy, TimeQuality
from gateway.store import Limits, Store, StoreSettings, retention
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


def settings(path: Path) -> StoreSettings:
    return StoreSettings(path=path, gateway_id=GATEWAY, free_bytes=lambda: PLENTY)


def hand_over(n: int) -> bytes:
    """A snapshot with one payment, of wallet ``n``."""
    wallet = Wallet(b"%032d" % n)
    wallet.pay("00112233445566aa", n + 1, NOW)
    return snapshot_cbor(wallet.hand_over(NOW + n))


async def test_a_log_of_many_tiles_has_the_same_tree_after_a_restart(path: Path) -> None:
    async with store_rig(path, limits=Limits(lookup_tail=700)) as rig:
        await asyncio.gather(*(rig.send(hand_over(n)) for n in range(200)))
        for start in range(200, 800, 200):
            await asyncio.gather(*(rig.send(hand_over(n)) for n in range(start, start + 200)))
        before = await rig.store.head()
        found = await audit(rig.store)
    async with store_rig(path, limits=Limits(lookup_tail=700)) as rig:
        head = await rig.store.head()
        assert (head.size, head.root) == (before.size, before.root) == (800, before.root)
        assert await audit(rig.store) == found
        assert (await rig.send(hand_over(5))).duplicate


async def test_proofs_verify_at_every_size_asked(path: Path) -> None:
    async with store_rig(path) as rig:
        await asyncio.gather(*(rig.send(hand_over(n)) for n in range(250)))
        await asyncio.gather(*(rig.send(hand_over(n)) for n in range(250, 300)))
        head = await rig.store.head()
        for index in (0, 1, 255, 256, 299):
            hashes = (await rig.store.read_batch(index, 1)).entries[0].objects
            place = await rig.store.content(hashes[0].hash)
            assert place is not None
            leaf = leaf_hash(place.entry)
            verify_inclusion(leaf, index, 300, await rig.store.proof(index, 300), head.root)
        for size in (1, 255, 256, 257, 299):
            proof = await rig.store.consistency(size, 300)
            verify_consistency(size, 300, proof, await rig.store.root_at(size), head.root)
        with pytest.raises(ValueError, match="301"):
            await rig.store.proof(0, 301)


async def test_marks_ride_on_the_next_commit_and_are_written_when_closing(path: Path) -> None:
    async with store_rig(path) as rig:
        await rig.send(hand_over(1))
        commits = (await rig.store.figures()).commits_since_opening
        await rig.store.record_signed(1, b"signed")
        await rig.store.mark_acked(1, b"cosigned")
        assert (await rig.store.figures()).commits_since_opening == commits
        assert (await rig.store.figures()).acked_transactions == 1
    async with store_rig(path) as rig:
        head = await rig.store.head()
        assert (head.signed_size, head.signed_note) == (1, b"signed")
        assert (head.acked_size, head.cosigned_note) == (1, b"cosigned")
        with pytest.raises(ValueError, match="tree size 2"):
            await rig.store.mark_acked(2, b"too far")


async def test_a_halted_log_refuses_until_a_person_lifts_it_also_after_a_restart(path: Path) -> None:
    async with store_rig(path) as rig:
        await rig.store.halt(Halt(what="two heads", fix="ask the operator"))
    async with store_rig(path) as rig:
        answer = (await rig.send(hand_over(1))).answer
        assert isinstance(answer, Nack)
        assert answer.code == Refusal.HALTED
        assert (await rig.store.head()).halted == Halt(what="two heads", fix="ask the operator")


async def test_a_log_shorter_than_what_was_signed_halts_for_a_person(path: Path) -> None:
    async with store_rig(path) as rig:
        await rig.send(hand_over(1))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE log SET signed_size = 7")
    connection.commit()
    connection.close()
    async with store_rig(path) as rig:
        assert (await rig.store.head()).halted is not None
        assert isinstance((await rig.send(hand_over(2))).answer, Nack)


async def test_growth_is_told_to_whoever_waits_for_it(path: Path) -> None:
    async with store_rig(path) as rig:
        waiting = asyncio.create_task(rig.store.grown(0))
        await rig.send(hand_over(1))
        assert (await waiting).size == 1
        assert (await rig.store.grown(0)).size == 1


async def test_the_database_and_its_wal_are_nobody_elses_to_read(path: Path) -> None:
    before = os.umask(0)
    try:
        async with store_rig(path) as rig:
            await rig.send(hand_over(1))
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"gateway.db": 0o640, "gateway.db-wal": 0o640}


async def test_no_second_store_opens_the_file(path: Path) -> None:
    async with Store(settings(path)):
        with pytest.raises(FatalError, match="another process"):
            async with Store(settings(path)):
                pass


OPEN_ELSEWHERE = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=0)
connection.execute("SELECT COUNT(*) FROM log").fetchone()
"""


async def test_the_lock_holds_against_other_processes_also_after_a_second_opening_in_our_own(
    path: Path,
) -> None:
    async with Store(settings(path)):
        with pytest.raises(FatalError, match="another process"):
            async with Store(settings(path)):
                pass
        other = subprocess.run(  # noqa: ASYNC221
            [sys.executable, "-c", OPEN_ELSEWHERE, str(path)], capture_output=True, text=True, check=False
        )
    assert "database is locked" in other.stderr


async def test_a_database_of_another_gateway_is_refused(path: Path) -> None:
    async with Store(settings(path)):
        pass
    other = StoreSettings(path=path, gateway_id="another", free_bytes=lambda: PLENTY)
    with pytest.raises(FatalError, match="kibera-07"):
        async with Store(other):
            pass


async def test_an_entry_that_was_tampered_with_is_found_at_opening(path: Path) -> None:
    async with store_rig(path) as rig:
        await rig.send(hand_over(1))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entries SET received_at = received_at + 1")
    connection.commit()
    connection.close()
    with pytest.raises(FatalError, match="root"):
        async with Store(settings(path)):
            pass


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 5] = b"\xff" * 8192
    path.write_bytes(content)


async def test_a_damaged_file_is_fatal(path: Path) -> None:
    async with store_rig(path) as rig:
        for n in range(30):
            await rig.send(hand_over(n))
    damage(path)
    with pytest.raises(FatalError):
        async with Store(settings(path)):
            pass


async def test_pruning_gives_space_back_to_the_file_system(path: Path) -> None:
    async with store_rig(path) as rig:
        await asyncio.gather(*(rig.send(hand_over(n)) for n in range(250)))
        before = await rig.store.figures()
        await rig.store.mark_acked(250, b"cosigned")
        freed = await rig.store.prune(RetentionPolicy(max_snapshots=50))
        after = await rig.store.figures()
        assert (freed.entries, freed.more) == (200, False)
        assert after.file_bytes < before.file_bytes
        assert after.body_bytes == before.body_bytes - freed.body_bytes
        assert after.pruned_entries == 200
        assert (await rig.store.read_batch(199, 2)).entries[0].objects[0].body is None
        assert (await rig.store.read_batch(200, 2)).entries[0].objects[0].body is not None


async def test_bodies_go_by_age_only_where_the_clock_was_trusted(path: Path) -> None:
    async with store_rig(path) as rig:
        for n, quality in enumerate(
            (TimeQuality.HOST, TimeQuality.AGREED, TimeQuality.GPS, TimeQuality.HOST)
        ):
            rig.now_ms, rig.quality = (0 if quality is TimeQuality.HOST else NOW + n * 1000), quality
            await rig.send(hand_over(n))
        await rig.store.mark_acked(4, b"cosigned")
        policy = RetentionPolicy(max_snapshots=1000, received_before_ms=NOW - 1)
        assert (await rig.store.prune(policy)).entries == 0
        policy = RetentionPolicy(max_snapshots=1000, received_before_ms=NOW + 1500)
        assert (await rig.store.prune(policy)).entries == 2


async def test_pruning_goes_on_while_there_is_more_of_the_file_to_give_back(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "VACUUM_PAGES", 2)
    monkeypatch.setattr(retention, "LARGEST_SHRINK", 2 * 4096)
    async with store_rig(path) as rig:
        await asyncio.gather(*(rig.send(hand_over(n)) for n in range(250)))
        await rig.store.mark_acked(250, b"cosigned")
        freed = [await rig.store.prune(RetentionPolicy(max_snapshots=50))]
        while freed[-1].more:
            freed.append(await rig.store.prune(RetentionPolicy(max_snapshots=50)))
    connection = sqlite3.connect(path)
    spare = connection.execute("PRAGMA freelist_count").fetchone()[0]
    connection.close()
    assert [one.entries for one in freed] == [200] + [0] * (len(freed) - 1)
    assert len(freed) > 2
    assert spare == 0


async def test_the_share_of_unverified_bytes_is_freed_with_the_bodies(path: Path) -> None:
    async with store_rig(path) as rig:
        for n in range(5):
            wallet = Wallet(b"%032d" % n)
            stranger = Wallet(b"stranger%024d" % n)
            wallet.enter(stranger.pay(wallet.device_id, n + 1, NOW))
            wallet.pay("00112233445566aa", 1, NOW)
            await rig.send(snapshot_cbor(wallet.hand_over(NOW + n)))
        await rig.store.mark_acked(5, b"cosigned")
        before = (await rig.store.figures()).unproven_bytes
        await rig.store.prune(RetentionPolicy(max_snapshots=2))
        partly = (await rig.store.figures()).unproven_bytes
        await rig.store.prune(RetentionPolicy(max_snapshots=0))
        assert (await rig.store.figures()).unproven_bytes == 0
        assert 0 < partly < before


async def test_what_is_committed_while_nobody_waits_any_more_is_a_duplicate_later(path: Path) -> None:
    async with store_rig(path) as rig:
        sending = asyncio.create_task(rig.send(hand_over(1)))
        await asyncio.sleep(0)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert (await rig.store.grown(0)).size == 1
        assert (await rig.send(hand_over(1))).duplicate
