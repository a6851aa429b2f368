"""A device's list as a difference to an earlier one; docs/protocol/objects.md, "Lists".

A place of a list is an ordinal (int) where the origin has logged an object of that identity, else the
identity itself (32 bytes). An op is one varint, ``n << 3 | code``, and what follows it:

    COPY n     0    n places of the base from where the copy before ended; 0: all that are left
    NEW n      1    the entry's next n new objects
    ORD n      2    n distances back from the entry's first ordinal
    RAW n      3    n identities as they stand
    SEEK n     4    the next COPY begins at place n of the base

After the last op come all new objects that were not taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.core.varint import VarintInvalid, read_varint, varint

MAX_CHAIN = 64
"""Longest chain of differences; a list that names no base has depth 1."""

MAX_LIST = 1 << 20
"""Most places of one list."""

Place = int | bytes

_COPY, _NEW, _ORD, _RAW, _SEEK = range(5)
_IDENTITY = 32


class ListInvalid(ValueError):
    """These ops do not make a list out of this base."""


def difference(places: Sequence[Place], base: Sequence[Place], first_new: int) -> bytes:
    """Ops that make ``places`` out of ``base``; ordinals from ``first_new`` on are the entry's own."""
    where = {place: position for position, place in enumerate(base)}
    ops, copied_to = bytearray(), 0
    for start, stop, source in _copy_runs(places, base, where):
        if source is None:
            ops += following(places[start:stop], first_new, is_last=stop == len(places))
            continue
        if source != copied_to:
            ops += _op(_SEEK, source)
        copied_to = source + stop - start
        ops += _op(_COPY, 0 if copied_to == len(base) else stop - start)
    return bytes(ops)


def continuation(base_count: int, places: Sequence[Place], first_new: int) -> bytes:
    """Ops for the whole base list of ``base_count`` places, and then ``places``."""
    whole = _op(_COPY, 0) if base_count else b""
    return bytes(whole + following(places, first_new, is_last=True))


def following(places: Sequence[Place], first_new: int, *, is_last: bool) -> bytearray:
    """Ops for places that no base holds: runs of NEW, ORD and RAW; the last NEW of a list goes without."""
    ops, start = bytearray(), 0
    while start < len(places):
        op, stop = _run(places, start, first_new)
        if op == _NEW and is_last and stop == len(places):
            break
        ops += _op(op, stop - start)
        for place in places[start:stop]:
            if isinstance(place, bytes):
                ops += place
            elif op == _ORD:
                ops += varint(first_new - 1 - place)
        start = stop
    return ops


def expand(ops: bytes, base: Sequence[Place], new: Sequence[int], first_new: int) -> list[Place]:
    """The list that ``ops`` makes; ``new`` are the ordinals of the entry's new transactions, in order.

    Raises ListInvalid for ops that reach beyond the base, the new objects or the log, or are cut short.
    """
    try:
        return _expanded(ops, base, new, first_new)
    except VarintInvalid as error:
        raise ListInvalid(str(error)) from None


def _expanded(ops: bytes, base: Sequence[Place], new: Sequence[int], first_new: int) -> list[Place]:
    places: list[Place] = []
    taken, copied_to, at = 0, 0, 0
    while at < len(ops):
        head, at = read_varint(ops, at)
        op, count = head & 7, head >> 3
        if op == _COPY:
            count = count or len(base) - copied_to
            places += _cut(base, copied_to, count)
            copied_to += count
        elif op == _NEW:
            places += _cut(new, taken, count)
            taken += count
        elif op == _ORD:
            for _ in range(count):
                back, at = read_varint(ops, at)
                if back >= first_new:
                    raise ListInvalid(f"{back} objects before ordinal {first_new}")
                places.append(first_new - 1 - back)
        elif op == _RAW:
            end = at + count * _IDENTITY
            if end > len(ops):
                raise ListInvalid("the identities are cut short")
            places += [ops[i : i + _IDENTITY] for i in range(at, end, _IDENTITY)]
            at = end
        elif op == _SEEK:
            copied_to = count
        else:
            raise ListInvalid(f"no op {op}")
    return [*places, *new[taken:]]


def _op(op: int, count: int) -> bytes:
    return varint(count << 3 | op)


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
    if count < 0 or start + count > len(source):
        raise ListInvalid(f"places {start} to {start + count} of {len(source)}")
    return source[start : start + count]
