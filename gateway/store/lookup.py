"""Finds objects by hash or identity: the newest in memory, the rest in a B-tree filled in sorted lots.

Hashes are random, so inserting each at once would dirty one page of the B-tree an object, on every commit.
Instead the newest objects, the tail, are found in memory (their rows are on disk in ``objects`` all the same)
and go into the B-tree together, in order, with the commit that passes the bound: a page is then written once
for many. After a crash the tail is read again from ``objects``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import Struct

from gateway.store.connection import Connection

ObjectRow = tuple[int, int, int, int, bytes, bytes | None]
"""ordinal, leaf, kind, state, hash, identity: a row of ``objects``."""

_COLUMNS = "ordinal, leaf, kind, state, hash, identity"
_FIRST_8 = Struct(">q")
_LOT = 32
_FIND = (
    "SELECT o.ordinal, o.leaf, o.kind, o.state, o.hash, o.identity "  # noqa: S608 - question marks alone
    "FROM lookup JOIN objects o USING (ordinal) "
    f"WHERE prefix IN (?{', ?' * (_LOT - 1)}) ORDER BY ordinal"
)


class Lookup:
    """Objects by hash and by identity; owned by the store's thread."""

    def __init__(self, connection: Connection, indexed: int, longest_tail: int) -> None:
        self._connection = connection
        self._longest = longest_tail
        self.indexed = indexed
        """Ordinals below it are in the B-tree."""
        self._tail: dict[bytes, list[ObjectRow]] = {}
        self._length = 0
        self.add(
            connection.execute(
                f"SELECT {_COLUMNS} FROM objects WHERE ordinal >= ? ORDER BY ordinal",  # noqa: S608
                (indexed,),
            )
        )

    def add(self, rows: Iterable[ObjectRow]) -> None:
        """Take in new objects, in the order of their ordinals."""
        for row in rows:
            self._tail.setdefault(row[4], []).append(row)
            if row[5] is not None:
                self._tail.setdefault(row[5], []).append(row)
            self._length += 1

    def find(self, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """Objects that have one of these as their hash or identity, by that value, oldest first."""
        found: dict[bytes, list[ObjectRow]] = {}
        if self.indexed:
            wanted = set(values)
            for row in self._stored(values):
                for value in (row[4], row[5]):
                    if value in wanted:
                        found.setdefault(value, []).append(row)
        for value in values:
            if value in self._tail:
                found[value] = found.get(value, []) + self._tail[value]
        return found

    def find_since(self, horizon: int, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """:meth:`find`, where objects below ordinal ``horizon`` may be left out."""
        if self.indexed > horizon:
            return self.find(values)
        tail = self._tail
        return {value: tail[value] for value in values if value in tail}

    def replace(self, old: ObjectRow, new: ObjectRow) -> None:
        """An object's state changed."""
        for value in (old[4], old[5]):
            rows = self._tail.get(value, []) if value is not None else []
            rows[:] = [new if row == old else row for row in rows]

    def settle(self, next_ordinal: int) -> None:
        """Inside a transaction: move the tail into the B-tree once it is long enough."""
        if self._length < self._longest:
            return
        pairs = [(_prefix(value), row[0]) for value, rows in self._tail.items() for row in rows]
        pairs.sort()  # the B-tree is then filled page by page
        self._connection.executemany("INSERT OR IGNORE INTO lookup VALUES (?, ?)", pairs)
        self._tail.clear()
        self._length, self.indexed = 0, next_ordinal

    def _stored(self, values: Sequence[bytes]) -> Iterable[ObjectRow]:
        for start in range(0, len(values), _LOT):
            prefixes = [_prefix(value) for value in values[start : start + _LOT]]
            prefixes += prefixes[-1:] * (_LOT - len(prefixes))
            yield from self._connection.execute(_FIND, prefixes)


def _prefix(value: bytes) -> int:
    prefix: int = _FIRST_8.unpack_from(value)[0]
    return prefix
