"""The head of a bundle: whose stretch of which log, and the hash of every chunk; signed over all of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Self

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.checkpoint import open_checkpoint
from gateway.core.evidence import MAX_EVIDENCE_BYTES
from gateway.core.labels import Label, labelled
from gateway.core.note import NoteInvalid, Sign, VerifierKey, parse_note
from gateway.core.sync.messages import HASH_BYTES, MAX_BATCH_ENTRIES, MAX_MESSAGE_BYTES
from gateway.core.wallet.signature import KEY_BYTES, SIGNATURE_BYTES, verifies

MAGIC = b"OGBUNDLE"
VERSION = 1
PREFIX_BYTES = len(MAGIC) + 4
MAX_HEAD_BYTES = 1 << 20
MAX_CHUNKS = 1 << 14
MAX_CHUNK_BYTES = MAX_MESSAGE_BYTES
MAX_BUNDLE_BYTES = 1 << 30
"""A stick's worth; what a gateway carries for others is bounded by its own settings, far below."""
MAX_EVIDENCE = 8
_MAX_NOTE_BYTES = 8 << 10
_MAX_ORIGIN_BYTES = 64
_MAX_ID_BYTES = 20


class BundleInvalid(ValueError):
    """A bundle that must not be believed; the message names what was seen and where."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A chunk as the head knows it: its number of entries, its length in bytes, its SHA-256."""

    entries: int
    length: int
    hash: bytes

    @classmethod
    def of(cls, entries: int, chunk: bytes) -> Self:
        return cls(entries, len(chunk), sha256(chunk).digest())


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Leaves ``start`` to ``size`` (exclusive) of ``origin``; ``peaks`` are its compact range at ``start``.

    ``checkpoint`` is the gateway's own note at ``size``, ``cosigned`` its newest cosigned one; ``evidence``
    are the objects that the coordinator had not noted. Times in milliseconds since 1970.
    """

    gateway_id: str
    key: bytes
    origin: str
    start: int
    size: int
    peaks: tuple[bytes, ...]
    checkpoint: bytes
    cosigned: bytes | None
    made_at_ms: int
    quality: int
    evidence: tuple[bytes, ...]
    chunks: tuple[Mark, ...]
    signature: bytes = b""

    def signed(self, sign: Sign) -> Manifest:
        return replace(self, signature=sign(labelled(Label.BUNDLE, cbor.encode(self._said()))))

    def to_bytes(self) -> bytes:
        """Everything before the first chunk."""
        body = cbor.encode([*self._said(), self.signature])
        return MAGIC + len(body).to_bytes(4, "big") + body

    @property
    def content_id(self) -> bytes:
        """SHA-256 of the head: it covers each chunk's hash, so equal ids are equal files."""
        return sha256(self.to_bytes()).digest()

    @property
    def length(self) -> int:
        """Of the whole file, in bytes."""
        return len(self.to_bytes()) + sum(mark.length for mark in self.chunks)

    def places(self) -> Iterator[tuple[int, Mark]]:
        """Where in the file each chunk begins."""
        at = len(self.to_bytes())
        for mark in self.chunks:
            yield at, mark
            at += mark.length

    def require_signed(self) -> None:
        """Raises BundleInvalid unless head and checkpoints are signed by the key that the head names."""
        if not verifies(self.key, self.signature, labelled(Label.BUNDLE, cbor.encode(self._said()))):
            raise BundleInvalid(f"head, bytes 0 to {len(self.to_bytes())}: the signature does not verify")
        checkpoint = _opened(self, self.checkpoint, "checkpoint")
        if checkpoint != self.size:
            raise BundleInvalid(
                f"head: the checkpoint is of {checkpoint} leaves, the bundle ends at {self.size}"
            )
        if self.cosigned is not None:
            _opened(self, self.cosigned, "cosigned note")

    def _said(self) -> list[object]:
        marks = [[mark.entries, mark.length, mark.hash] for mark in self.chunks]
        whose = [VERSION, self.gateway_id, self.key, self.origin, self.start, self.size, b"".join(self.peaks)]
        notes = [self.checkpoint, self.cosigned, self.made_at_ms, self.quality]
        return [*whose, *notes, list(self.evidence), marks]


