"""A snapshot's list as a difference: unsigned LEB128 operations, docs/protocol/objects.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from simulators.textbook.cbor import Malformed

COPY, NEW, ORD, RAW = range(4)


def rebuild(
    ops: bytes, base: Sequence[bytes], new: Sequence[bytes], by_ordinal: Callable[[int], bytes], most: int
) -> list[bytes]:
    """The identities that `ops` lists, at most `most`; every item of `new` must be taken. Raises `Malformed`.

    `base` are the identities of the base's list, `new` those of the entry's new transactions in order.
    """
    listed: list[bytes] = []
    reader = _Reader(ops)
    waiting = iter(new)
    while reader.more():
        op = reader.varint()
        if op == COPY:
            start, n = reader.varint(), reader.varint()
            if start + n > len(base):
                raise Malformed("COPY beyond the base")
            items: Iterator[bytes] = iter(base[start : start + n])
        elif op == NEW:
            n = reader.varint()
            items = waiting
        elif op == ORD:
            n = reader.varint()
            items = (by_ordinal(reader.varint()) for _ in range(n))
        elif op == RAW:
            n = reader.varint()
            items = (reader.take(32) for _ in range(n))
        else:
            raise Malformed(f"no list operation {op}")
        if len(listed) + n > most:
            raise Malformed("the list is longer than the snapshot's count")
        listed += _exactly(n, items)
    if next(waiting, None) is not None:
        raise Malformed("a new transaction that the list does not name")
    return listed


def _exactly(n: int, items: Iterator[bytes]) -> list[bytes]:
    taken = list(islice(items, n))
    if len(taken) != n:
        raise Malformed("the list names more than there is")
    return taken


class _Reader:
    def __init__(self, ops: bytes) -> None:
        self._ops = ops
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._ops)

    def take(self, n: int) -> bytes:
        if self._at + n > len(self._ops):
            raise Malformed("a list cut short")
        self._at += n
        return self._ops[self._at - n : self._at]

    def varint(self) -> int:
        """Unsigned LEB128 below 2⁵³, in its shortest form."""
        value = 0
        for shift in range(0, 56, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >= 1 << 53:
                    break
                return value
        raise Malformed("a number that is too long")
