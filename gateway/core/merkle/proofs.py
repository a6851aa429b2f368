"""Inclusion and consistency proofs, roots and frontiers of any past size, read from tiles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.core.merkle.frontier import Frontier
from gateway.core.merkle.hashing import HASH_SIZE, fold_peaks, perfect_root
from gateway.core.merkle.tiles import Tile, TileReader, tile_of_node

# Leaves begin to end (exclusive), begin being a multiple of a power of two not below the length.
LeafRange = tuple[int, int]


class TileMissing(LookupError):
    """A tile reader gave fewer hashes than the tree of that size must have: the store has lost some."""


def inclusion_proof(
    index: int, size: int, read: TileReader, *, edge: Frontier | None = None
) -> tuple[bytes, ...]:
    """The path of leaf ``index`` in the tree of the first ``size`` leaves, bottom up (RFC 9162 §2.1.3.1).

    ``edge``, the frontier at exactly ``size``, spares computing the right edge anew: a fifth of the work
    at a million leaves. Raises ValueError when there is no such leaf or the edge is of another size,
    TileMissing when the reader gives too little.
    """
    if edge is not None and edge.size != size:
        raise ValueError(f"a frontier at {edge.size} is no edge of a tree of {size}")
    return _range_hashes(inclusion_ranges(index, size), size, read, edge)


def consistency_proof(old_size: int, new_size: int, read: TileReader) -> tuple[bytes, ...]:
    """That the tree of ``new_size`` extends the one of ``old_size`` (RFC 9162 §2.1.4.1).

    Empty for equal sizes. Raises ValueError unless 0 < old_size <= new_size, TileMissing as above.
    """
    return _range_hashes(consistency_ranges(old_size, new_size), new_size, read)


def frontier_at(size: int, read: TileReader) -> Frontier:
    """The frontier when the log had ``size`` leaves. Raises TileMissing as above."""
    nodes = _NodeReader(size, read)
    return Frontier(size, tuple(nodes.node(level, index) for level, index in perfect_subtrees((0, size))))


def root_at(size: int, read: TileReader) -> bytes:
    """The root when the log had ``size`` leaves. Raises TileMissing as above."""
    return frontier_at(size, read).root()


def tiles_needed(ranges: Iterable[LeafRange], size: int) -> set[Tile]:
    """The tiles from which the hashes over ``ranges`` are computed, in a tree of ``size`` leaves."""
    return {
        tile_of_node(level, index, size)[0]
        for leaf_range in ranges
        for level, index in perfect_subtrees(leaf_range)
    }


def inclusion_ranges(index: int, size: int) -> list[LeafRange]:
    """The leaves under each element of an inclusion proof, bottom up."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    begin, end, siblings = 0, size, []
    while end - begin > 1:
        middle = _split(begin, end)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((begin, middle))
            begin = middle
    return siblings[::-1]


def consistency_ranges(old_size: int, new_size: int) -> list[LeafRange]:
    """The leaves under each element of a consistency proof, in the order of the proof."""
    if not 0 < old_size <= new_size:
        raise ValueError(f"no consistency proof from {old_size} to {new_size} leaves")
    begin, end, siblings = 0, new_size, []
    while end != old_size:
        middle = _split(begin, end)
        if old_size <= middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((begin, middle))
            begin = middle
    if begin > 0:  # else the verifier holds this subtree: it is the old root (SUBPROOF with b true)
        siblings.append((begin, end))
    return siblings[::-1]


def perfect_subtrees(leaf_range: LeafRange) -> Iterator[tuple[int, int]]:
    """The nodes (tree level, index) that together cover a range, largest first."""
    begin, end = leaf_range
    while begin < end:
        level = (end - begin).bit_length() - 1
        yield level, begin >> level
        begin += 1 << level


def _split(begin: int, end: int) -> int:
    """Where RFC 9162 §2.1.1 splits: the largest power of two below the number of leaves."""
    return begin + (1 << ((end - begin - 1).bit_length() - 1))


def _range_hashes(
    ranges: Iterable[LeafRange], size: int, read: TileReader, edge: Frontier | None = None
) -> tuple[bytes, ...]:
    nodes, hashes = _NodeReader(size, read), []
    for begin, end in ranges:
        # A range at the right edge is a row of the last peaks, unless it is half of a peak itself.
        if edge is not None and end == size and begin & (end - begin) == 0:
            peaks = edge.peaks[-(end - begin).bit_count() :]
        else:
            peaks = tuple(nodes.node(level, index) for level, index in perfect_subtrees((begin, end)))
        hashes.append(fold_peaks(peaks))
    return tuple(hashes)


class _NodeReader:
    """Computes nodes of one tree, asking for each tile once; lives for one proof."""

    def __init__(self, size: int, read: TileReader) -> None:
        self._size = size
        self._read = read
        self._tiles: dict[Tile, bytes] = {}

    def node(self, level: int, index: int) -> bytes:
        tile, begin, end = tile_of_node(level, index, self._size)
        hashes = self._tiles.get(tile)
        if hashes is None:
            hashes = self._tiles[tile] = self._fetch(tile)
        return perfect_root(hashes[begin:end])

    def _fetch(self, tile: Tile) -> bytes:
        hashes = self._read(tile)
        if len(hashes) < tile.width * HASH_SIZE:
            raise TileMissing(f"{tile} has {len(hashes)} bytes, expected {tile.width * HASH_SIZE}")
        return hashes
