"""Bundles of the gateway's own log: read from the store, signed, and written to a folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gateway.core.bundle import BundleInvalid, Chunk, Manifest, Mark, pack_chunk, walk
from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.note import Note, Sign, VerifierKey
from gateway.errors import CommandError
from gateway.model import Head, Stamp
from gateway.store import Store

MAX_FILE_BYTES = 64 << 20
"""Where a bundle ends and the next one begins."""

Progress = Callable[[int, int], None]
"""Told how many leaves of how many are done."""


@dataclass(frozen=True, slots=True)
class Author:
    """Whose log it is; ``sign`` holds the private half of ``key``."""

    gateway_id: str
    key: bytes
    sign: Sign


def quiet(done: int, total: int) -> None:
    """Nobody looks on."""


async def export(
    store: Store,
    author: Author,
    folder: Path,
    now: Stamp,
    *,
    since: int | None = None,
    max_bytes: int = MAX_FILE_BYTES,
    progress: Progress = quiet,
) -> list[Path]:
    """Bundles of what is not cosigned yet, or of all from leaf ``since``; none where that is none.

    Each is whole and on disk, or not there. Raises CommandError where the log is halted or the folder full.
    """
    head = await store.head()
    if head.halted is not None:
        raise CommandError(f"nothing more is signed in this log: {head.halted.what}; {head.halted.fix}")
    start = head.acked_size if since is None else since
    if start > head.size:
        raise CommandError(f"the log has {head.size} leaves, none from {start} on")
    paths = []
    while start < head.size:
        writer = _Writer(store, author, head, now, start, max_bytes, lambda at: progress(at, head.size))
        path, start = await writer.write(folder)
        paths.append(path)
    return paths


class _Writer:
    """One bundle, from leaf ``start`` as far as ``max_bytes`` of chunks reach."""

    def __init__(
        self,
        store: Store,
        author: Author,
        head: Head,
        now: Stamp,
        start: int,
        max_bytes: int,
        at: Callable[[int], None],
    ) -> None:
        self._store, self._author, self._head, self._now = store, author, head, now
        self._start, self._max_bytes, self._at = start, max_bytes, at
        self._note_key = VerifierKey(head.origin, author.key)

    async def write(self, folder: Path) -> tuple[Path, int]:
        """The file, and the leaf after its last."""
        try:
            with tempfile.TemporaryFile(dir=folder) as chunks:
                marks, size, root = await self._gather(chunks)
                manifest = await self._manifest(tuple(marks), size, root)
                path = folder / name_of(manifest)
                await asyncio.to_thread(_put, path, manifest.to_bytes(), chunks)
                return path, size
        except OSError as error:
            raise CommandError(
                f"{folder}: {error.strerror or error}; make room there or name another"
            ) from error

    async def _gather(self, chunks: BinaryIO) -> tuple[list[Mark], int, bytes]:
        marks, at, root = list[Mark](), self._start, b""
        while at < self._head.size and chunks.tell() < self._max_bytes:
            batch = await self._store.read_batch(at, min(256, self._head.size - at))
            root = await self._store.root_at(batch.end)
            signature = self._signed(Checkpoint(self._head.origin, batch.end, root)).signatures[0].value
            packed = await asyncio.to_thread(pack_chunk, Chunk(batch, root, signature))
            chunks.write(packed)
            marks.append(Mark.of(len(batch.entries), packed))
            at = batch.end
            self._at(at)
        return marks, at, root

    async def _manifest(self, marks: tuple[Mark, ...], size: int, root: bytes) -> Manifest:
        note = self._signed(Checkpoint(self._head.origin, size, root)).to_bytes()
        await self._store.record_signed(size, note)
        # Leaf `start` is the last of a tree of one more: its audit path is the compact range before it.
        peaks = tuple(reversed(await self._store.proof(self._start, self._start + 1)))
        evidence, _ = await self._store.evidence_to_tell()
        return Manifest(
            gateway_id=self._author.gateway_id,
            key=self._author.key,
            origin=self._head.origin,
            start=self._start,
            size=size,
            peaks=peaks,
            checkpoint=note,
            cosigned=self._head.cosigned_note,
            made_at_ms=self._now.unix_ms,
            quality=self._now.quality,
            evidence=evidence,
            chunks=marks,
        ).signed(self._author.sign)

    def _signed(self, checkpoint: Checkpoint) -> Note:
        return sign_checkpoint(checkpoint, self._note_key, self._author.sign)


def name_of(manifest: Manifest) -> str:
    """``<gateway>-<epoch>-<first leaf>-<end>.bundle``."""
    epoch = manifest.origin.rpartition("/")[2]
    return f"{manifest.gateway_id}-{epoch}-{manifest.start}-{manifest.size}.bundle"


def verify_file(path: Path, progress: Progress = quiet) -> Manifest:
    """A whole file's head, once all of it has verified. Raises CommandError, which names the place."""
    found: list[Manifest] = []
    try:
        with path.open("rb") as file:
            for chunk in walk(file.read, found.append):
                progress(chunk.batch.end - found[0].start, found[0].size - found[0].start)
    except BundleInvalid as error:
        raise CommandError(f"{path}: refused whole: {error}") from error
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from error
    return found[0]


def _put(path: Path, head: bytes, chunks: BinaryIO) -> None:
    """A crash leaves the whole file or a ``.part``."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(head)
        chunks.seek(0)
        shutil.copyfileobj(chunks, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
