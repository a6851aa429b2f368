"""The GSM 7-bit default alphabet with its extension table, and septets in octets (3GPP TS 23.038)."""

from __future__ import annotations

ESCAPE = 0x1B

# TS 23.038 clause 6.2.1; position is the septet's value. 0x1B is the escape and prints as a space.
BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ ÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
# Clause 6.2.1.1: what follows an escape.
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}
_SEPTETS = {character: bytes((septet,)) for septet, character in enumerate(BASIC) if septet != ESCAPE} | {
    character: bytes((ESCAPE, septet)) for septet, character in EXTENSION.items()
}


def encode_text(text: str) -> bytes:
    """One septet a byte; an extension character takes two.

    Raises :class:`ValueError` for a character that the alphabet lacks.
    """
    try:
        return b"".join([_SEPTETS[character] for character in text])
    except KeyError as error:
        raise ValueError(f"{error.args[0]!r} is not in the GSM alphabet") from error


def decode_text(septets: bytes) -> str:
    """Total: an unknown extension shows its basic character, a second or last escape a space (6.2.1.1)."""
    if ESCAPE not in septets:
        return "".join([BASIC[septet] for septet in septets])
    text = []
    escaped = False
    for septet in septets:
        if escaped:
            text.append(EXTENSION.get(septet, BASIC[septet]))
            escaped = False
        elif septet == ESCAPE:
            escaped = True
        else:
            text.append(BASIC[septet])
    return "".join(text) + " " * escaped


def pack(septets: bytes, fill_bits: int = 0) -> bytes:
    """Septets to octets, least significant bit first, after ``fill_bits`` (0..6) zero bits."""
    bits = 0
    for septet in reversed(septets):
        bits = bits << 7 | septet
    return (bits << fill_bits).to_bytes((7 * len(septets) + fill_bits + 7) // 8, "little")


def unpack(octets: bytes, count: int, fill_bits: int = 0) -> bytes:
    """``count`` septets out of octets that hold at least as many."""
    bits = int.from_bytes(octets, "little") >> fill_bits
    return bytes([bits >> shift & 0x7F for shift in range(0, 7 * count, 7)])
