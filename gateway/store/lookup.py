"""Finds objects by hash or identity: the newest in memory, the rest in a B-tree filled in sorted lots.

Hashes are random, so inserting each at once would dirty one page of the B-tree an object, on every commit.
Instead the newest objects, the tail, are found in memory (their rows are on disk in ``objects`` all the same)
and go into the B-tree in order once there are enough of them: a page is then written once for many. They go
in parts, one or more with each of the next commits: all in one would keep three uploads waiting, 15 ms on a
fast disk. After a crash all that is not indexed is read again from ``objects``; what the B-tree has of it by
then is passed over until it has all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import unpack

from gateway.store.connection import Connection, insert_rows

ObjectRow = tuple[int, int, int, int, bytes, bytes | None]
"""ordinal, leaf, kind, state, hash, identity: a row of ``objects``."""

_COLUMNS = "ordinal, leaf, kind, state, hash, identity"
_PARTS = 32
"""A full tail is moved in so many parts, one a commit or more: half a millisecond each."""

_SMALL_LOT, _LOT = 16, 128
_FIND = {
    size: "SELECT o.ordinal, o.leaf, o.kind, o.state, o.hash, o.identity "  # noqa: S608 - question marks alone
    "FROM lookup JOIN objects o USING (ordinal) "
    f"WHERE prefix IN (?{', ?' * (size - 1)}) ORDER BY ordinal"
    for size in (_SMALL_LOT, _LOT)
}


_Tail = dict[bytes, list[ObjectRow]]


class Lookup:
    """Objects by hash and by identity; owned by the store's thread."""

    def __init__(self, connection: Connection, indexed: int, longest_tail: int) -> None:
        self._connection = connection
        self._longest = longest_tail
        self.indexed = indexed
        """Ordinals below it are in the B-tree."""
        self._tail: _Tail = {}
        self._length = 0
        self._added = 0  # since the last settling
        self._moving: _Tail = {}
        self._parts: list[list[bytes]] = []  # what of it the B-tree lacks, by the values' first bits
        self._moving_below = indexed
        # What begins an epoch has negative ordinals, and is never in the tail.
        self._has_beginnings = (
            connection.execute("SELECT 1 FROM objects WHERE ordinal < 0 LIMIT 1").fetchone() is not None
        )
        self.add(
            connection.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE ordinal >= ? ORDER BY ordinal",  # noqa: S608 - our own names
                (indexed,),
            )
        )
        self._added = 0

    def add(self, rows: Iterable[ObjectRow]) -> None:
        """Take in new objects, in the order of their ordinals."""
        tail, before = self._tail, self._added
        for row in rows:
            self._added += 1
            for value in row[4:]:
                if value in tail:
                    tail[value].append(row)
                elif value is not None:
                    tail[value] = [row]
        self._length += self._added - before

    def find(self, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """Objects that have one of these as their hash or identity, by that value, oldest first."""
        found: dict[bytes, list[ObjectRow]] = {}
        if self.indexed or self._has_beginnings:
            wanted = set(values)  # of one upload's values some may stand in another's beside it
            for row in self._stored([*wanted]):
                for value in (row[4], row[5]):
                    if value in wanted:
                        found.setdefault(value, []).append(row)
        return self._find_newest(found, values)

    def find_since(self, horizon: int, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """:meth:`find`, where objects below ordinal ``horizon`` may be left out."""
        if self.indexed > horizon:
            return self.find(values)
        return self._find_newest({}, values)

    def replace(self, old: ObjectRow, new: ObjectRow) -> None:
        """An object's state changed."""
        for value in (old[4], old[5]):
            for tail in (self._moving, self._tail):
                rows = tail.get(value, []) if value is not None else []
                rows[:] = [new if row == old else row for row in rows]

    def settle(self, next_ordinal: int) -> None:
        """Inside a transaction: move a part of a tail that is long enough into the B-tree.

        At least twice what came since: so those that move are through long before the next are as many.
        """
        if not self._parts and self._length >= self._longest:
            self._begin_to_move(next_ordinal)
        wanted, self._added = 2 * self._added, 0
        while self._parts and wanted >= 0:
            part = self._parts.pop()
            self._insert(part)
            wanted -= len(part) // 2  # a payment stands there by its hash and by its identity
            if not self._parts:
                self._moving, self.indexed = {}, self._moving_below

    def _begin_to_move(self, next_ordinal: int) -> None:
        parts: list[list[bytes]] = [[] for _ in range(_PARTS)]
        for value in self._tail:
            parts[value[0] * _PARTS >> 8].append(value)
        self._parts = parts
        self._moving, self._moving_below = self._tail, next_ordinal
        self._tail, self._length = {}, 0

    def _insert(self, values: Sequence[bytes]) -> None:
        rows = [row for value in values for row in self._moving[value]]
        prefixes = _prefixes([value for value in values for _ in self._moving[value]])
        # In order, a page after the other; a set, should an object's hash and identity begin alike.
        pairs = sorted({*zip(prefixes, [row[0] for row in rows], strict=True)})
        insert_rows(self._connection, "lookup", pairs, "INSERT OR IGNORE")

    def _find_newest(
        self, found: dict[bytes, list[ObjectRow]], values: Sequence[bytes]
    ) -> dict[bytes, list[ObjectRow]]:
        for tail in (self._moving, self._tail):
            for value in values if tail else ():
                if value in tail:
                    found[value] = found.get(value, []) + tail[value]
        return found

    def _stored(self, values: Sequence[bytes]) -> Iterable[ObjectRow]:
        prefixes, indexed = _prefixes(values), self.indexed
        for start in range(0, len(prefixes), _LOT):
            lot = prefixes[start : start + _LOT]
            size = _SMALL_LOT if len(lot) <= _SMALL_LOT else _LOT
            rows = self._connection.execute(_FIND[size], (*lot, *lot[-1:] * (size - len(lot))))
            yield from [row for row in rows if row[0] < indexed]


def lookup_row(value: bytes, ordinal: int) -> tuple[int, int]:
    """A row of the B-tree, for an object that goes there without having been in the tail."""
    return _prefixes((value,))[0], ordinal


def _prefixes(values: Sequence[bytes]) -> tuple[int, ...]:
    return unpack(f">{len(values)}q", b"".join([value[:8] for value in values]))
