"""A device's list as a difference to an earlier one; docs/protocol/objects.md, "Lists".

A place of a list is an ordinal (int) where the origin has logged an object of that identity, else the
identity itself (32 bytes).

    COPY start n     n places of the base          0
    NEW n            the entry's next new objects  1
    ORD n ordinals   places by their ordinals      2
    RAW n hashes     identities as they stand      3
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

MAX_CHAIN = 64
"""Longest chain of differences; a list that names no base has depth 1."""

MAX_LIST = 1 << 20
"""Most places of one list."""

Place = int | bytes

_COPY, _NEW, _ORD, _RAW = range(4)
_IDENTITY = 32


class ListInvalid(ValueError):
    """These ops do not make a list out of this base."""


def difference(places: Sequence[Place], base: Sequence[Place], first_new: int) -> bytes:
    """Ops that make ``places`` out of ``base``; ordinals from ``first_new`` on are the entry's own."""
    where = {place: position for position, place in enumerate(base)}
    ops = bytearray()
    for start, stop, copied_from in _copy_runs(places, base, where):
        if copied_from is None:
            ops += following(places[start:stop], first_new)
        else:
            ops += _varints(_COPY, copied_from, stop - start)
    return bytes(ops)


def continuation(base_count: int, places: Sequence[Place], first_new: int) -> bytes:
    """Ops for the whole base list of ``base_count`` places, and then ``places``."""
    whole = _varints(_COPY, 0, base_count) if base_count else b""
    return bytes(whole + following(places, first_new))


def following(places: Sequence[Place], first_new: int) -> bytearray:
    """Ops for places that no base holds: runs of NEW, ORD and RAW."""
    ops, start = bytearray(), 0
    while start < len(places):
        op, stop = _run(places, start, first_new)
        ops += _varints(op, stop - start)
        if op == _ORD:
            ops += _varints(*[place for place in places[start:stop] if isinstance(place, int)])
        elif op == _RAW:
            ops += b"".join(place for place in places[start:stop] if isinstance(place, bytes))
        start = stop
    return ops


def expand(ops: bytes, base: Sequence[Place], new: Sequence[int]) -> list[Place]:
    """The list that ``ops`` makes; ``new`` are the ordinals of the entry's new transactions, in order.

    Raises ListInvalid for ops that reach beyond the base or the new objects, leave some of these out, or
    are cut short.
    """
    places: list[Place] = []
    taken, at = 0, 0
    while at < len(ops):
        op, at = _read_varint(ops, at)
        count, at = _read_varint(ops, at)
        if op == _COPY:
            start, (count, at) = count, _read_varint(ops, at)
            places += _cut(base, start, count)
        elif op == _NEW:
            places += _cut(new, taken, count)
            taken += count
        elif op == _ORD:
            for _ in range(count):
                ordinal, at = _read_varint(ops, at)
                places.append(ordinal)
        elif op == _RAW:
            end = at + count * _IDENTITY
            if end > len(ops):
                raise ListInvalid("the identities are cut short")
            places += [ops[i : i + _IDENTITY] for i in range(at, end, _IDENTITY)]
            at = end
        else:
            raise ListInvalid(f"no op {op}")
    if taken != len(new):
        raise ListInvalid(f"{taken} of {len(new)} new objects are in the list")
    return places


def _copy_runs(
    places: Sequence[Place], base: Sequence[Place], where: dict[Place, int]
) -> Iterator[tuple[int, int, int | None]]:
    """Runs (start, stop, position in the base or None where the base holds none of it)."""
    start = 0
    while start < len(places):
        source, stop = where.get(places[start]), start + 1
        if source is None:
            while stop < len(places) and places[stop] not in where:
                stop += 1
        else:
            end = source + 1
            while stop < len(places) and end < len(base) and places[stop] == base[end]:
                stop, end = stop + 1, end + 1
        yield start, stop, source
        start = stop


def _run(places: Sequence[Place], start: int, first_new: int) -> tuple[int, int]:
    op, stop = _op_of(places[start], first_new), start + 1
    while stop < len(places) and _op_of(places[stop], first_new) == op:
        stop += 1
    return op, stop


def _op_of(place: Place, first_new: int) -> int:
    if isinstance(place, bytes):
        return _RAW
    return _NEW if place >= first_new else _ORD


def _cut(source: Sequence[Place], start: int, count: int) -> Sequence[Place]:
    if start + count > len(source):
        raise ListInvalid(f"places {start} to {start + count} of {len(source)}")
    return source[start : start + count]


def _varints(*numbers: int) -> bytearray:
    """Unsigned LEB128."""
    out = bytearray()
    for number in numbers:
        while number > 0x7F:
            out.append(number & 0x7F | 0x80)
            number >>= 7
        out.append(number)
    return out


def _read_varint(ops: bytes, at: int) -> tuple[int, int]:
    number, shift = 0, 0
    while at < len(ops) and shift < 63:
        byte = ops[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
    raise ListInvalid("a number is cut short or too long")
