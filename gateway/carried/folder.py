"""One folder: whole verified bundles, what has come of others, and the newest ack of each log.

<content id>-<hops>.bundle     whole, verified, on disk
<content id>.part              from the first byte on, as far as it came; the next piece goes on from there
<key>-<origin's hash>.ack      a cosigned checkpoint, verified
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from gateway.core.bundle import PREFIX_BYTES, BundleInvalid, Manifest, head_length, read_head, walk
from gateway.core.note import NoteInvalid, VerifierKey, parse_note
from gateway.core.pin import CoordinatorKey
from gateway.core.sync.checkpoints import Own, Stranger, open_own

MAX_PARTS = 16
"""Bundles that are on their way at a time; the one that grew least lately makes room."""
MAX_ACKS = 256
"""Of the logs of others; the oldest file makes room."""
SHARE = 2
"""One key may take this part of the room: whoever floods leaves the other half to all others."""
_HEX = 64


class CarryRefused(Exception):
    """There is no room for it, or no need; the message says what was seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A whole bundle: leaves ``start`` to ``size`` of ``origin``, come through ``hops`` gateways."""

    content_id: bytes
    gateway_id: str
    key: bytes
    origin: str
    start: int
    size: int
    length: int
    hops: int
    path: Path


@dataclass(frozen=True, slots=True)
class Ack:
    """The coordinator's newest cosigned checkpoint of a log."""

    key: bytes
    origin: str
    size: int
    note: bytes


