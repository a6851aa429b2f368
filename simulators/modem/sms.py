"""Text messages by the book, for the service centre and for phones: bits as text, octet by octet.

Shares nothing with any driver: it was written from 3GPP TS 23.040 and TS 23.038 alone, slow and plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

# TS 23.038 clause 6.2.1, its eight columns from the top down; ¬ stands for the escape.
_COLUMNS = (
    "@£$¥èéùìòÇ\nØø\rÅå",
    "Δ_ΦΓΛΩΠΨΣΘΞ¬ÆæßÉ",
    " !\"#¤%&'()*+,-./",
    "0123456789:;<=>?",
    "¡ABCDEFGHIJKLMNO",
    "PQRSTUVWXYZÄÖÑÜ§",
    "¿abcdefghijklmno",
    "pqrstuvwxyzäöñüà",
)
_ALPHABET = "".join(_COLUMNS)
_ESCAPED = dict(zip("\f^{}\\[~]|€", (10, 20, 40, 41, 47, 60, 61, 62, 64, 101), strict=True))


@dataclass(frozen=True, slots=True)
class Submission:
    """A SMS-SUBMIT as a service centre reads it; ``user_data`` is TP-UDL and TP-UD, passed on untouched."""

    destination: str
    reference: int
    pid: int
    dcs: int
    user_data: bytes
    header: bool
    report: bool


@dataclass(frozen=True, slots=True)
class Part:
    """What a phone makes of one SMS-DELIVER: septets or octets, and which part of how many."""

    sender: str
    coding: str  # "gsm", "8bit", "ucs2"
    data: bytes
    reference: int = 0
    number: int = 1
    total: int = 1


def read_submit(tpdu: bytes) -> Submission:
    """Raises :class:`ValueError` (IndexError among them) for what is no SUBMIT."""
    try:
        return _read_submit(tpdu)
    except IndexError as error:
        raise ValueError("the TPDU is too short") from error


def _read_submit(tpdu: bytes) -> Submission:
    first, reference, digits, kind = tpdu[0], tpdu[1], tpdu[2], tpdu[3]
    if first % 4 != 1:
        raise ValueError("not a SUBMIT")
    if digits > 20:
        raise ValueError("address too long")
    at = 4 + (digits + 1) // 2
    destination = _number(tpdu[4:at], digits, kind)
    pid, dcs = tpdu[at], tpdu[at + 1]
    at += 2 + (0, 7, 1, 7)[first >> 3 & 3]
    length = tpdu[at]
    size = (length * 7 + 7) // 8 if _coding(dcs) == "gsm" else length
    user_data = tpdu[at : at + 1 + size]
    if len(user_data) != 1 + size or size > 140:
        raise ValueError("user data does not fit its length")
    return Submission(destination, reference, pid, dcs, user_data, bool(first & 64), bool(first & 32))


def write_deliver(sender: str, message: Submission, moment: datetime) -> bytes:
    """The SMS-DELIVER a service centre makes of a submission."""
    first = 0x04 | (0x40 if message.header else 0)
    head = bytes((first,)) + address(sender) + bytes((message.pid, message.dcs))
    return head + timestamp(moment) + message.user_data


def write_report(message: Submission, sent: datetime, done: datetime, status: int) -> bytes:
    """The SMS-STATUS-REPORT of a submission."""
    head = bytes((0x06, message.reference)) + address(message.destination)
    return head + timestamp(sent) + timestamp(done) + bytes((status,))


def with_smsc(tpdu: bytes, smsc: str) -> bytes:
    """A TPDU behind its service centre's address, as modems store it."""
    octets = _semi_octets(smsc.lstrip("+"))
    return bytes((len(octets) + 1, 0x91)) + octets + tpdu


def without_smsc(pdu: bytes) -> bytes:
    """The TPDU behind the service centre's address."""
    return pdu[1 + pdu[0] :] if pdu else b""


