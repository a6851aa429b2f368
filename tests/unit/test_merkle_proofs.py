"""Proofs of all small sizes verify, and no changed proof does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.merkle import (
    EMPTY_ROOT,
    Frontier,
    ProofInvalid,
    Tile,
    TileMissing,
    consistency_proof,
    frontier_at,
    inclusion_proof,
    inclusion_ranges,
    leaf_hash,
    root_at,
    root_of,
    tiles_in_memory,
    tiles_needed,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(b"%d" % i) for i in range(600)]
ROOTS = [root_of(LEAVES[:size]) for size in range(len(LEAVES) + 1)]
READ = tiles_in_memory(LEAVES)
SMALL = range(1, 41)

sizes = st.integers(2, len(LEAVES))


def test_every_leaf_of_every_small_tree_is_proved() -> None:
    for size in SMALL:
        for index in range(size):
            proof = inclusion_proof(index, size, READ)
            verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


def test_a_frontier_as_edge_changes_no_proof() -> None:
    for size in SMALL:
        edge = frontier_at(size, READ)
        for index in range(size):
            assert inclusion_proof(index, size, READ, edge=edge) == inclusion_proof(index, size, READ)


def test_every_small_tree_is_proved_to_extend_every_smaller_one() -> None:
    for new in SMALL:
        for old in range(1, new + 1):
            verify_consistency(old, new, consistency_proof(old, new, READ), ROOTS[old], ROOTS[new])


@given(sizes, st.data())
def test_proofs_of_a_past_size_come_from_todays_tiles(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, READ)
    verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])
    verify_consistency(
        index + 1, size, consistency_proof(index + 1, size, READ), ROOTS[index + 1], ROOTS[size]
    )
    assert root_at(size, READ) == ROOTS[size]
    assert frontier_at(size, READ) == Frontier().extend(LEAVES[:size])
    assert inclusion_proof(index, size, READ, edge=frontier_at(size, READ)) == proof


@given(sizes, st.data())
def test_a_changed_inclusion_proof_fails(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = changed(inclusion_proof(index, size, READ), data)
    with pytest.raises(ProofInvalid):
        verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size])


@given(sizes, st.data())
def test_an_inclusion_proof_fails_for_any_other_leaf_index_or_root(size: int, data: st.DataObject) -> None:
    index, other = data.draw(st.permutations(range(size)))[:2] if size < 50 else (size - 1, size // 3)
    proof = inclusion_proof(index, size, READ)
    for leaf, at, root in [
        (LEAVES[other], index, ROOTS[size]),
        (LEAVES[index], other, ROOTS[size]),
        (LEAVES[index], index, ROOTS[size - 1]),
    ]:
        with pytest.raises(ProofInvalid):
            verify_inclusion(leaf, at, size, proof, root)


@given(sizes, st.data())
def test_a_changed_consistency_proof_fails(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    proof = changed(consistency_proof(old, size, READ), data)
    with pytest.raises(ProofInvalid):
        verify_consistency(old, size, proof, ROOTS[old], ROOTS[size])


@given(sizes, st.data())
def test_a_rewritten_leaf_is_no_extension(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size - 1))
    rewritten = data.draw(st.integers(0, old - 1))
    fork = [*LEAVES[:rewritten], leaf_hash(b"another history"), *LEAVES[rewritten + 1 : size]]
    proof = consistency_proof(old, size, tiles_in_memory(fork))
    with pytest.raises(ProofInvalid):
        verify_consistency(old, size, proof, ROOTS[old], root_of(fork))


def changed(proof: tuple[bytes, ...], data: st.DataObject) -> list[bytes]:
    """One byte flipped, a hash too few, too many or of another length: never the proof itself."""
    how = data.draw(st.sampled_from(["flip", "drop", "insert", "shorten"] if proof else ["insert"]))
    nodes = list(proof)
    at = data.draw(st.integers(0, len(nodes) - (how != "insert")))
    if how == "insert":
        nodes.insert(at, data.draw(st.sampled_from([bytes(32), *LEAVES[:3], b"", *nodes])))
    elif how == "drop":
        del nodes[at]
    elif how == "shorten":
        nodes[at] = nodes[at][:-1]
    else:
        flipped = bytearray(nodes[at])
        flipped[data.draw(st.integers(0, 31))] ^= data.draw(st.integers(1, 255))
        nodes[at] = bytes(flipped)
    return nodes


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5), (0, 2**63), (2**64, 2**65)])
def test_a_leaf_outside_of_the_tree_is_no_proof(index: int, size: int) -> None:
    with pytest.raises(ProofInvalid, match="is not in a tree"):
        verify_inclusion(LEAVES[0], index, size, [], LEAVES[0])


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5), (-1, 5), (1, 2**63)])
def test_sizes_that_do_not_grow_are_no_proof(old: int, new: int) -> None:
    with pytest.raises(ProofInvalid, match="is proved to extend"):
        verify_consistency(old, new, [], EMPTY_ROOT, ROOTS[5])


def test_a_proof_that_goes_on_above_the_root_of_the_stated_size_fails() -> None:
    # Both would lead to the right roots: they are proofs of a larger tree under a smaller size.
    with pytest.raises(ProofInvalid, match="above the root"):
        verify_inclusion(LEAVES[1], 0, 1, inclusion_proof(1, 2, READ), ROOTS[2])
    with pytest.raises(ProofInvalid, match="above the root"):
        verify_consistency(3, 4, consistency_proof(7, 8, READ), ROOTS[7], ROOTS[8])


@pytest.mark.parametrize("strange", [b"", bytes(31), bytes(33)])
def test_roots_and_leaves_of_another_length_are_refused(strange: bytes) -> None:
    with pytest.raises(ProofInvalid, match="expected 32"):
        verify_inclusion(strange, 0, 1, [], strange)
    with pytest.raises(ProofInvalid, match="expected 32"):
        verify_consistency(1, 1, [], strange, strange)


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 5)])
def test_no_inclusion_proof_is_made_for_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="is not in a tree"):
        inclusion_proof(index, size, READ)


@pytest.mark.parametrize(("old", "new"), [(0, 5), (6, 5)])
def test_no_consistency_proof_is_made_for_sizes_that_do_not_grow(old: int, new: int) -> None:
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(old, new, READ)


def test_an_edge_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="no edge"):
        inclusion_proof(0, 5, READ, edge=Frontier().extend(LEAVES[:4]))


def test_a_store_that_lost_hashes_is_named_and_no_wrong_proof_is_made() -> None:
    def truncated(tile: Tile) -> bytes:
        return READ(tile)[: 32 * (tile.width - 1)]

    with pytest.raises(TileMissing, match="expected"):
        inclusion_proof(3, 300, truncated)


@given(sizes, st.data())
def test_a_proof_asks_once_for_each_tile_it_needs_and_for_no_other(size: int, data: st.DataObject) -> None:
    index, asked = data.draw(st.integers(0, size - 1)), list[Tile]()

    def read(tile: Tile) -> bytes:
        asked.append(tile)
        return READ(tile)[: 32 * tile.width]

    inclusion_proof(index, size, read)
    assert sorted(asked) == sorted(tiles_needed(inclusion_ranges(index, size), size))
