"""The SX1301's three microcontroller images: parsing and checking; no files.

Each image is 8,192 bytes: 4,096 little-endian words of 14 bits, with bit 14 set so that bits 0 to 14 hold an
even number of ones. Semtech publishes them in ``lora_gateway/libloragw/src`` as C initialisers
(``arb_fw.var``, ``agc_fw.var``, ``cal_fw.var``); they have not changed since version 2.0.0. They are not part
of this project: a technician imports them (``offgrid-gateway firmware import``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass

IMAGE_SIZE = 8192
NAMES = ("arb", "agc", "cal")

SEMTECH_SHA256: Mapping[str, str] = {
    "arb": "c93a5a6e9e666a63dd18cccc6bd82ee3df638676b74b5a8b27eca8725615e161",
    "agc": "08263797ad3b3ecf42de2e30987d436eb6f45cac876cede6b4051bb4f7483929",
    "cal": "0b6a0693b2127f6c12d1663a6579631ae688b2aa820544591f030ac9c055041b",
}


class FirmwareRejected(ValueError):
    """The bytes are not the image they were taken for; the text says what was seen and expected."""


@dataclass(frozen=True, slots=True)
class Firmware:
    """Arbiter, gain control and calibration image, each checked."""

    arb: bytes
    agc: bytes
    cal: bytes


def parse_image(data: bytes) -> bytes:
    """The image in ``data``: raw bytes of exactly 8,192, or a ``.var`` file with hex bytes between braces.

    Raises :class:`FirmwareRejected` when it is neither.
    """
    if len(data) == IMAGE_SIZE:
        return data
    braces = re.search(rb"\{([^{}]*)\}", data)
    if braces is None:
        raise FirmwareRejected(
            f"neither {IMAGE_SIZE} raw bytes (there are {len(data)}) nor hex between braces"
        )
    try:
        image = bytes(int(word, 16) for word in braces[1].replace(b",", b" ").split())
    except ValueError as error:
        raise FirmwareRejected("something between the braces is not a byte in hex") from error
    if len(image) != IMAGE_SIZE:
        raise FirmwareRejected(f"{len(image)} bytes between the braces, expected {IMAGE_SIZE}")
    return image


def check_image(name: str, image: bytes, sha256: Mapping[str, str] = SEMTECH_SHA256) -> None:
    """Size, parity of every word, then the digest. Raises :class:`FirmwareRejected`."""
    if len(image) != IMAGE_SIZE:
        raise FirmwareRejected(f"{len(image)} bytes, expected {IMAGE_SIZE}")
    for at in range(0, IMAGE_SIZE, 2):
        word = image[at] | image[at + 1] << 8
        if (word & 0x7FFF).bit_count() % 2:
            raise FirmwareRejected(f"the word at byte {at} fails its parity: the image is damaged")
    digest = hashlib.sha256(image).hexdigest()
    if digest != sha256[name]:
        other = next((known for known, value in sha256.items() if value == digest), None)
        seen = f"sha256 begins {digest[:12]}, expected {sha256[name][:12]}"
        raise FirmwareRejected(f"this is the {other} image" if other else f"another image: {seen}")


def identify(image: bytes, sha256: Mapping[str, str] = SEMTECH_SHA256) -> str:
    """Which of the three images this is, by digest. Raises :class:`FirmwareRejected` when it is none."""
    digest = hashlib.sha256(image).hexdigest()
    name = next((known for known, value in sha256.items() if value == digest), None)
    if name is None:
        raise FirmwareRejected(f"sha256 {digest} is none of {', '.join(sorted(sha256))}")
    check_image(name, image, sha256)
    return name