def address(number: str) -> bytes:
    """Length, type, value; what is no number is a name."""
    digits = number.lstrip("+")
    if digits.isdecimal():
        return bytes((len(digits), 0x91 if number.startswith("+") else 0x81)) + _semi_octets(digits)
    packed = _pack(_septets(number))
    return bytes((-(-len(number) * 7 // 4), 0xD0)) + packed


def timestamp(moment: datetime) -> bytes:
    """Seven octets; the offset must be zero."""
    return _semi_octets(moment.strftime("%y%m%d%H%M%S") + "00")


def encode(text: str | bytes, reference: int) -> list[tuple[int, bool, bytes]]:
    """(coding octet, header?, TP-UDL and TP-UD) of each part of a message."""
    if isinstance(text, bytes):
        return [(4, bool(head), _octets(head + piece)) for head, piece in _parts(text, 140, 134, reference)]
    if all(letter in _ALPHABET or letter in _ESCAPED for letter in text) and "¬" not in text:
        return [(0, bool(head), _text(head, piece)) for head, piece in _text_parts(text, reference)]
    octets = text.encode("utf-16-be")
    return [(8, bool(head), _octets(head + piece)) for head, piece in _parts(octets, 140, 134, reference)]


def read_deliver(tpdu: bytes) -> Part:
    """A phone's view of a SMS-DELIVER."""
    digits, kind = tpdu[1], tpdu[2]
    at = 3 + (digits + 1) // 2
    sender = _sender(tpdu[3:at], digits, kind)
    coding = _coding(tpdu[at + 1])
    length, body = tpdu[at + 9], tpdu[at + 10 :]
    head = body[: body[0] + 1] if tpdu[0] & 0x40 else b""
    if coding == "gsm":
        skipped = (len(head) * 8 + 6) // 7
        data = _unpack(body, length)[skipped:]
    else:
        data = body[len(head) : length]
    reference, total, number = _concatenation(head)
    return Part(sender, coding, data, reference, number, total)


def text_of(parts: list[Part]) -> str | bytes:
    """Parts in order, as the text or the bytes they are."""
    data = b"".join(part.data for part in parts)
    if parts[0].coding == "8bit":
        return data
    if parts[0].coding == "ucs2":
        return data.decode("utf-16-be", "replace")
    escaped = {value: letter for letter, value in _ESCAPED.items()}
    septets = iter(data)
    return "".join(
        escaped.get(next(septets, 0), "?") if septet == 27 else _ALPHABET[septet] for septet in septets
    )


def _coding(dcs: int) -> str:
    if dcs >> 4 == 15:
        return "8bit" if dcs & 4 else "gsm"
    return {4: "8bit", 8: "ucs2"}.get(dcs & 12, "gsm") if dcs < 128 else "gsm"


def _number(octets: bytes, digits: int, kind: int) -> str:
    swapped = "".join(f"{octet & 15:x}{octet >> 4:x}" for octet in octets)[:digits].rstrip("f")
    if not swapped.isdecimal():
        raise ValueError(f"{swapped} is no number")
    return ("+" if kind & 0x70 == 0x10 else "") + swapped


def _sender(octets: bytes, digits: int, kind: int) -> str:
    if kind & 0x70 != 0x50:
        return _number(octets, digits, kind)
    return "".join(_ALPHABET[septet] for septet in _unpack(octets, digits * 4 // 7))


def _semi_octets(digits: str) -> bytes:
    padded = digits + "F" * (len(digits) % 2)
    return bytes(int(padded[at + 1] + padded[at], 16) for at in range(0, len(padded), 2))


def _septets(text: str) -> list[int]:
    septets: list[int] = []
    for letter in text:
        septets += [27, _ESCAPED[letter]] if letter in _ESCAPED else [_ALPHABET.index(letter)]
    return septets


def _pack(septets: list[int], fill: int = 0) -> bytes:
    bits = "0" * fill + "".join(f"{septet:07b}"[::-1] for septet in septets)
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[at : at + 8][::-1], 2) for at in range(0, len(bits), 8))


def _unpack(octets: bytes, count: int) -> bytes:
    bits = "".join(f"{octet:08b}"[::-1] for octet in octets)
    return bytes(int(bits[at : at + 7][::-1], 2) for at in range(0, 7 * count, 7))


def _octets(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def _text(head: bytes, septets: bytes) -> bytes:
    fill = -len(head) * 8 % 7
    return bytes(((len(head) * 8 + fill) // 7 + len(septets),)) + head + _pack(list(septets), fill)


def _text_parts(text: str, reference: int) -> list[tuple[bytes, bytes]]:
    """Letter by letter, so that no escape loses its letter."""
    if len(_septets(text)) <= 160:
        return [(b"", bytes(_septets(text)))]
    pieces: list[list[int]] = [[]]
    for letter in text:
        septets = _septets(letter)
        if len(pieces[-1]) + len(septets) > 153:
            pieces.append([])
        pieces[-1] += septets
    return [
        (bytes((5, 0, 3, reference, len(pieces), number)), bytes(piece))
        for number, piece in enumerate(pieces, 1)
    ]


def _parts(data: bytes, single: int, size: int, reference: int) -> list[tuple[bytes, bytes]]:
    if len(data) <= single:
        return [(b"", data)]
    total = -(-len(data) // size)
    return [
        (bytes((5, 0, 3, reference, total, number + 1)), data[number * size : (number + 1) * size])
        for number in range(total)
    ]


def _concatenation(head: bytes) -> tuple[int, int, int]:
    at = 1
    while at + 1 < len(head):
        kind, size = head[at], head[at + 1]
        data = head[at + 2 : at + 2 + size]
        if (kind, size) in ((0, 3), (8, 4)) and 0 < data[-1] <= data[-2]:
            return int.from_bytes(data[:-2], "big"), data[-2], data[-1]
        at += 2 + size
    return 0, 1, 1
