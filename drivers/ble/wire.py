"""The pieces of a transfer over FFF1 and FFF2, to the byte; no state (docs/protocol/ble.md).

One piece is one attribute value of at most min(MTU - 3, 512) bytes. Byte 0 is the type, its high nibble the
version (1); byte 1 the transfer's number, ``xid``; numbers are big-endian::

    START  11 xid total:3 content_id:12     sender to receiver; also asks "how far did we get?"
    DATA   12 xid offset:3 bytes            sender to receiver
    ACK    13 xid offset:3                  receiver to sender: all bytes before offset are here
    DONE   14 xid 00 hash:16                receiver to sender: the whole is here
    DONE   14 xid status retry_after_s:2    receiver to sender: it was refused
    WHOLE  15 xid bytes                     sender to receiver: a message that fits one piece
    LINK   18 00 id                         between gateways, first on a link: I am a gateway, of this id
    FIRST  17 xid total:3 content_id:12 bytes   START of a message never offered before, with its first bytes
    RESUME 16 xid offset:3                  receiver to sender: go on from offset (answer to START, or a gap)
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

START, DATA, ACK, DONE, WHOLE, RESUME, FIRST = 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17
LINK = 0x18

CONTENT_ID_BYTES = 12  # the first of SHA-256(message)
DONE_HASH_BYTES = 16
MAX_GATEWAY_ID = 20
MAX_TOTAL = (1 << 24) - 1
MIN_MTU = 23  # Bluetooth Core, Vol 3 Part G 5.2.1
MAX_VALUE = 512  # of any attribute: Vol 3 Part F 3.2.9
ATT_HEADER = 3  # opcode and handle of a write or a notification
LINK_HEADERS = 4 + ATT_HEADER  # L2CAP's and ATT's
LINK_PAYLOAD = 251  # of a link layer packet with data length extension: Vol 6 Part B 2.4

START_BYTES = 2 + 3 + CONTENT_ID_BYTES
DATA_HEADER = 5
WHOLE_HEADER = 2


class Status(IntEnum):
    """Why a transfer ended; everything but OK is a refusal."""

    OK = 0
    MALFORMED = 1  # not a piece of this protocol, or a length that cannot be
    TOO_LARGE = 2
    CORRUPT = 3  # the whole does not hash to the content id: all bytes were dropped, start from 0
    BUSY = 4  # no room now; START again after the seconds given: what was sent is kept
    LIMITED = 5  # this peer brought too much; come again after the seconds given
    UNKNOWN = 6  # DATA without START on this connection: send START


class WireError(ValueError):
    """The bytes are no piece of this protocol."""


@dataclass(frozen=True, slots=True)
class Start:
    """With a ``chunk``, it is FIRST."""

    xid: int
    total: int
    content_id: bytes
    chunk: bytes = b""


@dataclass(frozen=True, slots=True)
class Data:
    xid: int
    offset: int
    chunk: bytes


@dataclass(frozen=True, slots=True)
class Whole:
    xid: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Word:
    """ACK, DONE or RESUME: what a receiver says. Of answers to phones they are ignored."""

    xid: int
    kind: int
    rest: bytes

    @property
    def offset(self) -> int:
        """Of ACK and RESUME."""
        return int.from_bytes(self.rest[:3])

    @property
    def status(self) -> int:
        """Of DONE."""
        return self.rest[0]


Piece = Start | Data | Whole | Word


def decode(value: bytes) -> Piece:
    """One attribute value. Raises :class:`WireError`."""
    kind = value[0] if value else -1
    if kind == DATA and len(value) > DATA_HEADER:
        return Data(value[1], int.from_bytes(value[2:5]), value[5:])
    if kind == WHOLE and len(value) > WHOLE_HEADER and value[1]:
        return Whole(value[1], value[2:])
    if kind == START and len(value) == START_BYTES and any(value[2:5]) and value[1]:
        return Start(value[1], int.from_bytes(value[2:5]), value[5:])
    if kind == FIRST and len(value) > START_BYTES and any(value[2:5]) and value[1]:
        return Start(value[1], int.from_bytes(value[2:5]), value[5:START_BYTES], value[START_BYTES:])
    if kind in (ACK, DONE, RESUME) and len(value) >= DATA_HEADER:
        return Word(value[1], kind, value[2:])
    raise WireError(f"no piece: {value[:8].hex()} ({len(value)} bytes)")


def ack(xid: int, offset: int) -> bytes:
    return bytes((ACK, xid)) + offset.to_bytes(3)


def resume(xid: int, offset: int) -> bytes:
    return bytes((RESUME, xid)) + offset.to_bytes(3)


def done(xid: int, digest: bytes) -> bytes:
    """The whole message is here; ``digest`` its SHA-256."""
    return bytes((DONE, xid, Status.OK)) + digest[:DONE_HASH_BYTES]


def refused(xid: int, status: Status, retry_after_s: int = 0) -> bytes:
    return bytes((DONE, xid, status)) + min(retry_after_s, 0xFFFF).to_bytes(2)


def link(gateway_id: str) -> bytes:
    """Between gateways: who I am."""
    return bytes((LINK, 0)) + gateway_id.encode()


def linked(value: bytes) -> str | None:
    """Whose LINK this is; None for anything else."""
    if value[:2] != bytes((LINK, 0)) or not 0 < len(value) - 2 <= MAX_GATEWAY_ID or not value.isascii():
        return None
    return value[2:].decode("ascii")


def start(message: bytes, xid: int) -> bytes:
    return bytes((START, xid)) + len(message).to_bytes(3) + content_id(message)


def data(message: bytes, xid: int, offset: int, mtu: int) -> bytes:
    """The piece from there on, as long as the link takes it well."""
    chunk = message[offset : offset + filled_size(mtu) - DATA_HEADER]
    return bytes((DATA, xid)) + offset.to_bytes(3) + chunk


def piece_size(mtu: int) -> int:
    """Bytes that one value may carry; longer ones are lost by some stacks and truncated by others."""
    return min(mtu - ATT_HEADER, MAX_VALUE)


def filled_size(mtu: int) -> int:
    """The longest value that leaves no link layer packet half empty: 495 or 244 bytes, where they fit."""
    packets, _ = divmod(piece_size(mtu) + LINK_HEADERS, LINK_PAYLOAD)
    return packets * LINK_PAYLOAD - LINK_HEADERS if packets else piece_size(mtu)


def cut(message: bytes, xid: int, mtu: int) -> Iterator[bytes]:
    """A message as pieces: one WHOLE if it fits, else START and DATA."""
    room = piece_size(mtu)
    if len(message) + WHOLE_HEADER <= room:
        yield bytes((WHOLE, xid)) + message
        return
    yield start(message, xid)
    for offset in range(0, len(message), filled_size(mtu) - DATA_HEADER):
        yield data(message, xid, offset, mtu)


def content_id(message: bytes) -> bytes:
    return hashlib.sha256(message).digest()[:CONTENT_ID_BYTES]
