"""The right edge of a log: all that is needed to append to it and to compute its root."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from gateway.core.merkle.hashing import (
    EMPTY_ROOT,
    HASH_SIZE,
    MAX_TREE_SIZE,
    check_hashes,
    fold_peaks,
    node_hash,
    pair_up,
)

_SIZE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Frontier:
    """A compact range from leaf 0: the tree size and one hash for each set bit of it, largest subtree first.

    Serialised as the size (8 bytes, big-endian) and the hashes end to end: 8 + 32 × popcount(size) bytes,
    at most 2 KiB.
    """

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.size <= MAX_TREE_SIZE:
            raise ValueError(f"tree size {self.size} is not in 0..2^63-1")
        if len(self.peaks) != self.size.bit_count():
            raise ValueError(
                f"{len(self.peaks)} peaks for a tree of {self.size}, expected {self.size.bit_count()}"
            )
        check_hashes(self.peaks, "a peak")

    def root(self) -> bytes:
        """The RFC 9162 tree head at this size; ``EMPTY_ROOT`` at size 0."""
        return fold_peaks(self.peaks)

    def append(self, leaf_hash: bytes) -> Frontier:
        """The frontier with one more leaf. Raises ValueError unless the hash has 32 bytes."""
        peaks, node, size = list(self.peaks), leaf_hash, self.size
        check_hashes((leaf_hash,), "a leaf hash")
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        return Frontier(self.size + 1, (*peaks, node))

    def extend(self, leaf_hashes: Iterable[bytes]) -> Frontier:
        """The frontier with these leaves appended in order. Raises ValueError unless each has 32 bytes."""
        return self.grow(leaf_hashes)[0]

    def grow(self, leaf_hashes: Iterable[bytes], *, every: int = 64) -> tuple[Frontier, list[list[bytes]]]:
        """Extend, and hand back the subtree hashes which that completed at levels 0, every, 2 × every…"""
        row = list(leaf_hashes)
        check_hashes(row, "a leaf hash")
        size, count, level = self.size, self.size + len(row), 0
        old, new, kept = list(self.peaks), list[bytes](), list[list[bytes]]()
        while row:
            if level % every == 0:
                kept.append(row)
            if size & 1:
                row = [old.pop(), *row]
            if len(row) & 1:
                new.append(row[-1])
                row = row[:-1]
            row, size, level = pair_up(row), size >> 1, level + 1
        return Frontier(count, (*old, *reversed(new))), kept

    def to_bytes(self) -> bytes:
        return self.size.to_bytes(_SIZE_BYTES, "big") + b"".join(self.peaks)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Self:
        """Raises ValueError unless ``raw`` is exactly one serialised frontier."""
        hashes = raw[_SIZE_BYTES:]
        if len(raw) < _SIZE_BYTES or len(hashes) % HASH_SIZE:
            raise ValueError(f"a frontier of {len(raw)} bytes, expected 8 + 32 for each set bit of its size")
        peaks = tuple(hashes[i : i + HASH_SIZE] for i in range(0, len(hashes), HASH_SIZE))
        return cls(int.from_bytes(raw[:_SIZE_BYTES], "big"), peaks)


def root_of(leaf_hashes: Sequence[bytes]) -> bytes:
    """The RFC 9162 root over these leaf hashes. Raises ValueError unless each has 32 bytes."""
    row = list(leaf_hashes)
    check_hashes(row, "a leaf hash")
    while len(row) > 1:
        last = [row.pop()] if len(row) & 1 else []
        row = pair_up(row) + last
    return row[0] if row else EMPTY_ROOT
