"""RFC 9162 §2.1.1 tree hashing: SHA-256 with leaves and nodes kept apart by a prefix byte."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256

HASH_SIZE = 32
EMPTY_ROOT = sha256(b"").digest()

# The largest count that SQLite's signed 64-bit column and every other tool can hold.
MAX_TREE_SIZE = 2**63 - 1


def leaf_hash(entry: bytes) -> bytes:
    """Hash of a leaf: SHA-256(0x00 ‖ entry), 32 bytes."""
    return sha256(b"\x00" + entry).digest()


def leaf_hashes(entries: Iterable[bytes]) -> list[bytes]:
    """The hash of each as a leaf."""
    return [sha256(b"\x00" + entry).digest() for entry in entries]


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an interior node: SHA-256(0x01 ‖ left ‖ right), 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


def pair_up(row: list[bytes]) -> list[bytes]:
    """The parents of a row of even length: one level up, half as many."""
    nodes = iter(row)
    return [sha256(b"\x01" + left + right).digest() for left, right in zip(nodes, nodes, strict=True)]


def perfect_root(hashes: bytes) -> bytes:
    """The root over ``hashes``, a power of two of 32-byte hashes laid end to end."""
    if len(hashes) == HASH_SIZE:
        return hashes
    row = [sha256(b"\x01" + hashes[i : i + 64]).digest() for i in range(0, len(hashes), 2 * HASH_SIZE)]
    while len(row) > 1:
        row = pair_up(row)
    return row[0]


def fold_peaks(peaks: tuple[bytes, ...]) -> bytes:
    """The root over perfect subtrees, largest first: RFC 9162's unbalanced right edge."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def check_hashes(hashes: Iterable[bytes], what: str) -> None:
    """Raises ValueError unless every one of ``hashes`` has exactly 32 bytes."""
    strange = set(map(len, hashes)) - {HASH_SIZE}
    if strange:
        raise ValueError(f"{what} of {min(strange)} bytes, expected {HASH_SIZE}")
