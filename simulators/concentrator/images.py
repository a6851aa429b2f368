"""Stand-ins for the three firmware images: right size and parity, content of our own making."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

NAMES = ("arb", "agc", "cal")
SIZE = 8192


def make_image(name: str) -> bytes:
    """An image that only this model runs; each name gives another one, always the same."""
    stream = b"".join(hashlib.sha256(f"offgrid {name} {n}".encode()).digest() for n in range(SIZE // 32))
    words = (int.from_bytes(stream[at : at + 2], "little") & 0x3FFF for at in range(0, SIZE, 2))
    return b"".join((word | (word.bit_count() & 1) << 14).to_bytes(2, "little") for word in words)


def parity_holds(image: bytes) -> bool:
    """Whether bit 14 of every word is the parity of its lower 14 bits."""
    words = (image[at] | image[at + 1] << 8 for at in range(0, len(image), 2))
    return all((word & 0x3FFF).bit_count() & 1 == word >> 14 & 1 for word in words)


TEST_IMAGES: Mapping[str, bytes] = {name: make_image(name) for name in NAMES}
TEST_SHA256: Mapping[str, str] = {
    name: hashlib.sha256(image).hexdigest() for name, image in TEST_IMAGES.items()
}
