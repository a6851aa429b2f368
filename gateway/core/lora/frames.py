"""LoRa link frames ↔ bytes, as docs/protocol/lora.md draws them.

byte 0     0xE0, LoRaWAN's MHDR of a proprietary frame: networks beside us pass over it
byte 1     type; bit 7 of an uplink: the device listens after this frame
byte 2-5   xid, the first 4 bytes of SHA-256(message)
rest       by type
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

MHDR_PROPRIETARY = 0xE0  # LoRaWAN 1.0.4 section 4.2: MType 111, major 00
LISTENING = 0x80
XID_SIZE = 4
MAX_TOTAL = 255
MAX_FRAME = 255

FRAGMENT_HEADER = 2 + XID_SIZE + 2  # DATA, ANSWER_PART, BATCH
ANSWER_HEADER = 2 + XID_SIZE


class FrameType(IntEnum):
    """Uplinks below 0x10, downlinks above: what another gateway sends is never taken for an uplink."""

    DATA = 0x01
    POLL = 0x02
    ACK = 0x11
    ANSWER = 0x12
    ANSWER_PART = 0x13
    BATCH = 0x14
    ABORT = 0x15


class FrameError(ValueError):
    """Not a frame of this link. ``reason``: ``foreign`` (another protocol's), ``type`` or ``malformed``."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Data:
    """One fragment of a message, up."""

    xid: bytes
    index: int
    total: int
    chunk: bytes
    listening: bool = False

    def to_bytes(self) -> bytes:
        return _head(FrameType.DATA, self.xid, self.listening) + bytes((self.index, self.total)) + self.chunk


@dataclass(frozen=True, slots=True)
class Poll:
    """Asks where a message stands (``part`` 0) or for a later part of its answer, up."""

    xid: bytes
    part: int = 0
    listening: bool = True

    def to_bytes(self) -> bytes:
        return _head(FrameType.POLL, self.xid, self.listening) + bytes((self.part,))


@dataclass(frozen=True, slots=True)
class Ack:
    """Which fragments are held, down; bit i, least significant first, is fragment i."""

    xid: bytes
    total: int
    bitmap: bytes

    def to_bytes(self) -> bytes:
        return _head(FrameType.ACK, self.xid) + bytes((self.total,)) + self.bitmap


@dataclass(frozen=True, slots=True)
class Answer:
    """The whole answer to a message, down."""

    xid: bytes
    message: bytes

    def to_bytes(self) -> bytes:
        return _head(FrameType.ANSWER, self.xid) + self.message


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a long answer (ANSWER_PART) or of a BATCH, whose ``xid`` is its own; down."""

    kind: FrameType
    xid: bytes
    index: int
    total: int
    chunk: bytes

    def to_bytes(self) -> bytes:
        return _head(self.kind, self.xid) + bytes((self.index, self.total)) + self.chunk


@dataclass(frozen=True, slots=True)
class Abort:
    """This transfer ends here, down; ``code`` is one of docs/protocol/messages.md's refusals."""

    TOO_LARGE: ClassVar[int] = 6
    EXPIRED: ClassVar[int] = 15

    xid: bytes
    code: int
    retry_after_s: int = 0

    def to_bytes(self) -> bytes:
        return _head(FrameType.ABORT, self.xid) + bytes((self.code,)) + self.retry_after_s.to_bytes(2, "big")


def decode_uplink(frame: bytes) -> Data | Poll:
    """Read what a device sent. Raises :class:`FrameError`."""
    if not frame or frame[0] != MHDR_PROPRIETARY:
        raise FrameError("foreign")
    if len(frame) < 2 + XID_SIZE + 1 or len(frame) > MAX_FRAME:
        raise FrameError("malformed", f"{len(frame)} bytes")
    listening, xid = bool(frame[1] & LISTENING), frame[2 : 2 + XID_SIZE]
    kind = frame[1] & ~LISTENING
    if kind == FrameType.DATA:
        return _data(frame, xid, listening)
    if kind == FrameType.POLL:
        if len(frame) != 2 + XID_SIZE + 1:
            raise FrameError("malformed", f"a POLL of {len(frame)} bytes")
        return Poll(xid, frame[-1], listening)
    raise FrameError("type", f"0x{frame[1]:02x}")


def xid_of(message: bytes) -> bytes:
    """The transfer's id: whoever holds the content knows it, and sending it again resumes the transfer."""
    return hashlib.sha256(message).digest()[:XID_SIZE]


def split(message: bytes, size: int) -> list[bytes]:
    """Chunks of ``size`` bytes, the last one shorter. Raises :class:`ValueError` above 255 of them."""
    chunks = [message[start : start + size] for start in range(0, len(message), size)]
    if not 0 < len(chunks) <= MAX_TOTAL:
        raise ValueError(f"{len(message)} bytes do not fit {MAX_TOTAL} chunks of {size}")
    return chunks


def _data(frame: bytes, xid: bytes, listening: bool) -> Data:
    if len(frame) <= FRAGMENT_HEADER:
        raise FrameError("malformed", "a fragment without a chunk")
    index, total = frame[6], frame[7]
    if index >= total:
        raise FrameError("malformed", f"fragment {index} of {total}")
    return Data(xid, index, total, frame[FRAGMENT_HEADER:], listening)


def _head(kind: FrameType, xid: bytes, listening: bool = False) -> bytes:
    return bytes((MHDR_PROPRIETARY, kind | (LISTENING if listening else 0))) + xid
