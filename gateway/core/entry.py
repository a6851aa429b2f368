"""What a leaf of the log commits to; docs/protocol/objects.md, "Entries and leaves"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core import cbor, merkle
from gateway.model import EntryKind

VERSION = 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One accepted submission: the RFC 6962 root over its ``count`` new objects, and how it came."""

    kind: EntryKind
    objects_root: bytes
    count: int
    received_at_ms: int
    quality: int
    radio: str

    def to_bytes(self) -> bytes:
        fields = [VERSION, int(self.kind), self.objects_root, self.count, self.received_at_ms]
        return cbor.encode([*fields, int(self.quality), self.radio])

    def leaf_hash(self) -> bytes:
        """SHA-256(0x00 ‖ entry)."""
        return merkle.leaf_hash(self.to_bytes())


def objects_root(hashes: Sequence[bytes]) -> bytes:
    """The root over an entry's new objects: each object's hash is the data of one leaf."""
    return merkle.root_of(merkle.leaf_hashes(hashes))


def object_path(hashes: Sequence[bytes], index: int) -> tuple[bytes, ...]:
    """The inclusion proof of object ``index`` in :func:`objects_root`."""
    leaves = merkle.leaf_hashes(hashes)
    return merkle.inclusion_proof(index, len(leaves), merkle.tiles_in_memory(leaves))


def list_root(identities: merkle.Frontier) -> bytes:
    """A header's ``list_root``: the root of the tree that :func:`extend_list` grows."""
    return identities.root()


def extend_list(identities: merkle.Frontier, following: Sequence[bytes]) -> merkle.Frontier:
    """The tree over a list, after these further identities."""
    return identities.extend(merkle.leaf_hashes(following))


def epoch_of(origin: str) -> int:
    """The epoch in a log's name; 0 for a text that is none."""
    number = origin.rpartition("/")[2]
    return int(number) if number.isascii() and number.isdecimal() and len(number) < 11 else 0


def origin_of(gateway_id: str, epoch: int) -> str:
    """The log's name; ``epoch`` counts from 1."""
    return f"offgrid/{gateway_id}/{epoch}"
