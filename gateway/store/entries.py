"""Entries and the packed bodies of their objects, as rows."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from itertools import islice

from gateway.core.entry import Entry
from gateway.model import EntryKind, ListDifference, LoggedEntry, LoggedObject
from gateway.store.connection import Connection
from gateway.store.epochs import Epoch

_COLUMNS = "leaf, kind, objects_root, first_ordinal, count, received_at, quality, radio"

_LOGGED = (
    "SELECT e.leaf, kind, objects_root, first_ordinal, e.count, received_at, quality, radio, pack, base, ops "
    "FROM entries e LEFT JOIN bodies b ON b.leaf = e.leaf LEFT JOIN lists l ON l.leaf = e.leaf "
    "WHERE e.leaf >= ? AND e.leaf < ? ORDER BY e.leaf"
)
_OBJECTS = "SELECT hash, identity FROM objects WHERE ordinal >= ? ORDER BY ordinal"


def read_entry(connection: Connection, leaf: int) -> tuple[Entry, int] | None:
    """The entry at ``leaf`` and the ordinal of its first object."""
    rows = _rows(connection, leaf, leaf + 1)
    return rows[0] if rows else None


def read_received(connection: Connection, leaf: int) -> tuple[int, int]:
    """When, and the quality of that time; ``leaf`` is in the log."""
    row: tuple[int, int] = connection.execute(
        "SELECT received_at, quality FROM entries WHERE leaf = ?", (leaf,)
    ).fetchone()
    return row


def leaf_hashes(connection: Connection, epoch: Epoch, begin: int, end: int) -> list[bytes]:
    """Hashes of an epoch's leaves from index ``begin`` to ``end`` (exclusive), computed from the entries."""
    rows = []
    if begin == 0 < end and epoch.number > 1:
        rows = _rows(connection, epoch.leaf(0), epoch.leaf(0) + 1)
        begin = 1
    rows += _rows(connection, epoch.first_leaf + begin, epoch.first_leaf + end)
    return [entry.leaf_hash() for entry, _ in rows]


def read_logged(
    connection: Connection, epoch: Epoch, start: int, max_entries: int, max_bytes: int
) -> list[LoggedEntry]:
    """Entries of an epoch from index ``start`` with their objects; at least one, if there is one, else within
    both bounds; that of the epoch's beginning by itself.

    ``max_bytes`` is of bodies and list differences together.
    """
    first_leaf = epoch.leaf(start)
    max_entries = 1 if first_leaf < 0 else max_entries
    entries: list[LoggedEntry] = []
    objects: Iterator[tuple[bytes, bytes | None]] = iter(())
    size = 0
    for leaf, kind, root, first, count, received_at, quality, radio, pack, base, ops in connection.execute(
        _LOGGED, (first_leaf, first_leaf + max_entries)
    ):
        size += len(pack or b"") + len(ops or b"")
        if not entries:
            objects = iter(connection.execute(_OBJECTS, (first,)))  # ordinals have no gaps: read on from here
        elif size > max_bytes:
            break
        bodies = [None] * count if pack is None else unpack_bodies(pack, count)
        logged = zip(islice(objects, count), bodies, strict=True)
        entry = LoggedEntry(
            index=epoch.index(leaf),
            kind=EntryKind(kind),
            objects_root=root,
            received_at_ms=received_at,
            quality=quality,
            radio=radio,
            list=None if ops is None else ListDifference(base if base is None else epoch.index(base), ops),
            objects=tuple([LoggedObject(value, body, identity) for (value, identity), body in logged]),
        )
        entries.append(entry)
    return entries


def pack_bodies(bodies: Sequence[bytes]) -> bytes:
    """One blob of all: their lengths (2 bytes each; no object comes near 64 KiB), then the bytes."""
    return struct.pack(f">{len(bodies)}H", *map(len, bodies)) + b"".join(bodies)


def unpack_bodies(pack: bytes, count: int) -> list[bytes]:
    """Reads :func:`pack_bodies` of ``count`` bodies."""
    bodies, at = [], 2 * count
    for length in body_lengths(pack, count):
        bodies.append(pack[at : at + length])
        at += length
    return bodies


def body_lengths(pack: bytes, count: int) -> tuple[int, ...]:
    """In bytes, of each body in it."""
    return struct.unpack_from(f">{count}H", pack)


def read_pack(connection: Connection, leaf: int) -> bytes | None:
    """The bodies of an entry, None where they were pruned."""
    row = connection.execute("SELECT pack FROM bodies WHERE leaf = ?", (leaf,)).fetchone()
    return None if row is None else row[0]


def object_hashes(connection: Connection, first: int, count: int) -> list[bytes]:
    """Hashes of ``count`` objects from ordinal ``first``."""
    rows = connection.execute(
        "SELECT hash FROM objects WHERE ordinal >= ? AND ordinal < ? ORDER BY ordinal", (first, first + count)
    )
    return [row[0] for row in rows]


def _rows(connection: Connection, begin: int, end: int) -> list[tuple[Entry, int]]:
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM entries WHERE leaf >= ? AND leaf < ? ORDER BY leaf",  # noqa: S608 - our own names
        (begin, end),
    )
    return [
        (Entry(EntryKind(kind), root, count, received_at, quality, radio), first)
        for _, kind, root, first, count, received_at, quality, radio in rows
    ]
