"""A batch of the log on its way: short ids, what goes into ENTRIES and OBJECTS; docs/protocol/sync.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256

import zstandard

from gateway.core import cbor
from gateway.core.sync.messages import SHORT_ID_BYTES
from gateway.core.wallet.objects import object_hash
from gateway.model import Batch, LoggedEntry, LoggedObject

_LEVEL = 3  # half of an object is signature, which no level makes smaller


class NotWhole(ValueError):
    """The store no longer gives an object that the log covers."""


class BitmapInvalid(ValueError):
    """A bitmap of the wrong length, or with bits beyond its last object."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A batch as it is offered; ``root`` is the log's after it."""

    start: int
    end: int
    root: bytes
    entries: tuple[LoggedEntry, ...]
    objects: tuple[LoggedObject, ...]

    @classmethod
    def of(cls, batch: Batch, root: bytes) -> Offered:
        objects = tuple(item for entry in batch.entries for item in entry.objects)
        return cls(batch.start, batch.end, root, batch.entries, objects)

    @property
    def counts(self) -> tuple[int, ...]:
        return tuple(len(entry.objects) for entry in self.entries)

    def short_ids(self, nonce: bytes) -> bytes:
        """8 bytes an object: SHA-256(the coordinator's nonce ‖ object hash), so nobody prepares two alike."""
        return b"".join(sha256(nonce + item.hash).digest()[:SHORT_ID_BYTES] for item in self.objects)

    def hashes(self) -> bytes:
        return b"".join(item.hash for item in self.objects)

    def packed_entries(self, wanted: bytes) -> bytes:
        """What ENTRIES carries: every entry, and the objects that ``wanted`` has a bit for."""
        return pack([[_row(entry) for entry in self.entries], self._bodies(wanted)])

    def packed_objects(self, wanted: bytes) -> bytes:
        """What OBJECTS carries."""
        return pack(self._bodies(wanted))

    def check(self, bitmap: bytes) -> None:
        """Raises :class:`BitmapInvalid` unless the bitmap has one bit an object and no other."""
        count = len(self.objects)
        if len(bitmap) != -(-count // 8):
            raise BitmapInvalid(f"a bitmap of {len(bitmap)} bytes for {count} objects")
        if int.from_bytes(bitmap, "little") >> count:
            raise BitmapInvalid(f"a bitmap with bits beyond its {count} objects")

    def _bodies(self, wanted: bytes) -> list[bytes]:
        return [_whole(item) for item in chosen(self.objects, wanted)]


def chosen(objects: Sequence[LoggedObject], bitmap: bytes) -> Iterable[LoggedObject]:
    """Those whose bit is set, least significant first."""
    return (item for i, item in enumerate(objects) if bitmap[i >> 3] >> (i & 7) & 1)


def pack(value: object) -> bytes:
    """One zstd frame that states its content size, over deterministic CBOR."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(cbor.encode(value))


def _row(entry: LoggedEntry) -> list[object]:
    difference = None if entry.list is None else [entry.list.base, entry.list.ops]
    return [
        entry.kind,
        entry.received_at_ms,
        entry.quality,
        entry.radio,
        len(entry.objects),
        difference,
    ]


def _whole(item: LoggedObject) -> bytes:
    if item.body is None or object_hash(item.body) != item.hash:
        raise NotWhole(f"object {item.hash.hex()} is gone or damaged")
    return item.body
