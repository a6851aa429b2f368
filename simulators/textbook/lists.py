"""A snapshot's list as a difference: LEB128 operations, docs/protocol/objects.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from simulators.textbook.cbor import Malformed
from simulators.textbook.varints import Reader

COPY, NEW, ORD, RAW, SEEK = range(5)


def rebuild(
    ops: bytes,
    base: Sequence[bytes],
    new: Sequence[bytes],
    by_ordinal: Callable[[int], bytes],
    first: int,
    most: int,
) -> list[bytes]:
    """The identities that `ops` lists, at most `most`. Raises `Malformed`.

    `base` are the identities of the base's list, `new` those of the entry's new transactions in order;
    `first` is the ordinal of the entry's first object: how many objects the log covers before it.
    """
    listed: list[bytes] = []
    taken = position = 0
    reader = Reader(ops)
    while reader.more():
        n, op = divmod(reader.varint(), 8)
        if op == COPY:
            n = n or len(base) - position
        if op != SEEK and len(listed) + n > most:
            raise Malformed("the list is longer than the snapshot's count")
        if op == COPY:
            end = position + n
            if not position <= end <= len(base):
                raise Malformed("COPY beyond the base")
            listed += base[position:end]
            position = end
        elif op == NEW:
            if taken + n > len(new):
                raise Malformed("the list names more than there is")
            listed += new[taken : taken + n]
            taken += n
        elif op == ORD:
            listed += [by_ordinal(_before(first, reader.varint())) for _ in range(n)]
        elif op == RAW:
            listed += [reader.take(32) for _ in range(n)]
        elif op == SEEK:
            position = n
        else:
            raise Malformed(f"no list operation {op}")
    listed += new[taken:]
    if len(listed) > most:
        raise Malformed("the list is longer than the snapshot's count")
    return listed


def _before(first: int, back: int) -> int:
    if back >= first:
        raise Malformed("an ordinal before the first")
    return first - 1 - back
