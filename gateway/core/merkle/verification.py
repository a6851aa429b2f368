"""RFC 9162 proof verification, strict: everything that does not prove its claim raises ProofInvalid.

A proof does not bind the tree size: some other size may verify as well. Take sizes and roots from signed
checkpoints only, and compute leaf hashes from the entry itself, never accept one (a node handed in as a
leaf verifies one level up).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core.merkle.hashing import HASH_SIZE, MAX_TREE_SIZE, node_hash


class ProofInvalid(ValueError):
    """This proof does not show what it claims; the message says where it fails."""


def verify_inclusion(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """That ``leaf_hash`` is leaf ``index`` of the tree of ``size`` under ``root`` (RFC 9162 §2.1.3.2).

    Raises ProofInvalid otherwise.
    """
    if not 0 <= index < size <= MAX_TREE_SIZE:
        raise ProofInvalid(f"leaf {index} is not in a tree of {size}")
    _require_hashes(leaf_hash, root, *proof)
    fn, sn, computed = index, size - 1, leaf_hash
    for sibling in proof:
        if sn == 0:
            raise ProofInvalid("the proof goes on above the root")
        if fn & 1 or fn == sn:
            computed = node_hash(sibling, computed)
            fn, sn = _skip_missing_siblings(fn, sn)
        else:
            computed = node_hash(computed, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofInvalid("the proof ends below the root")
    _require_equal(computed, root, "root")


def verify_consistency(
    old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes
) -> None:
    """That the tree under ``new_root`` extends the one under ``old_root`` (RFC 9162 §2.1.4.2).

    Equal sizes take an empty proof and equal roots. An old size of 0 is refused: everything extends an
    empty tree, there is nothing to prove. Raises ProofInvalid otherwise.
    """
    if not 0 < old_size <= new_size <= MAX_TREE_SIZE:
        raise ProofInvalid(f"no tree of {new_size} is proved to extend one of {old_size}")
    _require_hashes(old_root, new_root, *proof)
    if old_size == new_size:
        _require_no_growth(proof, old_root, new_root)
        return
    # A subtree of 2^k leaves is itself a node of the new tree, so the proof leaves it out (step 2).
    path = [old_root, *proof] if old_size.bit_count() == 1 else list(proof)
    if not proof:
        raise ProofInvalid("an empty proof between different sizes")
    computed_old, computed_new = _climb_both(old_size - 1, new_size - 1, path)
    _require_equal(computed_old, old_root, "old root")
    _require_equal(computed_new, new_root, "new root")


def _climb_both(fn: int, sn: int, path: Sequence[bytes]) -> tuple[bytes, bytes]:
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old = new = path[0]
    for node in path[1:]:
        if sn == 0:
            raise ProofInvalid("the proof goes on above the root")
        if fn & 1 or fn == sn:
            old, new = node_hash(node, old), node_hash(node, new)
            fn, sn = _skip_missing_siblings(fn, sn)
        else:
            new = node_hash(new, node)
        fn, sn = fn >> 1, sn >> 1
    if sn != 0:
        raise ProofInvalid("the proof ends below the root")
    return old, new


def _skip_missing_siblings(fn: int, sn: int) -> tuple[int, int]:
    """Climb past the levels at the right edge where the node has no sibling (the loop of step 4.b)."""
    while fn and not fn & 1:
        fn, sn = fn >> 1, sn >> 1
    return fn, sn


def _require_no_growth(proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    if proof:
        raise ProofInvalid(f"{len(proof)} hashes of proof between equal sizes, expected none")
    _require_equal(old_root, new_root, "root")


def _require_hashes(*hashes: bytes) -> None:
    for item in hashes:
        if len(item) != HASH_SIZE:
            raise ProofInvalid(f"a hash of {len(item)} bytes, expected {HASH_SIZE}")


def _require_equal(computed: bytes, claimed: bytes, what: str) -> None:
    if computed != claimed:
        raise ProofInvalid(f"the proof leads to {what} {computed.hex()}, claimed was {claimed.hex()}")
