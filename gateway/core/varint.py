"""Unsigned LEB128 varints, and zigzag for signed numbers; docs/protocol/objects.md, "Conventions"."""

from __future__ import annotations


class VarintInvalid(ValueError):
    """A number that is cut short or too long."""


def varint(number: int) -> bytes:
    """The shortest encoding of ``number``, which is not negative."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins at ``at``, and where the next one does. Raises VarintInvalid."""
    number, shift = 0, 0
    while at < len(data) and shift < 63:
        byte = data[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
    raise VarintInvalid("a number is cut short or too long")


def zigzag(number: int) -> int:
    """0, -1, 1, -2, 2 … as 0, 1, 2, 3, 4 …: a small number stays small whatever its sign."""
    return 2 * number if number >= 0 else -2 * number - 1


def unzigzag(number: int) -> int:
    """Reads :func:`zigzag`."""
    return number >> 1 if number & 1 == 0 else -(number >> 1) - 1
