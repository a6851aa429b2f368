"""The log's tree on disk: full tiles of leaf hashes and growing tiles above; proofs are read from them."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.merkle import HASH_SIZE, TILE_WIDTH, Frontier, Tile, grow_tiles
from gateway.store.connection import Connection
from gateway.store.entries import leaf_hashes
from gateway.store.epochs import Epoch

_LEVEL_SHIFT = 48  # 4 bits of level; above them the epoch


def append_leaves(
    connection: Connection, epoch: Epoch, frontier: Frontier, leaves: Sequence[bytes]
) -> Frontier:
    """Write what these leaves complete; their entries are already in the database.

    A tile of leaves is written once, when it is full: until then its leaves stand in ``entries`` anyway, so
    a commit in a calm hour rewrites nothing here.
    """
    grown, writes = grow_tiles(frontier, leaves)
    for write in writes:
        span = write.span
        key = epoch.tiles | span.level << _LEVEL_SHIFT | span.index
        if span.level > 0:
            row = connection.execute("SELECT hashes FROM tiles WHERE id = ?", (key,)).fetchone()
            hashes = write.hashes if row is None else row[0] + write.hashes
            connection.execute("INSERT OR REPLACE INTO tiles VALUES (?, ?)", (key, hashes))
        elif span.stop == TILE_WIDTH:
            begin = span.index * TILE_WIDTH
            older = leaf_hashes(connection, epoch, begin, begin + span.start)
            connection.execute("INSERT INTO tiles VALUES (?, ?)", (key, b"".join(older) + write.hashes))
    return grown


class StoredTiles:
    """Reads tiles of one epoch; a :data:`gateway.core.merkle.TileReader`."""

    def __init__(self, connection: Connection, epoch: Epoch) -> None:
        self._connection = connection
        self._epoch = epoch

    def __call__(self, tile: Tile) -> bytes:
        row = self._connection.execute(
            "SELECT hashes FROM tiles WHERE id = ?",
            (self._epoch.tiles | tile.level << _LEVEL_SHIFT | tile.index,),
        ).fetchone()
        if row is not None:
            hashes: bytes = row[0]
            return hashes[: tile.width * HASH_SIZE]
        if tile.level > 0:
            return b""
        begin = tile.index * TILE_WIDTH
        return b"".join(leaf_hashes(self._connection, self._epoch, begin, begin + tile.width))
