"""The wallet's own tree: hashes over hex text, an odd node paired with itself.

The tree is weak: a list and the same list with its tail repeated can share a root, and leaves and parents
are not told apart. Its root is recomputed because the wallet signs it, and is never used as an identity.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

EMPTY_ROOT = sha256(b"empty").digest()
"""Root of a ledger without transactions."""

_HASH = 32
_COUNT = 8


def wallet_root(identities: Sequence[bytes]) -> bytes:
    """Root (32 bytes) of the tree over the transactions' identities, by the plain definition."""
    if not identities:
        return EMPTY_ROOT
    level = list(identities)
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [_parent(left, right) for left, right in zip(level[::2], level[1::2], strict=True)]
    return level[0]


@dataclass(frozen=True, slots=True)
class WalletFrontier:
    """What is needed of a ledger to append to it: the roots of its perfect subtrees, largest first.

    The format of ``to_bytes`` is the number of leaves (8 bytes, big-endian) and 32 bytes for each bit set
    in it.
    """

    count: int = 0
    peaks: tuple[bytes, ...] = ()

    def extended(self, identities: Iterable[bytes]) -> WalletFrontier:
        """The frontier after these leaves; amortised two hashes a leaf, whatever the size of the ledger."""
        count, peaks = self.count, list(self.peaks)
        for node in identities:
            size = count
            while size & 1:
                node = _parent(peaks.pop(), node)
                size >>= 1
            peaks.append(node)
            count += 1
        return WalletFrontier(count, tuple(peaks))

    def root(self) -> bytes:
        """Root (32 bytes) of the tree over all leaves so far; at most two hashes a level."""
        if not self.count:
            return EMPTY_ROOT
        peaks = list(self.peaks)
        edge: bytes | None = None  # the last node of this level, where its subtree is not full
        nodes = self.count
        while nodes > 1:
            if nodes & 1:
                last = edge or peaks.pop()
                edge = _parent(last, last)
            elif edge:
                edge = _parent(peaks.pop(), edge)
            nodes = (nodes + 1) >> 1
        return edge or peaks[0]

    def to_bytes(self) -> bytes:
        return self.count.to_bytes(_COUNT, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, data: bytes) -> WalletFrontier:
        """Reads ``to_bytes``; raises `ValueError` where the length does not fit the count."""
        count = int.from_bytes(data[:_COUNT], "big")
        if len(data) != _COUNT + _HASH * count.bit_count():
            raise ValueError(f"a frontier of {count} leaves cannot have {len(data)} bytes")
        return cls(count, tuple(data[at : at + _HASH] for at in range(_COUNT, len(data), _HASH)))


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256((left + right).hex().encode()).digest()
