"""The frontier against the recursive definition of RFC 9162 §2.1.1."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.merkle import EMPTY_ROOT, MAX_TREE_SIZE, Frontier, leaf_hash, node_hash, root_of

LEAVES = [leaf_hash(b"%d" % i) for i in range(1000)]
sizes = st.integers(0, len(LEAVES))


def recursive_root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return sha256(b"\x01" + recursive_root(leaves[:k]) + recursive_root(leaves[k:])).digest()


def test_leaf_and_node_are_hashed_under_their_own_prefixes() -> None:
    assert leaf_hash(b"entry") == sha256(b"\x00entry").digest()
    assert node_hash(LEAVES[0], LEAVES[1]) == sha256(b"\x01" + LEAVES[0] + LEAVES[1]).digest()
    assert Frontier().root() == EMPTY_ROOT == sha256(b"").digest()


@given(sizes)
def test_the_root_is_that_of_the_recursive_definition(size: int) -> None:
    assert root_of(LEAVES[:size]) == recursive_root(LEAVES[:size])


@given(st.lists(sizes, max_size=8))
def test_leaves_appended_in_any_groups_give_one_frontier(cuts: list[int]) -> None:
    frontier = Frontier()
    for begin, end in zip([0, *sorted(cuts)], [*sorted(cuts), len(LEAVES)], strict=True):
        frontier = frontier.extend(LEAVES[begin:end])
    assert frontier == Frontier().extend(LEAVES)


def test_leaves_appended_one_by_one_give_the_same_frontier() -> None:
    frontier = Frontier()
    for size, leaf in enumerate(LEAVES[:300], start=1):
        frontier = frontier.append(leaf)
        assert frontier == Frontier().extend(LEAVES[:size])


@given(sizes)
def test_a_frontier_is_read_back_as_it_was_written(size: int) -> None:
    frontier = Frontier().extend(LEAVES[:size])
    raw = frontier.to_bytes()
    assert len(raw) == 8 + 32 * size.bit_count()
    assert Frontier.from_bytes(raw) == frontier


@given(st.binary(max_size=120))
def test_any_bytes_are_one_frontier_or_refused(raw: bytes) -> None:
    try:
        frontier = Frontier.from_bytes(raw)
    except ValueError:
        return
    assert frontier.to_bytes() == raw


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        bytes(7),
        bytes(8) + bytes(32),
        (1).to_bytes(8, "big"),
        (3).to_bytes(8, "big") + bytes(32),
        (3).to_bytes(8, "big") + bytes(63),
        (1).to_bytes(8, "big") + bytes(33),
        (2**63).to_bytes(8, "big") + bytes(32),
    ],
)
def test_a_frontier_of_the_wrong_length_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"frontier of|peaks for|tree size"):
        Frontier.from_bytes(raw)


@pytest.mark.parametrize("leaf", [b"", bytes(31), bytes(33)])
def test_a_leaf_hash_of_the_wrong_length_is_refused(leaf: bytes) -> None:
    with pytest.raises(ValueError, match="a leaf hash of"):
        Frontier().append(leaf)
    with pytest.raises(ValueError, match="a leaf hash of"):
        Frontier().extend([LEAVES[0], leaf])


def test_a_log_at_the_largest_size_takes_no_more_leaves() -> None:
    full = Frontier(MAX_TREE_SIZE, (LEAVES[0],) * 63)
    with pytest.raises(ValueError, match="tree size"):
        full.append(LEAVES[1])
    with pytest.raises(ValueError, match="tree size"):
        full.extend(LEAVES[1:3])
