"""Our own log as the coordinator gives it back; docs/protocol/sync.md, "Catching up".

The parts of one answer, end to end, are one zstd frame over CBOR

    [rows bstr, [radio tstr…], [object count…], [object bstr…], [hash bstr32…]]

``rows`` as in ENTRIES; the hashes are the consistency proof from the end of this piece to the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import zstandard

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.varint import VarintInvalid, read_varint
from gateway.model import EntryKind, ListDifference, TimeQuality

MAX_INFLATED = 8 << 20
MAX_PARTS = 512
"""Of 24 KiB each: more than the largest entry takes."""
_MAX_ENTRIES = 256
_MAX_PROOF = 128
_MAX_RADIO = 16


@dataclass(frozen=True, slots=True)
class PulledEntry:
    """An entry of our own log with its objects, in order."""

    kind: EntryKind
    received_at_ms: int
    quality: TimeQuality
    radio: str
    list: ListDifference | None
    objects: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Pulled:
    """Consecutive entries from ``start``, and the proof that their end leads to the checkpoint."""

    start: int
    entries: tuple[PulledEntry, ...]
    proof: tuple[bytes, ...]

    @property
    def end(self) -> int:
        return self.start + len(self.entries)


def read_pulled(start: int, data: bytes) -> Pulled:
    """Raises CborError."""
    rows, radios, counts, objects, proof = as_array(_inflated(data), 5)
    names = [as_text(name, _MAX_RADIO) for name in as_array(radios)]
    numbers = [as_uint(count) for count in as_array(counts)]
    bodies = [as_bytes(body) for body in as_array(objects)]
    hashes = [as_bytes(node, 32) for node in as_array(proof)]
    if not 1 <= len(numbers) <= _MAX_ENTRIES or sum(numbers) != len(bodies) or len(hashes) > _MAX_PROOF:
        raise CborError("entries, their objects and the proof do not agree")
    try:
        entries = _entries(start, as_bytes(rows), names, numbers, bodies)
    except (VarintInvalid, IndexError, ValueError) as error:
        raise CborError(f"entries: {error}") from None
    return Pulled(start, tuple(entries), tuple(hashes))


def _inflated(data: bytes) -> object:
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= MAX_INFLATED:
            raise CborError(f"a zstd frame states its content size, at most {MAX_INFLATED}")
        return cbor.decode(zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False))
    except zstandard.ZstdError as error:
        raise CborError(f"not zstd: {error}") from None


def _entries(
    start: int, rows: bytes, radios: Sequence[str], counts: Sequence[int], bodies: Sequence[bytes]
) -> list[PulledEntry]:
    heads, at = _numbers(rows, 0, len(counts))
    steps, at = _numbers(rows, at, len(counts))
    times = accumulate(step >> 1 if step & 1 == 0 else -(step + 1) // 2 for step in steps)
    entries, taken = [], 0
    for leaf, (head, time, count) in enumerate(zip(heads, times, counts, strict=True), start):
        kind, difference = EntryKind(head & 7), None
        if kind is EntryKind.SNAPSHOT:
            difference, at = _difference(rows, at, leaf)
        entries.append(
            PulledEntry(
                kind=kind,
                received_at_ms=as_uint(time),
                quality=TimeQuality(head >> 3 & 3),
                radio=radios[head >> 5],
                list=difference,
                objects=tuple(bodies[taken : taken + count]),
            )
        )
        taken += count
    if at != len(rows):
        raise CborError("more rows than entries")
    return entries


def _numbers(rows: bytes, at: int, count: int) -> tuple[list[int], int]:
    numbers = []
    for _ in range(count):
        number, at = read_varint(rows, at)
        numbers.append(number)
    return numbers, at


def _difference(rows: bytes, at: int, leaf: int) -> tuple[ListDifference, int]:
    back, at = read_varint(rows, at)
    length, at = read_varint(rows, at)
    if back > leaf or at + length > len(rows):
        raise CborError("a list's base before the log, or its operations cut short")
    return ListDifference(leaf - back if back else None, rows[at : at + length]), at + length
