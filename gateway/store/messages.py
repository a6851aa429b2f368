"""Which messages brought the newest snapshots, so that their bytes are recognised after a restart."""

from __future__ import annotations

from gateway.core.submission import Brought
from gateway.store.connection import Connection
from gateway.store.state import LogState

_NEWEST = (
    "SELECT message, hash, e.leaf, received_at, quality, l.count FROM entries e "
    "JOIN objects ON ordinal = first_ordinal JOIN lists l ON l.leaf = e.leaf "
    "WHERE e.leaf >= ? AND message IS NOT NULL ORDER BY e.leaf"
)
# What begins an epoch is evidence too, at a leaf below zero: it is about no payment.
_EVIDENCE = "SELECT leaf FROM evidence WHERE leaf IS NULL OR leaf >= 0 ORDER BY id DESC LIMIT 1"


def read_brought(connection: Connection, state: LogState, entries: int) -> list[Brought]:
    """Of the newest ``entries`` of this epoch, the snapshots held with all that came with them, oldest first.

    What stands before the newest evidence is left out, for that may be about it: who sends it again is to be
    told. (Later entries of which something was in conflict have no message.)
    """
    # An epoch's index 0 stands apart: the leaf that its number would give is of the epoch before.
    from_leaf = max(state.numbers.lowest, state.first_leaf + state.size - entries)
    newest = connection.execute(_EVIDENCE).fetchone()
    if newest is not None:
        if newest[0] is None:
            return []  # the coordinator told it, who knows after which leaf
        from_leaf = max(from_leaf, newest[0] + 1)
    # An entry's first object is its snapshot's header, whose hash is H.
    rows = connection.execute(_NEWEST, (from_leaf,))
    return [Brought(row[0], row[1], state.origin, state.placed(*row[2:5]), row[5]) for row in rows]
