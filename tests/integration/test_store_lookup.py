"""The newest objects are found in memory, older ones in the B-tree, those between in both, each once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from hashlib import sha256

import pytest

from gateway.store.connection import transaction
from gateway.store.lookup import Lookup, ObjectRow
from gateway.store.migrations import migrate

TAIL = 640
UPLOAD = 10


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    migrate(connection)
    yield connection
    connection.close()


def rows_from(first: int) -> list[ObjectRow]:
    return [
        (n, 0, 1, 1, sha256(b"h%d" % n).digest(), sha256(b"i%d" % n).digest())
        for n in range(first, first + UPLOAD)
    ]


def indexed(connection: sqlite3.Connection) -> int:
    count: int = connection.execute("SELECT COUNT(*) FROM lookup").fetchone()[0]
    return count


def commit(connection: sqlite3.Connection, lookup: Lookup, rows: list[ObjectRow]) -> None:
    with transaction(connection):
        connection.executemany("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?)", rows)
        lookup.add(rows)
        lookup.settle(rows[-1][0] + 1)


def each_is_found_once(lookup: Lookup, below: int) -> bool:
    """By its hash, and by its identity."""
    rows = [row for first in range(0, below, UPLOAD) for row in rows_from(first)]
    hashes, identities = [row[4] for row in rows], [row[5] or b"" for row in rows]
    return all(
        [[row] for row in rows] == [found[value] for value in values]
        for values, found in ((asked, lookup.find(asked)) for asked in (hashes, identities))
    )


def test_a_full_tail_is_indexed_in_small_parts_and_every_object_is_found_all_the_while(
    connection: sqlite3.Connection,
) -> None:
    lookup, grew = Lookup(connection, 0, TAIL), []
    for first in range(0, 3 * TAIL, UPLOAD):
        before = indexed(connection)
        commit(connection, lookup, rows_from(first))
        grew.append(indexed(connection) - before)
        if grew[-1]:
            assert each_is_found_once(lookup, first + UPLOAD)
    assert sum(grew) >= 2 * TAIL
    assert max(grew) <= TAIL // 4


def test_after_a_crash_in_the_middle_of_indexing_every_object_is_found_once(
    connection: sqlite3.Connection,
) -> None:
    lookup, first = Lookup(connection, 0, TAIL), 0
    while not 0 < indexed(connection) < TAIL:
        commit(connection, lookup, rows_from(first))
        first += UPLOAD
    again = Lookup(connection, lookup.indexed, TAIL)
    assert each_is_found_once(again, first)
    while again.indexed == 0:
        commit(connection, again, rows_from(first))
        first += UPLOAD
    assert each_is_found_once(again, first)


def test_what_an_object_turns_out_to_be_is_seen_while_it_moves(connection: sqlite3.Connection) -> None:
    lookup, first = Lookup(connection, 0, TAIL), 0
    while not indexed(connection):
        commit(connection, lookup, rows_from(first))
        first += UPLOAD
    old = rows_from(0)[0]
    new: ObjectRow = (*old[:3], 3, *old[4:])
    lookup.replace(old, new)
    assert lookup.find([old[4]])[old[4]] == [new]
