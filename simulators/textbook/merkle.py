"""RFC 6962 section 2.1: tree hashes, audit paths and consistency proofs, by their recursive definitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

EMPTY_ROOT = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Sequence[bytes], start: int = 0, end: int | None = None) -> bytes:
    """MTH(D[start:end]) of section 2.1, given the leaves' hashes."""
    end = len(leaves) if end is None else end
    n = end - start
    if n <= 1:
        return leaves[start] if n else EMPTY_ROOT
    k = start + _split(n)
    return node_hash(root_of(leaves, start, k), root_of(leaves, k, end))


def root_of_data(data: Iterable[bytes]) -> bytes:
    """The root over leaves that hold `data`."""
    return root_of([leaf_hash(item) for item in data])


def audit_path(index: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PATH(m, D[n]) of section 2.1.1."""
    if len(leaves) <= 1:
        return []
    k = _split(len(leaves))
    if index < k:
        return [*audit_path(index, leaves[:k]), root_of(leaves[k:])]
    return [*audit_path(index - k, leaves[k:]), root_of(leaves[:k])]


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """The root that an audit path leads to; None where the path does not fit this index and size."""
    if not 0 <= index < size or any(len(node) != 32 for node in path):
        return None
    if size == 1:
        return leaf if not path else None
    if not path:
        return None
    k = _split(size)
    if index < k:
        below = root_from_path(leaf, index, k, path[:-1])
        return None if below is None else node_hash(below, path[-1])
    below = root_from_path(leaf, index - k, size - k, path[:-1])
    return None if below is None else node_hash(path[-1], below)


def consistency_proof(old: int, leaves: Sequence[bytes]) -> list[bytes]:
    """PROOF(m, D[n]) of section 2.1.2, 0 < m <= n."""
    return _subproof(old, leaves, True)


def _subproof(m: int, leaves: Sequence[bytes], whole: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if whole else [root_of(leaves)]
    k = _split(len(leaves))
    if m <= k:
        return [*_subproof(m, leaves[:k], whole), root_of(leaves[k:])]
    return [*_subproof(m - k, leaves[k:], False), root_of(leaves[:k])]


def proves_consistency(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """Whether the tree of `new` leaves begins with the one of `old`: section 2.1.2 read backwards."""
    roots = _roots_from(old, new, proof, old_root, True) if 0 < old <= new else None
    return roots == (old_root, new_root)


def _roots_from(
    m: int, n: int, proof: Sequence[bytes], old_root: bytes, whole: bool
) -> tuple[bytes, bytes] | None:
    """Roots of the old and the new part of a subtree, as SUBPROOF(m, D[n], whole) was made of it."""
    if m == n:
        known = [] if whole else list(proof[:1])
        root = old_root if whole else (known[0] if known else b"")
        return (root, root) if len(proof) == len(known) and len(root) == 32 else None
    if not proof:
        return None
    k = _split(n)
    *before, last = proof
    if m <= k:
        below = _roots_from(m, k, before, old_root, whole)
        return below and (below[0], node_hash(below[1], last))
    below = _roots_from(m - k, n - k, before, old_root, False)
    return below and (node_hash(last, below[0]), node_hash(last, below[1]))


@dataclass(frozen=True, slots=True)
class CompactRange:
    """What appending to a tree needs: its size and the roots of its perfect subtrees, largest first."""

    size: int = 0
    peaks: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> CompactRange:
        """The tree with one more leaf: equal subtrees join, as carries do in binary addition."""
        peaks, size = list(self.peaks), self.size
        while size & 1:
            leaf = node_hash(peaks.pop(), leaf)
            size >>= 1
        return CompactRange(self.size + 1, (*peaks, leaf))

    def root(self) -> bytes:
        """MTH of the whole: every split of section 2.1 cuts off the largest perfect subtree on the left."""
        if not self.peaks:
            return EMPTY_ROOT
        *left, root = self.peaks
        for peak in reversed(left):
            root = node_hash(peak, root)
        return root


def _split(n: int) -> int:
    """The largest power of two smaller than n."""
    return 1 << (n - 1).bit_length() - 1
