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
_EVIDENCE = "SELECT leaf FROM evidence WHERE id = (SELECT MAX(id) FROM evidence)"


def read_brought(connection: Connection, state: LogState, entries: int) -> list[Brought]:
    """Of the newest ``entries`` of this epoch, the snapshots held with all that came with them, oldest first.

    What stands before the newest evidence is left out, for that may be about it: who sends it again is to be
    told. (Later entries of which something was in conflict have no message.)
    """
    from_leaf = state.first_leaf + max(state.size - entries, 0)
    newest = connection.execute(_EVIDENCE).fetchone()
    if newest is not None:
        if newest[0] is None:
            return []  # the coordinator told it, who knows after which leaf
        from_leaf = max(from_leaf, newest[0] + 1)
    # An entry's first object is its snapshot's header, whose hash is H.
    rows = connection.execute(_NEWEST, (from_leaf,))
    return [Brought(row[0], row[1], state.origin, state.placed(*row[2:5]), row[5]) for row in rows]