def head_length(prefix: bytes) -> int:
    """Bytes of the whole head, from the file's first PREFIX_BYTES. Raises BundleInvalid."""
    if len(prefix) < PREFIX_BYTES:
        raise BundleInvalid(f"the file ends at byte {len(prefix)}, within its first {PREFIX_BYTES}")
    if not prefix.startswith(MAGIC):
        raise BundleInvalid("byte 0: not a bundle")
    length = int.from_bytes(prefix[len(MAGIC) : PREFIX_BYTES], "big")
    if not 0 < length <= MAX_HEAD_BYTES - PREFIX_BYTES:
        raise BundleInvalid(f"byte {len(MAGIC)}: a head of {length} bytes, at most {MAX_HEAD_BYTES}")
    return PREFIX_BYTES + length


def read_head(data: bytes) -> Manifest:
    """The head that ``data`` is, to the last byte, with its signatures verified. Raises BundleInvalid."""
    length = head_length(data[:PREFIX_BYTES])
    if len(data) < length:
        raise BundleInvalid(f"the file ends at byte {len(data)}, within its head of {length}")
    try:
        manifest = _read(cbor.decode(data[PREFIX_BYTES:length]))
    except CborError as error:
        raise BundleInvalid(f"head, bytes {PREFIX_BYTES} to {length}: {error}") from None
    _require_sense(manifest)
    manifest.require_signed()
    return manifest


def _read(value: object) -> Manifest:
    fields = as_array(value, 14)
    if as_uint(fields[0]) != VERSION:
        raise CborError(f"a bundle of version {fields[0]}, this gateway reads {VERSION}")
    (
        _,
        gateway,
        key,
        origin,
        start,
        size,
        peaks,
        checkpoint,
        cosigned,
        made,
        quality,
        evidence,
        marks,
        sign,
    ) = fields
    joined = as_bytes(peaks, limit=64 * HASH_BYTES)
    if len(as_array(evidence)) > MAX_EVIDENCE or len(as_array(marks)) > MAX_CHUNKS:
        raise CborError("more evidence or more chunks than a bundle may have")
    return Manifest(
        gateway_id=as_text(gateway, _MAX_ID_BYTES),
        key=as_bytes(key, KEY_BYTES),
        origin=as_text(origin, _MAX_ORIGIN_BYTES),
        start=as_uint(start),
        size=as_uint(size),
        peaks=tuple(joined[at : at + HASH_BYTES] for at in range(0, len(joined), HASH_BYTES)),
        checkpoint=as_bytes(checkpoint, limit=_MAX_NOTE_BYTES),
        cosigned=None if cosigned is None else as_bytes(cosigned, limit=_MAX_NOTE_BYTES),
        made_at_ms=as_uint(made),
        quality=as_uint(quality, 4),
        evidence=tuple(as_bytes(one, limit=MAX_EVIDENCE_BYTES) for one in as_array(evidence)),
        chunks=tuple(_mark(one) for one in as_array(marks)),
        signature=as_bytes(sign, SIGNATURE_BYTES),
    )


def _mark(value: object) -> Mark:
    entries, length, hash_ = as_array(value, 3)
    return Mark(
        as_uint(entries, MAX_BATCH_ENTRIES + 1),
        as_uint(length, MAX_CHUNK_BYTES + 1),
        as_bytes(hash_, HASH_BYTES),
    )


def _require_sense(manifest: Manifest) -> None:
    entries = sum(mark.entries for mark in manifest.chunks)
    if not manifest.chunks or any(mark.entries == 0 for mark in manifest.chunks):
        raise BundleInvalid("head: a bundle has at least one chunk, a chunk at least one entry")
    if manifest.start + entries != manifest.size:
        raise BundleInvalid(f"head: {entries} entries from {manifest.start} do not end at {manifest.size}")
    if len(manifest.peaks) != manifest.start.bit_count() or any(
        len(one) != HASH_BYTES for one in manifest.peaks
    ):
        raise BundleInvalid(f"head: {len(manifest.peaks)} peaks do not stand for {manifest.start} leaves")
    if not manifest.origin.startswith(f"offgrid/{manifest.gateway_id}/"):
        raise BundleInvalid(f"head: {manifest.origin!r} is no log of {manifest.gateway_id!r}")
    if sum(mark.length for mark in manifest.chunks) > MAX_BUNDLE_BYTES:
        raise BundleInvalid(f"head: more than {MAX_BUNDLE_BYTES} bytes of chunks")


def _opened(manifest: Manifest, note: bytes, name: str) -> int:
    """The size that a note of the bundle's own log states."""
    try:
        key = VerifierKey(manifest.origin, manifest.key)
        return open_checkpoint(parse_note(note), [key], manifest.origin)[0].size
    except NoteInvalid as error:
        raise BundleInvalid(f"head: its {name}: {error}") from None
