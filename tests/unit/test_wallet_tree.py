"""The wallet's tree, whole and as a frontier."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.wallet.tree import EMPTY_ROOT, WalletFrontier, wallet_root

leaves = st.binary(min_size=32, max_size=32)


def textbook(hex_leaves: list[str]) -> str:
    """The wallet's definition, over hex text as its own code has it."""
    if not hex_leaves:
        return sha256(b"empty").hexdigest()
    if len(hex_leaves) == 1:
        return hex_leaves[0]
    pairs = [
        (hex_leaves[i], hex_leaves[min(i + 1, len(hex_leaves) - 1)]) for i in range(0, len(hex_leaves), 2)
    ]
    return textbook([sha256((left + right).encode()).hexdigest() for left, right in pairs])


@given(st.lists(leaves, max_size=70))
def test_the_root_is_the_definitions(identities: list[bytes]) -> None:
    assert wallet_root(identities).hex() == textbook([leaf.hex() for leaf in identities])


@given(st.lists(st.lists(leaves, max_size=20), max_size=8))
def test_a_frontier_extended_in_pieces_has_the_root_of_the_whole(pieces: list[list[bytes]]) -> None:
    frontier = WalletFrontier()
    whole: list[bytes] = []
    for piece in pieces:
        frontier = frontier.extended(piece)
        whole += piece
        assert frontier.count == len(whole)
        assert frontier.root() == wallet_root(whole)
        assert WalletFrontier.from_bytes(frontier.to_bytes()) == frontier


def test_every_size_up_to_300_agrees_with_the_definition() -> None:
    identities = [sha256(bytes([n % 256, n // 256])).digest() for n in range(300)]
    frontier = WalletFrontier()
    for size, identity in enumerate(identities, start=1):
        frontier = frontier.extended([identity])
        assert frontier.root() == wallet_root(identities[:size]), size
        assert len(frontier.to_bytes()) == 8 + 32 * size.bit_count()


def test_an_empty_ledger_has_the_root_of_the_word_empty() -> None:
    assert wallet_root([]) == WalletFrontier().root() == EMPTY_ROOT


@pytest.mark.parametrize(
    "data", [b"", bytes(7), bytes(7) + b"\x01", bytes(7) + b"\x01" + bytes(31), bytes(9)]
)
def test_bytes_that_are_no_frontier_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="cannot have"):
        WalletFrontier.from_bytes(data)
