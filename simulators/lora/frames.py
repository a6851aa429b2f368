"""The link's frames as a device writes and reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

PROPRIETARY = 0xE0
LISTENING = 0x80
DATA, POLL = 0x01, 0x02
ACK, ANSWER, ANSWER_PART, BATCH, ABORT = 0x11, 0x12, 0x13, 0x14, 0x15

FRAGMENT_OVERHEAD = 8


@dataclass(frozen=True, slots=True)
class Downlink:
    """A frame from a gateway: ``index``, ``total`` and ``body`` mean what its kind makes of them."""

    kind: int
    xid: bytes
    body: bytes
    index: int = 0
    total: int = 0

    def missing(self) -> list[int]:
        """The fragments that an ACK asks for."""
        return [i for i in range(self.total) if not self.body[i // 8] >> (i % 8) & 1]


def transfer_id(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()[:4]


def divide(message: bytes, frame_size: int) -> list[bytes]:
    size = frame_size - FRAGMENT_OVERHEAD
    return [message[at : at + size] for at in range(0, len(message), size)]


def data_frame(xid: bytes, index: int, total: int, chunk: bytes, *, listening: bool) -> bytes:
    return bytes([PROPRIETARY, DATA | (LISTENING if listening else 0), *xid, index, total]) + chunk


def poll_frame(xid: bytes, part: int) -> bytes:
    return bytes([PROPRIETARY, POLL | LISTENING, *xid, part])


def read_downlink(frame: bytes) -> Downlink | None:
    """None for what is no downlink of this link."""
    if len(frame) < 7 or frame[0] != PROPRIETARY:
        return None
    kind, xid, rest = frame[1], frame[2:6], frame[6:]
    if kind == ACK and len(rest) == 1 + (rest[0] + 7) // 8:
        return Downlink(kind, xid, rest[1:], total=rest[0])
    if kind == ANSWER:
        return Downlink(kind, xid, rest)
    if kind in (ANSWER_PART, BATCH) and len(rest) > 2 and rest[0] < rest[1]:
        return Downlink(kind, xid, rest[2:], rest[0], rest[1])
    if kind == ABORT and len(rest) == 3:
        return Downlink(kind, xid, rest)
    return None
