"""Finds objects by hash or identity: the newest in memory, the rest in a B-tree filled in sorted lots.

Hashes are random, so inserting each at once would dirty one page of the B-tree an object, on every commit.
Instead the newest objects, the tail, are found in memory (their rows are on disk in ``objects`` all the same)
and go into the B-tree together, in order, with the commit that passes the bound: a page is then written once
for many. After a crash the tail is read again from ``objects``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from struct import unpack

from gateway.store.connection import Connection, insert_rows

ObjectRow = tuple[int, int, int, int, bytes, bytes | None]
"""ordinal, leaf, kind, state, hash, identity: a row of ``objects``."""

_COLUMNS = "ordinal, leaf, kind, state, hash, identity"
_SMALL_LOT, _LOT = 16, 128
_FIND = {
    size: "SELECT o.ordinal, o.leaf, o.kind, o.state, o.hash, o.identity "  # noqa: S608 - question marks alone
    "FROM lookup JOIN objects o USING (ordinal) "
    f"WHERE prefix IN (?{', ?' * (size - 1)}) ORDER BY ordinal"
    for size in (_SMALL_LOT, _LOT)
}


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
                f"SELECT {_COLUMNS} FROM objects WHERE ordinal >= ? ORDER BY ordinal",  # noqa: S608 - our own names
                (indexed,),
            )
        )

    def add(self, rows: Iterable[ObjectRow]) -> None:
        """Take in new objects, in the order of their ordinals."""
        tail = self._tail
        for row in rows:
            self._length += 1
            for value in row[4:]:
                if value in tail:
                    tail[value].append(row)
                elif value is not None:
                    tail[value] = [row]

    def find(self, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """Objects that have one of these as their hash or identity, by that value, oldest first."""
        found: dict[bytes, list[ObjectRow]] = {}
        if self.indexed:
            wanted = set(values)  # of one upload's values some may stand in another's beside it
            for row in self._stored([*wanted]):
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
        values = [value for value, rows in self._tail.items() for _ in rows]
        ordinals = [row[0] for rows in self._tail.values() for row in rows]
        # Sorted, the B-tree is filled page by page; a set, should an object's hash and identity begin alike.
        pairs = sorted({*zip(_prefixes(values), ordinals, strict=True)})
        insert_rows(self._connection, "lookup", pairs)
        self._tail.clear()
        self._length, self.indexed = 0, next_ordinal

    def _stored(self, values: Sequence[bytes]) -> Iterable[ObjectRow]:
        prefixes = _prefixes(values)
        for start in range(0, len(prefixes), _LOT):
            lot = prefixes[start : start + _LOT]
            size = _SMALL_LOT if len(lot) <= _SMALL_LOT else _LOT
            yield from self._connection.execute(_FIND[size], (*lot, *lot[-1:] * (size - len(lot))))


def _prefixes(values: Sequence[bytes]) -> tuple[int, ...]:
    return unpack(f">{len(values)}q", b"".join([value[:8] for value in values]))
