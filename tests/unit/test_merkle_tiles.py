"""Tile coordinates, and tiles grown in groups as a store grows them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.merkle import (
    Frontier,
    Tile,
    TileSpan,
    consistency_ranges,
    grow_tiles,
    inclusion_ranges,
    leaf_hash,
    root_of,
    tile_spans,
    tiles_in_memory,
    tiles_needed,
)

LEAVES = [leaf_hash(b"%d" % i) for i in range(70_000)]


def grown_in_groups(sizes: list[int]) -> tuple[Frontier, dict[tuple[int, int], bytes]]:
    frontier, tiles = Frontier(), dict[tuple[int, int], bytes]()
    for size in sizes:
        frontier, writes = grow_tiles(frontier, LEAVES[frontier.size : size])
        for write in writes:
            held = tiles.get((write.span.level, write.span.index), b"")
            assert len(held) == 32 * write.span.start
            assert len(write.hashes) == 32 * (write.span.stop - write.span.start)
            tiles[write.span.level, write.span.index] = held + write.hashes
    return frontier, tiles


@settings(max_examples=30)
@given(st.lists(st.integers(0, 3000), max_size=12))
def test_tiles_grown_in_any_groups_hold_every_complete_subtree(cuts: list[int]) -> None:
    size = max(cuts, default=0)
    frontier, tiles = grown_in_groups(sorted(cuts))
    assert frontier == Frontier().extend(LEAVES[:size])
    for level in range(3):
        span = 256**level
        held = b"".join(tiles[key] for key in sorted(tiles) if key[0] == level)
        assert held == b"".join(root_of(LEAVES[i * span : (i + 1) * span]) for i in range(size // span))


def test_a_log_of_70000_leaves_fills_three_levels_at_under_33_bytes_a_leaf() -> None:
    _, tiles = grown_in_groups([1, 64, 65_535, 65_536, 65_537, 70_000])
    assert {level: sum(key[0] == level for key in tiles) for level in range(3)} == {0: 274, 1: 2, 2: 1}
    assert tiles[2, 0] == root_of(LEAVES[:65_536])
    assert sum(map(len, tiles.values())) / 70_000 < 33


def test_an_append_over_a_tile_boundary_completes_one_tile_and_opens_the_next() -> None:
    assert list(tile_spans(250, 260)) == [
        TileSpan(0, 0, 250, 256),
        TileSpan(0, 1, 0, 4),
        TileSpan(1, 0, 0, 1),
    ]


def test_an_append_of_nothing_touches_no_tile() -> None:
    assert list(tile_spans(256, 256)) == []
    assert grow_tiles(Frontier(), []) == (Frontier(), [])


@pytest.mark.parametrize(("old", "new"), [(2, 1), (-1, 1)])
def test_a_log_that_shrinks_has_no_spans(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="does not grow"):
        list(tile_spans(old, new))


def test_an_inclusion_proof_at_70000_reads_its_own_tiles_and_the_right_edge() -> None:
    assert tiles_needed(inclusion_ranges(12_345, 70_000), 70_000) == {
        Tile(0, 48),
        Tile(1, 0),
        Tile(1, 1, 17),
        Tile(0, 273, 112),
    }


def test_a_consistency_proof_between_full_tiles_reads_only_the_level_above() -> None:
    assert tiles_needed(consistency_ranges(256, 512), 512) == {Tile(1, 0, 2)}


def test_tiles_in_memory_give_what_was_put_in() -> None:
    assert tiles_in_memory(LEAVES[:300])(Tile(0, 1, 44)) == b"".join(LEAVES[256:300])
