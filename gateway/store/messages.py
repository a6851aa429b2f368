"""Which messages brought the newest snapshots, so that their bytes are recognised after a restart."""

from __future__ import annotations

from gateway.core.submission import Brought, HeldPlace
from gateway.store.connection import Connection

_NEWEST = (
    "SELECT message, hash, e.leaf, received_at, quality, l.count FROM entries e "
    "JOIN objects ON ordinal = first_ordinal JOIN lists l ON l.leaf = e.leaf "
    "WHERE e.leaf >= ? AND message IS NOT NULL ORDER BY e.leaf"
)
_EVIDENCE = "SELECT leaf FROM evidence WHERE id = (SELECT MAX(id) FROM evidence)"


def read_brought(connection: Connection, origin: str, first_leaf: int, from_leaf: int) -> list[Brought]:
    """Snapshots from ``from_leaf`` on that are held with all that came with them, oldest first.

    ``first_leaf`` is the origin's. What stands before the newest evidence is left out, for that may be about
    it: who sends it again is to be told. (Later entries of which something was in conflict have no message.)
    """
    newest = connection.execute(_EVIDENCE).fetchone()
    if newest is not None:
        if newest[0] is None:
            return []  # the coordinator told it, who knows after which leaf
        from_leaf = max(from_leaf, newest[0] + 1)
    # An entry's first object is its snapshot's header, whose hash is H.
    rows = connection.execute(_NEWEST, (max(from_leaf, first_leaf),))
    return [
        Brought(row[0], row[1], origin, HeldPlace(row[2] - first_leaf, row[3], row[4]), row[5])
        for row in rows
    ]
