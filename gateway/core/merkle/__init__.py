"""RFC 6962 and RFC 9162 Merkle log: hashing, frontier, tiles, proofs; no storage, no clock."""

from __future__ import annotations

from gateway.core.merkle.frontier import Frontier, root_of
from gateway.core.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_TREE_SIZE,
    leaf_hash,
    leaf_hashes,
    node_hash,
)
from gateway.core.merkle.proofs import (
    TileMissing,
    consistency_proof,
    consistency_ranges,
    frontier_at,
    inclusion_proof,
    inclusion_ranges,
    root_at,
    tiles_needed,
)
from gateway.core.merkle.tiles import (
    TILE_WIDTH,
    Tile,
    TileReader,
    TileSpan,
    TileWrite,
    grow_tiles,
    tile_spans,
    tiles_in_memory,
)
from gateway.core.merkle.verification import ProofInvalid, verify_consistency, verify_inclusion

__all__ = [
    "EMPTY_ROOT",
    "HASH_SIZE",
    "MAX_TREE_SIZE",
    "TILE_WIDTH",
    "Frontier",
    "ProofInvalid",
    "Tile",
    "TileMissing",
    "TileReader",
    "TileSpan",
    "TileWrite",
    "consistency_proof",
    "consistency_ranges",
    "frontier_at",
    "grow_tiles",
    "inclusion_proof",
    "inclusion_ranges",
    "leaf_hash",
    "leaf_hashes",
    "node_hash",
    "root_at",
    "root_of",
    "tile_spans",
    "tiles_in_memory",
    "tiles_needed",
    "verify_consistency",
    "verify_inclusion",
]
