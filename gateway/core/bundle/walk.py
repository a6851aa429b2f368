"""From the first byte of a bundle to its last, a chunk at a time; the first place that is wrong ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hashlib import sha256

from gateway.core.bundle.chunk import Chunk, unpack_chunk
from gateway.core.bundle.manifest import PREFIX_BYTES, BundleInvalid, Manifest, head_length, read_head
from gateway.core.checkpoint import Checkpoint
from gateway.core.entry import Entry
from gateway.core.merkle import Frontier
from gateway.core.note import NoteInvalid, Signature, VerifierKey, check_signature

Read = Callable[[int], bytes]
"""The next so many bytes of the file; fewer only at its end."""


class Verifier:
    """Takes the chunks of one bundle in order. What it let pass is under the head's signed checkpoint.

    List differences are not judged: their bases may lie before the bundle. The coordinator holds those.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._places = enumerate(manifest.places())
        self._tree = Frontier(manifest.start, manifest.peaks)
        self._key = VerifierKey(manifest.origin, manifest.key)

    def take(self, data: bytes) -> Chunk:
        """The next chunk; ``data`` may be cut short where the file ends. Raises BundleInvalid."""
        number, (at, mark) = next(self._places)
        name = f"chunk {number + 1} of {len(self._manifest.chunks)}, bytes {at} to {at + mark.length}"
        if len(data) < mark.length:
            raise BundleInvalid(f"{name}: torn: the file ends at byte {at + len(data)}")
        if sha256(data).digest() != mark.hash:
            raise BundleInvalid(f"{name}: edited or damaged: it has another hash than the head states")
        try:
            chunk = unpack_chunk(data, self._tree.size)
            self._grow(chunk, mark.entries)
        except BundleInvalid as error:
            raise BundleInvalid(f"{name}: {error}") from None
        return chunk

    def _grow(self, chunk: Chunk, count: int) -> None:
        entries = chunk.batch.entries
        if len(entries) != count:
            raise BundleInvalid(f"{len(entries)} entries, the head states {count}")
        self._tree = self._tree.extend(
            Entry(e.kind, e.objects_root, len(e.objects), e.received_at_ms, e.quality, e.radio).leaf_hash()
            for e in entries
        )
        if self._tree.root() != chunk.root:
            raise BundleInvalid(f"its entries do not give the root that was signed at {chunk.batch.end}")
        text = Checkpoint(self._manifest.origin, chunk.batch.end, chunk.root).to_text()
        try:
            check_signature(text, Signature(self._key.name, self._key.key_id, chunk.signature), self._key)
        except NoteInvalid as error:
            raise BundleInvalid(f"its checkpoint: {error}") from None
        if chunk.batch.end == self._manifest.size and text not in self._manifest.checkpoint.decode():
            raise BundleInvalid("it ends at another root than the head's checkpoint")


def walk(read: Read, begun: Callable[[Manifest], None] = lambda _: None) -> Iterator[Chunk]:
    """The chunks of a whole bundle, verified; ``begun`` is told the head first. Raises BundleInvalid."""
    prefix = read(PREFIX_BYTES)
    manifest = read_head(prefix + read(head_length(prefix) - PREFIX_BYTES))
    begun(manifest)
    verifier = Verifier(manifest)
    for mark in manifest.chunks:
        yield verifier.take(read(mark.length))
    if read(1):
        raise BundleInvalid(f"byte {manifest.length}: the bundle ends here, the file goes on")
