"""Reads of the log: contents, proofs, bodies; nothing here writes."""

from __future__ import annotations

from gateway.core import merkle
from gateway.core.entry import object_path
from gateway.core.merkle import HASH_SIZE, TILE_WIDTH, Tile
from gateway.model import ContentPlace
from gateway.store.connection import Connection
from gateway.store.entries import object_hashes, read_entry
from gateway.store.lookup import Lookup, ObjectRow
from gateway.store.state import LogState
from gateway.store.tiles import StoredTiles
from gateway.store.waiting import read_body


class Reading:
    """The log as of the newest commit; sizes are the caller's to keep within it."""

    def __init__(self, connection: Connection, lookup: Lookup, state: LogState) -> None:
        self._connection = connection
        self._lookup = lookup
        self._state = state
        self._tiles = StoredTiles(connection, state.numbers)

    def body(self, object_hash: bytes) -> bytes | None:
        row = self._object(object_hash)
        return None if row is None else read_body(self._connection, row[1], row[0])

    def content(self, content: bytes) -> ContentPlace | None:
        row = self._object(content)
        found = None if row is None else read_entry(self._connection, row[1])
        if row is None or found is None:
            return None
        entry, first = found
        at = row[0] - first
        epoch = self._state.epoch_of(row[1])
        return ContentPlace(
            epoch=epoch.number,
            index=epoch.index(row[1]),
            entry=entry.to_bytes(),
            received_at_ms=entry.received_at_ms,
            quality=entry.quality,
            object_index=at,
            object_path=object_path(object_hashes(self._connection, first, entry.count), at),
        )

    def leaf_of(self, content: bytes) -> int | None:
        """The leaf, as tables number it, that covers a content."""
        row = self._object(content)
        return None if row is None else row[1]

    def proof(self, index: int, size: int, epoch: int | None) -> tuple[bytes, ...]:
        return merkle.inclusion_proof(index, size, self._tiles_of(epoch))

    def _tiles_of(self, epoch: int | None) -> StoredTiles:
        past = next((one for one in self._state.past if one.number == epoch), None)
        return self._tiles if past is None else StoredTiles(self._connection, past)

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        return merkle.consistency_proof(old_size, new_size, self._tiles)

    def root_at(self, size: int) -> bytes:
        return merkle.root_at(size, self._tiles)

    def leaves(self, start: int, end: int) -> bytes:
        first, last = start // TILE_WIDTH, -(-end // TILE_WIDTH)
        widths = [min(TILE_WIDTH, end - index * TILE_WIDTH) for index in range(first, last)]
        tiles = [
            self._tiles(Tile(0, index, width))
            for index, width in zip(range(first, last), widths, strict=True)
        ]
        return b"".join(tiles)[(start - first * TILE_WIDTH) * HASH_SIZE :]

    def _object(self, object_hash: bytes) -> ObjectRow | None:
        rows = self._lookup.find((object_hash,)).get(object_hash, ())
        return next((row for row in rows if row[4] == object_hash), None)
