"""User data: its coding, its header, its octets (3GPP TS 23.040 clause 9.2.3.24, TS 23.038 clause 4)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from drivers.gsm_at.alphabet import decode_text, pack, unpack
from drivers.gsm_at.octets import Octets, PduError

MAX_OCTETS = 140
MAX_SEPTETS = 160


class Coding(Enum):
    """What the octets are."""

    GSM7 = "gsm7"
    OCTETS = "8bit"
    UCS2 = "ucs2"


def coding_of(dcs: int) -> Coding:
    """TS 23.038 clause 4; reserved groups are the default alphabet, compressed is refused."""
    group = dcs >> 4
    if group < 8:  # general, or marked for automatic deletion
        if dcs & 0x20:
            raise PduError("encoding", f"compressed user data (coding {dcs:#04x})")
        return (Coding.GSM7, Coding.OCTETS, Coding.UCS2, Coding.GSM7)[dcs >> 2 & 3]
    if group == 0xE:
        return Coding.UCS2
    if group == 0xF and dcs & 4:
        return Coding.OCTETS
    return Coding.GSM7


def class_of(dcs: int) -> int | None:
    """Message class 0..3, or None."""
    has_class = dcs >> 4 == 0xF or (dcs < 0x80 and bool(dcs & 0x10))
    return dcs & 3 if has_class else None


@dataclass(frozen=True, slots=True)
class Concatenation:
    """One part of several: ``sequence`` runs from 1 to ``total``; ``reference`` has 8 or 16 bits."""

    reference: int
    total: int
    sequence: int
    bits: int = 8

    def element(self) -> tuple[int, bytes]:
        """Its information element (clauses 9.2.3.24.1 and .8)."""
        kind = 0x00 if self.bits == 8 else 0x08
        return kind, self.reference.to_bytes(self.bits // 8, "big") + bytes((self.total, self.sequence))


@dataclass(frozen=True, slots=True)
class UserData:
    """``data`` is unpacked septets, one a byte, or octets; kept undecoded, so that parts join exactly."""

    coding: Coding
    data: bytes
    elements: tuple[tuple[int, bytes], ...] = ()

    @property
    def text(self) -> str:
        """Raises :class:`ValueError` for octets that are no text."""
        return text_of(self.coding, self.data)

    @property
    def concatenation(self) -> Concatenation | None:
        """The last valid one; sequence 0 or above the total is to be ignored (clause 9.2.3.24.1)."""
        for kind, data in reversed(self.elements):
            if (kind, len(data)) not in ((0x00, 3), (0x08, 4)):
                continue
            reference, total, sequence = int.from_bytes(data[:-2], "big"), data[-2], data[-1]
            if 1 <= sequence <= total:
                return Concatenation(reference, total, sequence, 8 * (len(data) - 2))
        return None

    @property
    def ports(self) -> tuple[int, int] | None:
        """Destination and source port (clauses 9.2.3.24.3 and .4)."""
        for kind, data in self.elements:
            if (kind, len(data)) in ((0x04, 2), (0x05, 4)):
                half = len(data) // 2
                return int.from_bytes(data[:half], "big"), int.from_bytes(data[half:], "big")
        return None

    def to_octets(self) -> bytes:
        """TP-UDL and TP-UD. Raises :class:`ValueError` above 140 octets."""
        header = _header(self.elements)
        if self.coding is Coding.GSM7:
            length = _header_septets(header) + len(self.data)
            body = header + pack(self.data, -8 * len(header) % 7)
        else:
            body = header + self.data
            length = len(body)
        if len(body) > MAX_OCTETS:
            raise ValueError(f"{len(body)} octets of user data, at most {MAX_OCTETS}")
        return bytes((length,)) + body


def text_of(coding: Coding, data: bytes) -> str:
    """The text of joined parts; half a surrogate pair becomes U+FFFD. ValueError where it is no text."""
    if coding is Coding.GSM7:
        return decode_text(data)
    if coding is Coding.UCS2:
        return data.decode("utf-16-be", "replace")
    raise ValueError("8-bit data is no text")


def read_user_data(octets: Octets, coding: Coding, has_header: bool) -> UserData:
    """TP-UDL and what it counts; octets after it are ignored."""
    length = octets.one()
    size = (7 * length + 7) // 8 if coding is Coding.GSM7 else length
    if size > MAX_OCTETS:
        raise PduError("user_data", f"{size} octets, at most {MAX_OCTETS}")
    body = octets.take(size, "user_data")
    header = body[: 1 + body[0]] if has_header and body else b""
    if has_header and (not body or len(header) != 1 + body[0]):
        raise PduError("header", "longer than the user data")
    elements = _elements(header)
    if coding is not Coding.GSM7:
        data = body[len(header) :]
        if coding is Coding.UCS2 and len(data) % 2:
            raise PduError("encoding", f"{len(data)} octets of UCS-2")
        return UserData(coding, data, elements)
    count = length - _header_septets(header)
    if count < 0:
        raise PduError("header", "longer than the user data")
    return UserData(coding, unpack(body[len(header) :], count, -8 * len(header) % 7), elements)


def _header_septets(header: bytes) -> int:
    return (8 * len(header) + 6) // 7


def _header(elements: tuple[tuple[int, bytes], ...]) -> bytes:
    if not elements:
        return b""
    body = b"".join([bytes((kind, len(data))) + data for kind, data in elements])
    return bytes((len(body),)) + body


def _elements(header: bytes) -> tuple[tuple[int, bytes], ...]:
    fields = Octets(header[1:])
    elements = []
    while fields.rest():
        kind = fields.one("header")
        elements.append((kind, fields.take(fields.one("header"), "header")))
    return tuple(elements)
