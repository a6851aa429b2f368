"""Where the hashes of a log are kept: coordinates of tiles of 256 hashes, and what an append adds to them.

A tile of level L holds the hashes of perfect subtrees of 256^L leaves: level 0 the leaf hashes, level 1 one
hash for each full tile of level 0, and so on (the geometry of C2SP tlog-tiles). The tile at the right edge
of a level is partial; it only ever grows at its end, so a wider version serves every smaller tree as well.
Hashes cost 32 × (1 + 1/256 + 1/256² …) = 32.13 bytes a leaf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gateway.core.merkle.frontier import Frontier
from gateway.core.merkle.hashing import HASH_SIZE

TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """``width`` hashes (1..256) from the beginning of tile ``index`` of ``level``."""

    level: int
    index: int
    width: int = TILE_WIDTH


@dataclass(frozen=True, slots=True)
class TileSpan:
    """Positions ``start`` to ``stop`` (exclusive, at most 256) of tile ``index`` of ``level``."""

    level: int
    index: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class TileWrite:
    """Hashes (32 bytes each, end to end) to put behind what the tile of ``span`` already holds."""

    span: TileSpan
    hashes: bytes


# Gives at least ``tile.width`` hashes end to end, from the beginning of the tile; it may give more.
TileReader = Callable[[Tile], bytes]


def tile_spans(old_size: int, new_size: int) -> Iterator[TileSpan]:
    """The tiles that growing from ``old_size`` to ``new_size`` leaves extends or completes, level 0 first."""
    if not 0 <= old_size <= new_size:
        raise ValueError(f"a log does not grow from {old_size} to {new_size}")
    level = 0
    while old_size < new_size:
        yield from _spans_of_level(level, old_size, new_size)
        old_size, new_size, level = old_size >> TILE_HEIGHT, new_size >> TILE_HEIGHT, level + 1


def _spans_of_level(level: int, first: int, end: int) -> Iterator[TileSpan]:
    for index in range(first >> TILE_HEIGHT, (end + TILE_WIDTH - 1) >> TILE_HEIGHT):
        base = index << TILE_HEIGHT
        yield TileSpan(level, index, max(first - base, 0), min(end - base, TILE_WIDTH))


def grow_tiles(frontier: Frontier, leaf_hashes: Iterable[bytes]) -> tuple[Frontier, list[TileWrite]]:
    """Append leaves: the new frontier, and what to write to which tile, without reading any tile.

    Raises ValueError unless every leaf hash has 32 bytes.
    """
    grown, rows = frontier.grow(leaf_hashes, every=TILE_HEIGHT)
    writes, taken = [], [0] * len(rows)
    for span in tile_spans(frontier.size, grown.size):
        begin = taken[span.level]
        taken[span.level] = end = begin + span.stop - span.start
        writes.append(TileWrite(span, b"".join(rows[span.level][begin:end])))
    return grown, writes


def tile_of_node(level: int, index: int, size: int) -> tuple[Tile, int, int]:
    """Where node ``index`` of tree ``level`` lies in a tree of ``size`` leaves.

    Gives the tile, as wide as that tree fills it, and the byte range whose root the node is.
    """
    tile_level, height = divmod(level, TILE_HEIGHT)
    first = index << height
    base = first & ~(TILE_WIDTH - 1)
    width = min((size >> (tile_level * TILE_HEIGHT)) - base, TILE_WIDTH)
    begin = (first - base) * HASH_SIZE
    return Tile(tile_level, base >> TILE_HEIGHT, width), begin, begin + (HASH_SIZE << height)


def tiles_in_memory(leaf_hashes: Iterable[bytes]) -> TileReader:
    """A reader over the tiles of a tree that is at hand, such as the objects of one submission."""
    tiles: dict[tuple[int, int], bytes] = {}
    for write in grow_tiles(Frontier(), leaf_hashes)[1]:
        tiles[write.span.level, write.span.index] = write.hashes
    return lambda tile: tiles[tile.level, tile.index]
