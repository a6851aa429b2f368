"""Unsigned LEB128 numbers below 2⁵³ in their shortest form, and zigzag for signed ones."""

from __future__ import annotations

from simulators.textbook.cbor import Malformed


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def zigzag(value: int) -> int:
    return value * 2 if value >= 0 else -value * 2 - 1


class Reader:
    """Numbers and bytes one after the other; raises `Malformed` where they are cut short."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def more(self) -> bool:
        return self._at < len(self._data)

    def take(self, n: int) -> bytes:
        if self._at + n > len(self._data):
            raise Malformed("bytes cut short")
        self._at += n
        return self._data[self._at - n : self._at]

    def varint(self) -> int:
        value = 0
        for shift in range(0, 56, 7):
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                if (byte == 0 and shift) or value >= 1 << 53:
                    break
                return value
        raise Malformed("a number that is too long")

    def signed(self) -> int:
        value = self.varint()
        return -(value + 1) // 2 if value % 2 else value // 2
