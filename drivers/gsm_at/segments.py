"""A message of any length as user data of one or more parts (3GPP TS 23.040 clause 9.2.3.24.1)."""

from __future__ import annotations

from collections.abc import Iterator

from drivers.gsm_at.alphabet import ESCAPE, encode_text
from drivers.gsm_at.userdata import MAX_OCTETS, MAX_SEPTETS, Coding, Concatenation, UserData

MAX_PARTS = 255
DCS = {Coding.GSM7: 0x00, Coding.OCTETS: 0x04, Coding.UCS2: 0x08}  # no message class
_HEADER_OCTETS = {8: 6, 16: 7}


def text_data(text: str) -> UserData:
    """In the GSM alphabet where it holds all of the text, else in UCS-2."""
    try:
        return UserData(Coding.GSM7, encode_text(text))
    except ValueError:
        return UserData(Coding.UCS2, text.encode("utf-16-be", "replace"))


def capacity(coding: Coding, reference_bits: int = 0) -> int:
    """What one message holds, in septets or octets; ``reference_bits`` 0 is a single message."""
    header = _HEADER_OCTETS.get(reference_bits, 0)
    if coding is Coding.GSM7:
        return MAX_SEPTETS - (8 * header + 6) // 7
    return (MAX_OCTETS - header) // (2 if coding is Coding.UCS2 else 1) * (2 if coding is Coding.UCS2 else 1)


def split(whole: UserData, reference: int, reference_bits: int = 8) -> list[UserData]:
    """One part if it fits, else parts that share ``reference``.

    No escape sequence and no surrogate pair is cut. Raises :class:`ValueError` above 255 parts.
    """
    if len(whole.data) <= capacity(whole.coding):
        return [whole]
    pieces = list(_pieces(whole, capacity(whole.coding, reference_bits)))
    if len(pieces) > MAX_PARTS:
        raise ValueError(f"{len(pieces)} parts, at most {MAX_PARTS}")
    return [
        UserData(
            whole.coding,
            piece,
            (Concatenation(reference, len(pieces), number, reference_bits).element(),),
        )
        for number, piece in enumerate(pieces, 1)
    ]


def _pieces(whole: UserData, size: int) -> Iterator[bytes]:
    start = 0
    while start < len(whole.data):
        end = start + size
        if end < len(whole.data) and _cuts(whole, start, end):
            end -= 2 if whole.coding is Coding.UCS2 else 1
        yield whole.data[start:end]
        start = end


def _cuts(whole: UserData, start: int, end: int) -> bool:
    """Would an end here part what belongs together?"""
    if whole.coding is Coding.UCS2:
        return 0xD8 <= whole.data[end - 2] <= 0xDB
    if whole.coding is Coding.GSM7:
        kept = whole.data[start:end]
        escapes = len(kept) - len(kept.rstrip(bytes((ESCAPE,))))
        return escapes % 2 == 1
    return False
