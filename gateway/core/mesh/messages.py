"""What two gateways say to each other over a link, whatever carries it; docs/protocol/mesh.md."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_uint

NOWHERE = 16
"""No backhaul is known within this many gateways."""
MAX_LINES = 256
ID_BYTES = 8
PIECE_BYTES = 16 << 10
MAX_MESSAGE_BYTES = PIECE_BYTES + 128
_MAX_NOTE_BYTES = 8 << 10


@dataclass(frozen=True, slots=True)
class Line:
    """A bundle held: the first 8 bytes of its content id, its length, how many gateways it came through."""

    id: bytes
    length: int
    hops: int


@dataclass(frozen=True, slots=True)
class AckLine:
    """How far a log is known to be cosigned."""

    id: bytes
    size: int


@dataclass(frozen=True, slots=True)
class Have:
    """All that the speaker holds, and how many gateways away it knows a backhaul (0: its own)."""

    way: int
    bundles: tuple[Line, ...]
    acks: tuple[AckLine, ...]

    def to_bytes(self) -> bytes:
        bundles = [[line.id, line.length, line.hops] for line in self.bundles]
        return cbor.encode([1, self.way, bundles, [[line.id, line.size] for line in self.acks]])


@dataclass(frozen=True, slots=True)
class Want:
    """Bytes of that bundle from ``offset``."""

    id: bytes
    offset: int

    def to_bytes(self) -> bytes:
        return cbor.encode([2, self.id, self.offset])


@dataclass(frozen=True, slots=True)
class Piece:
    content_id: bytes
    offset: int
    data: bytes

    def to_bytes(self) -> bytes:
        return cbor.encode([3, self.content_id, self.offset, self.data])


@dataclass(frozen=True, slots=True)
class AckMessage:
    """A cosigned checkpoint of the log that ``key`` signs."""

    key: bytes
    note: bytes

    def to_bytes(self) -> bytes:
        return cbor.encode([4, self.key, self.note])


Message = Have | Want | Piece | AckMessage


def ack_id(key: bytes, origin: str) -> bytes:
    """Stands for a log in AckLine."""
    return sha256(key + origin.encode()).digest()[:ID_BYTES]


def parse(data: bytes) -> Message:
    """Raises CborError for anything else."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise CborError(f"a message of {len(data)} bytes, at most {MAX_MESSAGE_BYTES}")
    match as_array(cbor.decode(data)):
        case [1, way, bundles, acks]:
            return Have(as_uint(way, NOWHERE + 1), _lines(bundles), _ack_lines(acks))
        case [2, id_, offset]:
            return Want(as_bytes(id_, ID_BYTES), as_uint(offset))
        case [3, content_id, offset, piece]:
            return Piece(as_bytes(content_id, 32), as_uint(offset), as_bytes(piece, limit=PIECE_BYTES))
        case [4, key, note]:
            return AckMessage(as_bytes(key, 32), as_bytes(note, limit=_MAX_NOTE_BYTES))
    raise CborError("not a message of the mesh")


def _lines(value: object) -> tuple[Line, ...]:
    lines = [as_array(one, 3) for one in _some(value)]
    return tuple(
        Line(as_bytes(id_, ID_BYTES), as_uint(length), as_uint(hops, 256)) for id_, length, hops in lines
    )


def _ack_lines(value: object) -> tuple[AckLine, ...]:
    lines = [as_array(one, 2) for one in _some(value)]
    return tuple(AckLine(as_bytes(id_, ID_BYTES), as_uint(size)) for id_, size in lines)


def _some(value: object) -> list[object]:
    lines = as_array(value)
    if len(lines) > MAX_LINES:
        raise CborError(f"at most {MAX_LINES} lines expected")
    return lines
