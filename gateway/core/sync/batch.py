"""A batch of the log on its way: short ids, what goes into ENTRIES and OBJECTS; docs/protocol/sync.md."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeVar

import zstandard

from gateway.core import cbor
from gateway.core.sync.messages import SHORT_ID_BYTES
from gateway.core.varint import varint, zigzag
from gateway.core.wallet.objects import object_hash
from gateway.model import Batch, LoggedEntry, LoggedObject

T = TypeVar("T")

# CBOR of [2, bstr32 … and of [2, null …, the beginnings of a receipt's five elements.
RECEIPT = b"\x85\x02\x58\x20"
RECEIPT_OF_BEFORE = b"\x85\x02\xf6"

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
        """What ENTRIES carries: every entry, and the objects that ``wanted`` has a bit for, shortened."""
        radios = list(dict.fromkeys(entry.radio for entry in self.entries))
        before = (None, *(item.identity for item in self.objects))
        pairs = chosen(tuple(zip(self.objects, before, strict=False)), wanted)
        objects = [shortened(whole(item), identity) for item, identity in pairs]
        return pack([entry_rows(self.entries, radios), radios, objects])

    def packed_objects(self, wanted: bytes) -> bytes:
        """What OBJECTS carries."""
        return pack([whole(item) for item in chosen(self.objects, wanted)])

    def check(self, bitmap: bytes) -> None:
        """Raises :class:`BitmapInvalid` unless the bitmap has one bit an object and no other."""
        count = len(self.objects)
        if len(bitmap) != -(-count // 8):
            raise BitmapInvalid(f"a bitmap of {len(bitmap)} bytes for {count} objects")
        if int.from_bytes(bitmap, "little") >> count:
            raise BitmapInvalid(f"a bitmap with bits beyond its {count} objects")


def chosen(items: Sequence[T], bitmap: bytes) -> Iterable[T]:
    """Those whose bit is set, least significant first."""
    return (item for i, item in enumerate(items) if bitmap[i >> 3] >> (i & 7) & 1)


def pack(value: object) -> bytes:
    """One zstd frame that states its content size, over deterministic CBOR."""
    return zstandard.ZstdCompressor(level=_LEVEL).compress(cbor.encode(value))


def entry_rows(entries: Sequence[LoggedEntry], radios: Sequence[str]) -> bytes:
    """``rows`` of ENTRIES: all heads, all times, all list differences: like beside like compresses."""
    rows, before_ms = bytearray(), 0
    for entry in entries:
        rows += varint(radios.index(entry.radio) << 5 | entry.quality << 3 | entry.kind)
    for entry in entries:
        rows += varint(zigzag(entry.received_at_ms - before_ms))
        before_ms = entry.received_at_ms
    for entry in entries:
        if entry.list is not None:
            distance = 0 if entry.list.base is None else entry.index - entry.list.base
            rows += varint(distance) + varint(len(entry.list.ops)) + entry.list.ops
    return bytes(rows)


def shortened(body: bytes, before: bytes | None) -> bytes:
    """A receipt for the transaction right before it goes without that transaction's identity."""
    if before is None or not body.startswith(RECEIPT + before):
        return body
    return RECEIPT_OF_BEFORE + body[len(RECEIPT) + len(before) :]


def whole(item: LoggedObject) -> bytes:
    """Its body. Raises :class:`NotWhole`."""
    if item.body is None or object_hash(item.body) != item.hash:
        raise NotWhole(f"object {item.hash.hex()} is gone or damaged")
    return item.body
