"""Frees bodies: only what is acked on disk and beyond the policy, a bounded number at a time."""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter

from gateway.core.submission import ObjectState
from gateway.model import RetentionPolicy, TimeQuality
from gateway.store.connection import Connection
from gateway.store.entries import body_lengths, read_pack
from gateway.store.state import LogState

ROUND = 1024
"""Entries pruned in one commit, so that no upload waits long behind it."""

VACUUM_PAGES = 4096
"""Pages given back to the file system in one commit."""

LARGEST_SHRINK = VACUUM_PAGES * 4096
"""16 MiB in bytes; where that much was given back, more may be waiting."""


def prunable(connection: Connection, state: LogState, policy: RetentionPolicy) -> int:
    """Entries below this leaf may lose their bodies; never more than a round beyond what is pruned."""
    by_number = state.next_leaf - policy.max_snapshots
    by_age = _older_than(connection, state, policy.received_before_ms)
    end = min(max(by_number, by_age), state.acked_leaf, state.pruned_size + ROUND)
    if policy.backed_up is not None:
        end = min(end, max(0, state.first_leaf + policy.backed_up))
    return max(end, state.pruned_size)


def prune_bodies(connection: Connection, begin: int, end: int) -> tuple[int, int]:
    """Inside a transaction: free the bodies of entries ``begin`` to ``end`` (exclusive).

    Leaves entries, object hashes, identities, lists and the conflict index: proofs and conflict detection
    outlive the bodies. What waited for a key waits no more: without its body nothing verifies it, until it is
    brought again. Returns the bytes freed, and how many of them were of objects not verified.
    """
    freed = _body_bytes(connection, begin, end)
    unproven = _unproven_bytes(connection, begin, end)
    connection.execute("DELETE FROM bodies WHERE leaf >= ? AND leaf < ?", (begin, end))
    connection.execute(
        "DELETE FROM waiting WHERE ordinal >= (SELECT first_ordinal FROM entries WHERE leaf = ?) "
        "AND ordinal < (SELECT first_ordinal + count FROM entries WHERE leaf = ?)",
        (begin, end - 1),
    )
    return freed, unproven


def spare_pages(connection: Connection) -> int:
    """Free pages that :func:`shrink` may take off the file at once."""
    free: int = connection.execute("PRAGMA freelist_count").fetchone()[0]
    return min(free, VACUUM_PAGES)


def shrink(connection: Connection, pages: int) -> int:
    """Inside a transaction: give so many free pages back; returns the bytes that takes off the file."""
    for _ in range(pages):  # asked for many, SQLite gives one a step, and sqlite3 takes one step
        connection.execute("PRAGMA incremental_vacuum(1)")
    return pages * 4096


def _older_than(connection: Connection, state: LogState, received_before_ms: int | None) -> int:
    """The leaf behind the newest one received before that time by a clock that could be trusted.

    The log's order is the order of time: whatever stands before that leaf is older, whatever its clock said.
    """
    if received_before_ms is None:
        return 0
    row = connection.execute(
        "SELECT leaf FROM entries WHERE leaf >= ? AND leaf < ? AND quality >= ? AND received_at < ? "
        "ORDER BY leaf DESC LIMIT 1",
        (state.pruned_size, state.acked_leaf, int(TimeQuality.AGREED), received_before_ms),
    ).fetchone()
    return 0 if row is None else row[0] + 1


def _body_bytes(connection: Connection, begin: int, end: int) -> int:
    # A pack is 2 bytes an object longer than the bodies in it.
    row = connection.execute(
        "SELECT COALESCE(SUM(LENGTH(pack) - 2 * count), 0) FROM bodies JOIN entries USING (leaf) "
        "WHERE leaf >= ? AND leaf < ?",
        (begin, end),
    ).fetchone()
    freed: int = row[0]
    return freed


def _unproven_bytes(connection: Connection, begin: int, end: int) -> int:
    rows = connection.execute(
        # CROSS JOIN keeps the order written: by entry, its objects by their ordinals, which are its own.
        "SELECT e.leaf, count, ordinal - first_ordinal FROM entries e CROSS JOIN objects o "
        "ON ordinal >= first_ordinal AND ordinal < first_ordinal + count "
        "WHERE e.leaf >= ? AND e.leaf < ? AND state != ? ORDER BY ordinal",
        (begin, end, int(ObjectState.VERIFIED)),
    )
    total = 0
    for (leaf, count), unproven in groupby(rows, key=itemgetter(0, 1)):
        pack = read_pack(connection, leaf)
        lengths = () if pack is None else body_lengths(pack, count)
        total += sum(lengths[at] for _, _, at in unproven)
    return total
