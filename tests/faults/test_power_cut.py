"""Power cuts over the real schema and the real writer: what was promised is there."""

from __future__ import annotations

from random import Random

import pytest

from benchmarks.power_cuts import Run, check, commit, cut_many, open_ledger, record_run
from benchmarks.recording_disk import MODES, Disk, Event, after_cut
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_promised_is_lost_whatever_the_disk_kept_of_the_rest(seed: int) -> None:
    assert cut_many(150, seed) == {"fine": 150}


def test_the_same_cuts_lose_where_commits_are_not_synced() -> None:
    """The control: a test of durability that cannot fail shows nothing.

    It loses and finds nothing corrupt: a checkpoint syncs first. Corruption would be the model's own doing.
    """
    found = cut_many(60, 1, "NORMAL")
    assert found["lost"] > 0
    assert set(found) == {"fine", "lost"}


def as_written(disk: Disk) -> list[Event]:
    """What makes an empty disk this one, for certain."""
    return [
        event
        for name, content in disk.files.items()
        for event in (Event("write", name, 0, bytes(content)), Event("sync", name))
    ]


@pytest.mark.parametrize("mode", MODES)
def test_after_a_cut_the_devices_come_again_and_a_second_cut_takes_nothing_either(mode: str) -> None:
    """What was promised before the first keeps its place; the rest is logged on what that one left behind."""
    random, seed, payments = Random(mode), 4, 30
    first = record_run(seed, payments)
    season = Season(6, seed=seed)
    messages = [snapshot_cbor(wallet.hand_over(season.now_ms)) for wallet in season.play(payments, 4)]
    for at in random.sample(range(len(first.disk.events)), 8):
        disk = after_cut(first.disk.events, at, mode, random)
        found, promised = as_written(disk), [one for one in first.acknowledged if one.after <= at]
        second, ledger = Run(disk), open_ledger(disk)
        for message in messages:
            commit(second, ledger, [message])
        cut = random.randint(0, len(disk.events))
        left = after_cut([*found, *disk.events], len(found) + cut, mode, random)
        assert check(left, promised) is None
        assert check(left, [one for one in second.acknowledged if one.after <= cut]) is None
        assert check(disk.synced(), promised + second.acknowledged) is None
