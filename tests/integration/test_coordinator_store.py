"""The coordinator's store on a real file: what it bounds, and what a failed write leaves."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.coordinator.records import Admission, Applied, Fork, Judgement, Registration, State
from simulators.coordinator.store import MAX_CLAIMS, MAX_EVIDENCE, MAX_FENCED, Store
from simulators.textbook.merkle import CompactRange
from simulators.textbook.objects import Key, object_hash


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    one = Store(tmp_path / "c.db")
    assert one.register("gw-1", bytes(32), "lora", "{}", 1) is Registration.NEW
    yield one
    one.close()


def test_only_so_many_replaced_instances_are_remembered(store: Store) -> None:
    names = [b"%016d" % i for i in range(MAX_FENCED + 3)]
    for name in names:
        assert store.admit("gw-1", name, 1) is Admission.WELCOME
    assert store.admit("gw-1", names[0], 1) is Admission.WELCOME  # long forgotten
    assert store.admit("gw-1", names[-2], 1) is Admission.CLONE


def test_only_so_many_heads_ahead_of_their_entries_are_remembered(store: Store) -> None:
    origin = store.origin("offgrid/gw-1/1", "gw-1")
    for size in range(1, MAX_CLAIMS + 4):
        store.claim(origin, size, b"%d" % size)
    assert store.claim(origin, MAX_CLAIMS, b"another") == b"%d" % MAX_CLAIMS
    assert sorted(store.claims(origin)) == list(range(4, MAX_CLAIMS + 4))


def test_evidence_is_bounded_and_what_bars_an_origin_stays(store: Store) -> None:
    origin = store.origin("offgrid/gw-1/1", "gw-1")
    barring = Fork(b"a", b"b", 1, bytes(32))
    store.keep_fork(origin, barring, 1, bars=True)
    for i in range(MAX_EVIDENCE + 5):
        store.keep_fork(origin, Fork(b"%d" % i, b"%d" % i, 1, bytes(32)), 1, bars=False)
    assert store.origin(origin.name, "gw-1").fork == barring
    assert len(store.evidence()) == MAX_EVIDENCE + 1


def test_a_commit_that_fails_leaves_nothing_of_itself(store: Store) -> None:
    origin, key = store.origin("offgrid/gw-1/1", "gw-1"), Key(bytes(32))
    judgement = Judgement(new={object_hash(key.encode()): (key.encode(), key)})
    judgement.keys[bytes(32)] = True
    judgement.transactions[bytes(32)] = State.VERIFIED
    applied = Applied(origin, CompactRange(1, (bytes(32),)), b"n", b"c", (), judgement, 1, 1, 0, 1)
    broken = Applied(origin, CompactRange(None, ()), b"n", b"c", (), judgement, 1, 1, 0, 1)  # type: ignore[arg-type]
    with pytest.raises(sqlite3.IntegrityError):
        store.apply(broken)
    assert store.hashes_after(0) == [] and store.keys(["00" * 8]) == []
    store.apply(applied)
    assert len(store.hashes_after(0)) == 1
    assert store.origin(origin.name, "gw-1").range == applied.range
