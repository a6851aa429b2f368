"""A log judged from the outside, by the textbook definition: RFC 6962 section 2.1 over its leaf hashes.

Nothing of the log's own tree code is used here, so that one mistake cannot hide on both sides.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core import cbor
from gateway.core.checkpoint import Checkpoint, parse_checkpoint
from gateway.core.note import NoteInvalid, SignatureType, VerifierKey, parse_note, verify_note
from gateway.core.pin import CoordinatorKey

HASH = 32
INCLUSION = 20


class AuditFailed(Exception):
    """It does not hold; the message says what was seen."""


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The Merkle tree hash of these leaf hashes (32 bytes each)."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    half = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\x01" + root_of(leaves[:half]) + root_of(leaves[half:])).digest()


def leaf_of(data: bytes) -> bytes:
    """The leaf hash of an entry, or of an object's hash under an entry."""
    return hashlib.sha256(b"\x00" + data).digest()


def path_root(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """Where an audit path leads, by the recursion of RFC 6962 section 2.1.1. Raises AuditFailed."""
    if not 0 <= index < size:
        raise AuditFailed(f"leaf {index} of {size}")
    if size == 1:
        if path:
            raise AuditFailed("a path that is too long")
        return leaf
    if not path:
        raise AuditFailed("a path that is too short")
    half, sibling, rest = 1 << (size - 1).bit_length() - 1, path[-1], path[:-1]
    if index < half:
        return _node(path_root(leaf, index, half, rest), sibling)
    return _node(sibling, path_root(leaf, index - half, size - half, rest))


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Signers:
    """The gateway's key (32 bytes), and the coordinator's where it is known."""

    gateway: bytes
    coordinator: CoordinatorKey | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A checkpoint whose gateway's signature is right; ``cosigned_by``: whose cosignature is, too."""

    checkpoint: Checkpoint
    cosigned_by: str | None
    unjudged: bool
    """There are lines of others, whose keys we do not have."""


def open_note(raw: bytes, signers: Signers) -> Opened:
    """Raises AuditFailed where the gateway has not signed it, or a line of a known key is wrong."""
    try:
        note = parse_note(raw)
        checkpoint = parse_checkpoint(note.text)
        own = VerifierKey(checkpoint.origin, signers.gateway)
        keys = [own, *_cosigners(signers.coordinator, note.signatures)]
        verified = {one.key for one in verify_note(note, keys)}
    except NoteInvalid as error:
        raise AuditFailed(str(error)) from None
    if own not in verified:
        raise AuditFailed(f"a checkpoint of {checkpoint.size} leaves that the gateway has not signed")
    by = [key.name for key in verified if key.type is SignatureType.COSIGNATURE_V1]
    return Opened(checkpoint, by[0] if by else None, unjudged=len(note.signatures) > len(verified))


def _cosigners(key: CoordinatorKey | None, signatures: Sequence[object]) -> list[VerifierKey]:
    """A bare key may cosign under any name that stands there."""
    if key is None:
        return []
    return list({key.verifier(str(getattr(line, "name", ""))) for line in signatures})


@dataclass(frozen=True, slots=True)
class Log:
    """What the gateway gave: every leaf hash of one origin."""

    origin: str
    leaves: Sequence[bytes]

    def require(self, checkpoint: Checkpoint) -> None:
        """That it is a state of this log. Raises AuditFailed."""
        if checkpoint.origin != self.origin:
            raise AuditFailed(f"a checkpoint of {checkpoint.origin}, the log is {self.origin}")
        if checkpoint.size > len(self.leaves):
            raise AuditFailed(
                f"the log has {len(self.leaves)} leaves and once had {checkpoint.size}: it was shortened"
            )
        if root_of(self.leaves[: checkpoint.size]) != checkpoint.root:
            raise AuditFailed(
                f"the log's first {checkpoint.size} leaves are not those that were signed: it was rewritten"
            )

    def require_leaf(self, index: int, entry: bytes) -> None:
        """That this entry is that leaf. Raises AuditFailed."""
        if not 0 <= index < len(self.leaves) or self.leaves[index] != leaf_of(entry):
            raise AuditFailed(f"leaf {index} of the log is not the entry that the receipt names")


@dataclass(frozen=True, slots=True)
class Inclusion:
    """A receipt's proof, taken apart: which entry stands where, under which note."""

    origin: str
    index: int
    entry: bytes
    objects_root: bytes
    leaf_path: tuple[bytes, ...]
    note: bytes
    object_index: int
    count: int
    object_path: tuple[bytes, ...]

    def require(self, checkpoint: Checkpoint, content: bytes | None) -> None:
        """That the entry, and with it ``content`` (H) where it is known, is under the checkpoint."""
        root = path_root(leaf_of(self.entry), self.index, checkpoint.size, self.leaf_path)
        if root != checkpoint.root:
            raise AuditFailed("the receipt's path does not lead to its checkpoint")
        if content is None:
            return
        if path_root(leaf_of(content), self.object_index, self.count, self.object_path) != self.objects_root:
            raise AuditFailed("the content is not in the receipt's entry")


def read_inclusion(message: bytes) -> Inclusion:
    """INCLUSION of docs/protocol/messages.md. Raises AuditFailed."""
    try:
        kind, origin, index, entry, place, object_path, leaf_path, note = cbor.as_array(
            cbor.decode(message), 8
        )
        if kind != INCLUSION:
            raise AuditFailed("no INCLUSION: only a receipt that the coordinator has cosigned proves a place")
        entry = cbor.as_bytes(entry)
        _, _, objects_root, count, *_ = cbor.as_array(cbor.decode(entry), 7)
        return Inclusion(
            origin=cbor.as_text(origin, 128),
            index=cbor.as_uint(index),
            entry=entry,
            objects_root=cbor.as_bytes(objects_root, HASH),
            leaf_path=_hashes(leaf_path),
            note=cbor.as_bytes(note),
            object_index=cbor.as_uint(place),
            count=cbor.as_uint(count),
            object_path=_hashes(object_path),
        )
    except (cbor.CborError, ValueError) as error:
        raise AuditFailed(f"not a receipt: {error}") from None


def _hashes(value: object) -> tuple[bytes, ...]:
    return tuple(cbor.as_bytes(one, HASH) for one in cbor.as_array(value))