class Carried:
    """Any thread may call; one call runs at a time.

    ``coordinator`` is asked for the pinned key, if there is one: without it an ack is taken on the word of
    the gateway whose log it is.
    """

    def __init__(
        self, folder: Path, max_bytes: int, coordinator: Callable[[], CoordinatorKey | None]
    ) -> None:
        self._folder, self._max_bytes, self._coordinator = folder, max_bytes, coordinator
        self._lock = threading.RLock()
        self._held: dict[bytes, Held] = {}
        self._acks: dict[tuple[bytes, str], Ack] = {}
        self._parts: dict[bytes, Manifest | None] = {}
        self._open()

    @property
    def folder(self) -> Path:
        return self._folder

    @property
    def held(self) -> tuple[Held, ...]:
        """In the order in which the coordinator takes them: by log, then by first leaf."""
        with self._lock:
            return tuple(
                sorted(self._held.values(), key=lambda one: (one.origin, one.key, one.start, one.size))
            )

    @property
    def acks(self) -> tuple[Ack, ...]:
        with self._lock:
            return tuple(self._acks.values())

    def have(self, content_id: bytes) -> int:
        """Bytes from the first on that are here."""
        with self._lock:
            held = self._held.get(content_id)
            return held.length if held else _length(self._part(content_id))

    def bring(self, content_id: bytes, offset: int, data: bytes, hops: int = 0) -> int:
        """Bytes of a bundle at ``offset``; how many are here now. What does not follow on is left aside.

        Raises BundleInvalid, which refuses all of it, CarryRefused, and OSError.
        """
        with self._lock:
            have = self.have(content_id)
            if content_id in self._held or offset != have or not data:
                return have
            self._make_way(content_id)
            part = self._part(content_id)
            try:
                with part.open("ab") as file:
                    file.write(data)
                return self._grown(content_id, part, hops)
            except (BundleInvalid, CarryRefused):
                self._drop_part(content_id)
                raise

    def adopt(self, path: Path, hops: int = 0) -> Held:
        """A whole bundle, moved here from a file on the same disk. Raises as :meth:`bring` does."""
        with self._lock, path.open("rb") as file:
            manifest = _verified(file.read)
            if manifest.content_id not in self._held:
                self._require_room(manifest)
                self._keep(path, manifest, hops)
            else:
                path.unlink()
            return self._held[manifest.content_id]

    def read(self, content_id: bytes, offset: int, most: int) -> bytes:
        """Empty where it is gone, or ends."""
        with self._lock:
            held = self._held.get(content_id)
            if held is None:
                return b""
            with held.path.open("rb") as file:
                file.seek(offset)
                return file.read(most)

    def take_ack(self, note: bytes, key: bytes) -> Ack | None:
        """Keeps a newer ack of ``key``'s log and lets go of what it covers; None where it is no news.

        Raises Stranger where it is not signed by that key, and cosigned where the coordinator is known.
        """
        with self._lock:
            ack = self._verified_ack(note, key)
            known = self._acks.get((ack.key, ack.origin))
            if known is not None and known.size >= ack.size:
                return None
            _write(self._folder / _ack_name(ack), note)
            self._acks[ack.key, ack.origin] = ack
            self._trim_acks()
            self.release(ack.key, ack.origin, ack.size)
            return ack

    def key_of(self, origin: str) -> bytes | None:
        """Whose log it is, where something of it is or was carried."""
        with self._lock:
            keys = {one.key for one in self._held.values() if one.origin == origin}
            keys |= {one.key for one in self._acks.values() if one.origin == origin}
            return keys.pop() if len(keys) == 1 else None

    def release(self, key: bytes, origin: str, size: int) -> None:
        """Everything of that log up to ``size`` is where it belongs."""
        with self._lock:
            for held in list(self._held.values()):
                if (held.key, held.origin) == (key, origin) and held.size <= size:
                    self.drop(held.content_id)

    def drop(self, content_id: bytes) -> None:
        with self._lock:
            held = self._held.pop(content_id, None)
            if held is not None:
                held.path.unlink(missing_ok=True)

    # Inside.

    def _open(self) -> None:
        self._folder.mkdir(mode=0o750, parents=True, exist_ok=True)
        for path in sorted(self._folder.iterdir(), key=lambda one: one.stat().st_mtime):
            if path.suffix == ".bundle":
                self._reopen(path)
            elif path.suffix == ".ack":
                self._reopen_ack(path)
            elif path.suffix == ".part" and len(path.stem) == _HEX:
                self._parts[bytes.fromhex(path.stem)] = None
            elif path.is_dir():
                shutil.rmtree(path)  # of bundles that were being made

    def _reopen(self, path: Path) -> None:
        """Its head alone: it was verified before it was named so. A damaged one is removed."""
        try:
            with path.open("rb") as file:
                manifest = _head(file.read)
            hops = int(path.stem.rpartition("-")[2])
            if path.stat().st_size != manifest.length:
                raise BundleInvalid("torn")
        except (BundleInvalid, ValueError):
            path.unlink()
            return
        self._held[manifest.content_id] = _held(manifest, path, hops)

    def _reopen_ack(self, path: Path) -> None:
        try:
            ack = self._verified_ack(path.read_bytes(), bytes.fromhex(path.stem.partition("-")[0]))
        except (Stranger, ValueError):
            path.unlink()
            return
        self._acks[ack.key, ack.origin] = ack

    def _grown(self, content_id: bytes, part: Path, hops: int) -> int:
        size = _length(part)
        with part.open("rb") as file:
            manifest = self._parts.get(content_id) or self._begun(content_id, size, file.read)
            if manifest is None or size < manifest.length:
                return size
            file.seek(0)
            _verified(file.read)
            os.fsync(file.fileno())
        self._keep(part, manifest, hops)
        return size

    def _begun(self, content_id: bytes, size: int, read: Callable[[int], bytes]) -> Manifest | None:
        """The head, as soon as it is there: it must be the one that was named, and there must be room."""
        prefix = read(PREFIX_BYTES)
        if size < PREFIX_BYTES or size < head_length(prefix):
            return None
        manifest = read_head(prefix + read(head_length(prefix) - PREFIX_BYTES))
        if manifest.content_id != content_id:
            raise BundleInvalid("head: its hash is another than the one announced")
        self._require_room(manifest)
        self._parts[content_id] = manifest
        return manifest

    def _require_room(self, manifest: Manifest) -> None:
        ack = self._acks.get((manifest.key, manifest.origin))
        if ack is not None and ack.size >= manifest.size:
            raise CarryRefused(f"the coordinator has all of {manifest.origin} up to leaf {ack.size}")
        taken = list(self._sizes(None))
        own = sum(self._sizes(manifest.key))
        if own + manifest.length > self._max_bytes // SHARE or sum(taken) + manifest.length > self._max_bytes:
            raise CarryRefused(
                f"{manifest.length} bytes more do not fit: {sum(taken)} of {self._max_bytes} are taken, "
                f"{own} by {manifest.gateway_id}; deliver what is carried, or raise carry.max_megabytes"
            )

    def _sizes(self, key: bytes | None) -> Iterator[int]:
        for held in self._held.values():
            if key in (None, held.key):
                yield held.length
        for coming in self._parts.values():
            if coming is not None and key in (None, coming.key):
                yield coming.length

    def _keep(self, path: Path, manifest: Manifest, hops: int) -> None:
        content_id = manifest.content_id
        kept = self._folder / f"{content_id.hex()}-{hops}.bundle"
        path.replace(kept)
        self._parts.pop(content_id, None)
        self._held[content_id] = _held(manifest, kept, hops)
        for other in list(self._held.values()):
            if other.content_id != content_id and _covers(manifest, other):
                self.drop(other.content_id)

    def _make_way(self, content_id: bytes) -> None:
        """A place among the parts for one that begins."""
        if content_id not in self._parts:
            while len(self._parts) >= MAX_PARTS:
                self._drop_part(min(self._parts, key=lambda one: _changed(self._part(one))))
            self._parts[content_id] = None

    def _drop_part(self, content_id: bytes) -> None:
        self._parts.pop(content_id, None)
        self._part(content_id).unlink(missing_ok=True)

    def _part(self, content_id: bytes) -> Path:
        return self._folder / f"{content_id.hex()}.part"

    def _verified_ack(self, note: bytes, key: bytes) -> Ack:
        try:
            origin = parse_note(note).text.partition("\n")[0]
            whose = VerifierKey(origin, key)
        except NoteInvalid as error:
            raise Stranger(str(error)) from None
        pinned = self._coordinator()
        if pinned is not None:
            checkpoint = open_own(Own(whose, pinned), note, cosigned=True)
        else:
            checkpoint = open_own(Own(whose, CoordinatorKey(key)), note)
        return Ack(key, origin, checkpoint.size, note)

    def _trim_acks(self) -> None:
        while len(self._acks) > MAX_ACKS:
            oldest = self._acks.pop(next(iter(self._acks)))
            (self._folder / _ack_name(oldest)).unlink(missing_ok=True)


def _verified(read: Callable[[int], bytes]) -> Manifest:
    found: list[Manifest] = []
    for _ in walk(read, found.append):
        pass
    return found[0]


def _head(read: Callable[[int], bytes]) -> Manifest:
    prefix = read(PREFIX_BYTES)
    return read_head(prefix + read(head_length(prefix) - PREFIX_BYTES))


def _held(manifest: Manifest, path: Path, hops: int) -> Held:
    return Held(
        content_id=manifest.content_id,
        gateway_id=manifest.gateway_id,
        key=manifest.key,
        origin=manifest.origin,
        start=manifest.start,
        size=manifest.size,
        length=manifest.length,
        hops=hops,
        path=path,
    )


def _covers(new: Manifest, old: Held) -> bool:
    same = (new.key, new.origin) == (old.key, old.origin)
    return same and new.start <= old.start and old.size <= new.size


def _ack_name(ack: Ack) -> str:
    return f"{ack.key.hex()}-{sha256(ack.origin.encode()).hexdigest()[:16]}.ack"


def _write(path: Path, content: bytes) -> None:
    """On disk, and then of its name: the next ack covers what a crash loses."""
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _changed(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0
