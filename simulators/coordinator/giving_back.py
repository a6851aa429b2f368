"""A gateway's own log for a gateway that has lost it: entries, objects, and the proof that they lead on."""

from __future__ import annotations

from collections.abc import Sequence

from simulators.coordinator import wire
from simulators.coordinator.records import Entry, Origin
from simulators.coordinator.store import Store
from simulators.textbook.merkle import consistency_proof
from simulators.textbook.varints import varint, zigzag

MAX_BYTES = 1 << 20


def giving_back(store: Store, origin: Origin, start: int) -> list[list[object]]:
    """LOG messages with the entries from `start`: at most 256, about 1 MiB of objects, at least one entry."""
    entries = store.entries(origin, start, min(start + wire.MAX_ENTRIES, origin.range.size))
    taken, size = 0, 0
    for _, bodies in entries:
        size += sum(map(len, bodies))
        if taken and size > MAX_BYTES:
            break
        taken += 1
    return _parts(store, origin, start, entries[:taken])


def _parts(
    store: Store, origin: Origin, start: int, entries: Sequence[tuple[Entry, list[bytes]]]
) -> list[list[object]]:
    end = start + len(entries)
    proof = consistency_proof(end, store.leaves(origin, origin.range.size))
    radios = sorted({entry.radio for entry, _ in entries})
    rows = _rows(start, [entry for entry, _ in entries], radios)
    counts = [entry.count for entry, _ in entries]
    whole = wire.deflate([rows, radios, counts, [body for _, bodies in entries for body in bodies], proof])
    pieces = [whole[at : at + wire.MAX_PART] for at in range(0, len(whole), wire.MAX_PART)]
    return [[wire.LOG, start, at, len(pieces), piece] for at, piece in enumerate(pieces)]


def _rows(start: int, entries: Sequence[Entry], radios: Sequence[str]) -> bytes:
    heads, times, lists, before = b"", b"", b"", 0
    for leaf, entry in enumerate(entries, start):
        heads += varint(radios.index(entry.radio) << 5 | entry.quality << 3 | entry.kind)
        times += varint(zigzag(entry.received_at - before))
        before = entry.received_at
        if entry.list is not None:
            base, ops = entry.list
            lists += varint(0 if base is None else leaf - base) + varint(len(ops)) + ops
    return heads + times + lists
