"""Counts for metrics and status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gateway.core.conflict import ConflictKind
from gateway.core.evidence import EvidenceKind
from gateway.core.submission import ObjectState
from gateway.core.wallet.objects import Kind
from gateway.model import Figures
from gateway.store.connection import Connection
from gateway.store.state import LogState

SYNCS_A_CHECKPOINT = 3
"""With synchronous=FULL: the WAL before its pages are copied, the database after it, and the new header when
the WAL is begun anew."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Verified transactions under no cosigned root, as counted at one moment: what it was counted of, and the
    verified transactions that there were in all."""

    acked_leaf: int
    next_ordinal: int
    verified: int
    unacked: int


@dataclass(slots=True)
class Tally:
    """What happened since opening; owned by the store's thread."""

    checkpoints_before: int
    commits: int = 0
    commit_seconds: float = 0.0
    write_failures: int = 0
    backlog: Backlog | None = None
    refused: Counter[str] = field(default_factory=Counter)


def checkpoints(path: Path) -> int:
    """How often the WAL of the database at ``path`` was begun anew, as its header says.

    https://www.sqlite.org/fileformat2.html#walformat; SQLite holds no lock on this file that closing it
    could let go.
    """
    try:
        with path.with_name(f"{path.name}-wal").open("rb") as wal:
            return int.from_bytes(wal.read(16)[12:], "big")
    except FileNotFoundError:
        return 0


def read_figures(connection: Connection, path: Path, state: LogState, tally: Tally) -> Figures:
    """Reads the objects that came since it was last asked, after an ack the backlog's; and the conflicts."""
    conflicts = _conflicts(connection)
    checkpointed = checkpoints(path) - tally.checkpoints_before
    unacked, oldest = _backlog(connection, state, tally)
    return Figures(
        size=state.size,
        acked_size=state.acked_size,
        objects=state.next_ordinal,
        verified_transactions=state.verified,
        acked_transactions=state.verified - unacked,
        unverified_transactions=state.unverified,
        invalid_transactions=state.invalid,
        **conflicts,
        conflicts_resolved=state.resolved,
        lost_promises=state.lost,
        oldest_unacked_received_at_ms=oldest,
        body_bytes=state.body_bytes,
        unproven_bytes=state.unproven_bytes,
        file_bytes=_file_bytes(connection),
        pruned_entries=state.pruned_size,
        commits_since_opening=tally.commits,
        syncs_since_opening=tally.commits + SYNCS_A_CHECKPOINT * checkpointed,
        commit_seconds_since_opening=tally.commit_seconds,
        write_failures_since_opening=tally.write_failures,
        refused_since_opening=dict(tally.refused),
    )


def _conflicts(connection: Connection) -> Mapping[str, Any]:
    total, pending, double = connection.execute(
        "SELECT COUNT(*), COALESCE(SUM(decided = 0), 0), COALESCE(SUM(kind = ?), 0) FROM conflicts",
        (int(ConflictKind.DOUBLE_SPEND),),
    ).fetchone()
    awaiting: int = connection.execute("SELECT COUNT(*) FROM awaiting").fetchone()[0]
    kinds = connection.execute("SELECT kind, COUNT(*) FROM evidence GROUP BY kind").fetchall()
    return {
        "conflicts": total,
        "conflicts_pending": pending,
        "conflicts_awaiting": awaiting,
        "double_spends": double,
        "evidence": {EvidenceKind(kind).name.lower(): count for kind, count in kinds},
    }


def _backlog(connection: Connection, state: LogState, tally: Tally) -> tuple[int, int | None]:
    """Verified transactions under no cosigned root yet, and when the oldest unacked entry was received."""
    row = connection.execute(
        "SELECT first_ordinal, received_at FROM entries WHERE leaf = ?", (state.acked_leaf,)
    ).fetchone()
    if row is None:
        return 0, None
    before, unacked = tally.backlog, None
    if before is not None and before.acked_leaf == state.acked_leaf:
        more = _verified_from(connection, before.next_ordinal)
        if before.verified + more == state.verified:  # else older ones have risen, acked or not
            unacked = before.unacked + more
    if unacked is None:
        unacked = _verified_from(connection, row[0])
    tally.backlog = Backlog(state.acked_leaf, state.next_ordinal, state.verified, unacked)
    return unacked, row[1]


def _verified_from(connection: Connection, ordinal: int) -> int:
    count: int = connection.execute(
        "SELECT COUNT(*) FROM objects WHERE ordinal >= ? AND kind = ? AND state = ?",
        (ordinal, int(Kind.TRANSACTION), int(ObjectState.VERIFIED)),
    ).fetchone()[0]
    return count


def _file_bytes(connection: Connection) -> int:
    pages: int = connection.execute("PRAGMA page_count").fetchone()[0]
    size: int = connection.execute("PRAGMA page_size").fetchone()[0]
    return pages * size
