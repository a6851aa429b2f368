"""A chunk: consecutive entries with all they cover, and the gateway's commitment to the log after them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import zstandard

from gateway.core import cbor
from gateway.core.bundle.manifest import BundleInvalid
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.entry import objects_root
from gateway.core.sync.batch import RECEIPT, RECEIPT_OF_BEFORE, entry_rows, pack, shortened, whole
from gateway.core.sync.messages import HASH_BYTES, MAX_BATCH_ENTRIES, MAX_ENTRY_OBJECTS
from gateway.core.varint import VarintInvalid, read_varint, unzigzag
from gateway.core.wallet.objects import decode_object, object_hash
from gateway.core.wallet.signature import SIGNATURE_BYTES
from gateway.core.wallet.transaction import RawTransaction, Transaction
from gateway.model import Batch, EntryKind, ListDifference, LoggedEntry, LoggedObject

MAX_PLAIN_BYTES = 8 << 20
_MAX_RADIO_BYTES = 16


@dataclass(frozen=True, slots=True)
class Chunk:
    """``root`` is the log's after the batch, ``signature`` the gateway's over that checkpoint."""

    batch: Batch
    root: bytes
    signature: bytes


def pack_chunk(chunk: Chunk) -> bytes:
    """One zstd frame. Raises NotWhole for a damaged body; one that was pruned goes as its hash."""
    entries = chunk.batch.entries
    radios = list(dict.fromkeys(entry.radio for entry in entries))
    objects = [item for entry in entries for item in entry.objects]
    before = [None, *(item.identity if item.body is not None else None for item in objects)]
    bodies = [
        None if item.body is None else shortened(whole(item), identity)
        for item, identity in zip(objects, before, strict=False)
    ]
    pruned = b"".join(item.hash for item in objects if item.body is None)
    counts = [len(entry.objects) for entry in entries]
    return pack([counts, entry_rows(entries, radios), radios, bodies, pruned, chunk.root, chunk.signature])


def unpack_chunk(data: bytes, start: int) -> Chunk:
    """Reads :func:`pack_chunk`, its first entry being leaf ``start``. Raises BundleInvalid."""
    try:
        counts, rows, radios, bodies, pruned, root, signature = as_array(cbor.decode(_inflated(data)), 7)
        numbers = [as_uint(count, MAX_ENTRY_OBJECTS + 1) for count in as_array(counts)]
        if not 1 <= len(numbers) <= MAX_BATCH_ENTRIES or 0 in numbers:
            raise CborError("entries without objects, or too many of them")
        objects = _objects(as_array(bodies), as_bytes(pruned))
        if len(objects) != sum(numbers):
            raise CborError(f"{len(objects)} objects, {sum(numbers)} counted")
        names = [as_text(name, _MAX_RADIO_BYTES) for name in as_array(radios)]
        entries = _entries(_Rows(as_bytes(rows)), start, numbers, names, objects)
        return Chunk(Batch(start, entries), as_bytes(root, HASH_BYTES), as_bytes(signature, SIGNATURE_BYTES))
    except (CborError, VarintInvalid, zstandard.ZstdError) as error:
        raise BundleInvalid(f"not entries: {error}") from None


def _inflated(data: bytes) -> bytes:
    size = zstandard.frame_content_size(data)
    if not 0 <= size <= MAX_PLAIN_BYTES:
        raise CborError(f"a zstd frame that states {size} bytes, at most {MAX_PLAIN_BYTES}")
    return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)


def _objects(bodies: Sequence[object], pruned: bytes) -> list[LoggedObject]:
    """Bodies with their hashes; a receipt gets the identity of the payment before it again."""
    hashes = [pruned[at : at + HASH_BYTES] for at in range(0, len(pruned), HASH_BYTES)]
    if len(hashes) != sum(body is None for body in bodies) or len(pruned) % HASH_BYTES:
        raise CborError("not one hash for each body that is gone")
    gone, objects, before = iter(hashes), list[LoggedObject](), b""
    for sent in bodies:
        if sent is None:
            objects.append(LoggedObject(next(gone), None))
            before = b""
            continue
        before = _completed(as_bytes(sent), before)
        objects.append(LoggedObject(object_hash(before), before))
    return objects


def _completed(sent: bytes, before: bytes) -> bytes:
    if not sent.startswith(RECEIPT_OF_BEFORE):
        return sent
    payment = decode_object(before)
    if not isinstance(payment, Transaction | RawTransaction):
        raise CborError("a receipt without an identity, and no payment before it")
    return RECEIPT + payment.identity + sent[len(RECEIPT_OF_BEFORE) :]


class _Rows:
    """Reads varints one after another."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def is_read(self) -> bool:
        return self._at == len(self._data)

    def number(self) -> int:
        number, self._at = read_varint(self._data, self._at)
        return number

    def take(self, length: int) -> bytes:
        end = self._at + length
        if end > len(self._data):
            raise VarintInvalid("a list is cut short")
        taken, self._at = self._data[self._at : end], end
        return taken


def _entries(
    rows: _Rows, start: int, counts: Sequence[int], radios: Sequence[str], objects: Sequence[LoggedObject]
) -> tuple[LoggedEntry, ...]:
    heads = [rows.number() for _ in counts]
    times = list(accumulate([unzigzag(rows.number()) for _ in counts]))
    entries, at = list[LoggedEntry](), 0
    for index, (head, time, count) in enumerate(zip(heads, times, counts, strict=True), start):
        covered, at = tuple(objects[at : at + count]), at + count
        if head >> 5 >= len(radios) or not 0 <= time < cbor.MAX_UINT or head & 7 not in list(EntryKind):
            raise CborError(f"leaf {index}: no such radio, time or kind")
        kind = EntryKind(head & 7)
        entries.append(
            LoggedEntry(
                index=index,
                kind=kind,
                objects_root=objects_root([item.hash for item in covered]),
                received_at_ms=time,
                quality=head >> 3 & 3,
                radio=radios[head >> 5],
                list=_difference(rows, index) if kind is EntryKind.SNAPSHOT else None,
                objects=covered,
            )
        )
    if not rows.is_read:
        raise CborError("more rows than entries")
    return tuple(entries)


def _difference(rows: _Rows, index: int) -> ListDifference:
    back = rows.number()
    if back > index:
        raise CborError(f"leaf {index}: a base {back} leaves before")
    return ListDifference(index - back if back else None, rows.take(rows.number()))
