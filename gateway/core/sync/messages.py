"""The link's wire messages, one frozen dataclass each; docs/protocol/sync.md.

A message is one deterministic CBOR array, first its type, then the fields in the order in which they are
declared here. Each field names its reader, which bounds it; ``parse`` refuses all else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, Self

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.evidence import MAX_EVIDENCE_BYTES
from gateway.core.notice import Notice
from gateway.core.remote import MAX_PART_BYTES as MAX_ANSWER_PART
from gateway.core.remote import MAX_PARTS, Order

MAX_MESSAGE_BYTES = 4 << 20
MAX_HEARD_BYTES = 32 << 10
"""What a coordinator says is shorter: a FORK of two notes, the bitmap of a batch. Whoever is on the line
speaks before anything is proved, and 4 MiB of hostile CBOR keep the event loop busy for seconds."""
MAX_BATCH_ENTRIES = 256
MAX_BATCH_BYTES = 1 << 20
MAX_FETCH = 256
MAX_ENTRY_BYTES = 7 << 19
"""What one entry may bring, its new objects and its list difference together: 3.5 MiB. The most that ENTRIES
carries even if nothing of it can be compressed; whoever logs more can never sync it."""
MAX_ENTRY_OBJECTS = 1 << 16
"""New objects of one entry: twice as many hashes still fit one HASHES."""

SHORT_ID_BYTES = 8
HASH_BYTES = 32

_MAX_NOTE_BYTES = 8 << 10  # two signatures and an origin are 400 bytes; a cosigner may be post-quantum
_MAX_OBJECTS = MAX_MESSAGE_BYTES // HASH_BYTES  # HASHES must fit one message
_MAX_KEYS = 32
_MAX_TEXT = 200

Reader = Callable[[object], Any]


def _wire(read: Reader) -> Any:
    return field(metadata={"read": read})


def _octets(length: int) -> Any:
    return _wire(lambda value: as_bytes(value, length))


def _octets_or_none(length: int) -> Any:
    return _wire(lambda value: None if value is None else as_bytes(value, length))


def _octets_to(limit: int) -> Any:
    return _wire(lambda value: as_bytes(value, limit=limit))


def _text(limit: int = _MAX_TEXT) -> Any:
    return _wire(lambda value: as_text(value, limit))


def _uint(limit: int = cbor.MAX_UINT) -> Any:
    return _wire(lambda value: as_uint(value, limit))


def _note(*, nullable: bool = False) -> Any:
    def read(value: object) -> bytes | None:
        return None if nullable and value is None else as_bytes(value, limit=_MAX_NOTE_BYTES)

    return _wire(read)


def _tuple_of(read: Reader, most: int) -> Any:
    def read_all(value: object) -> tuple[Any, ...]:
        items = as_array(value)
        if len(items) > most:
            raise CborError(f"array of at most {most} expected, {len(items)} seen")
        return tuple(map(read, items))

    return _wire(read_all)


def _body(value: object) -> bytes | None:
    return None if value is None else as_bytes(value)


def _facts(value: object) -> Mapping[str, object]:
    if type(value) is not dict or len(value) > _MAX_KEYS:
        raise CborError(f"map of at most {_MAX_KEYS} keys expected")
    return {as_text(key, _MAX_TEXT): fact for key, fact in value.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all; ``TYPE`` is the array's first element."""

    TYPE: ClassVar[int]

    def to_bytes(self) -> bytes:
        return cbor.encode([self.TYPE, *(getattr(self, item.name) for item in fields(self))])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Raises :class:`gateway.core.cbor.CborError` unless ``data`` is exactly one such message."""
        message = parse(data)
        if not isinstance(message, cls):
            raise CborError(f"a message of type {cls.TYPE} expected, {message.TYPE} seen")
        return message


@dataclass(frozen=True, slots=True)
class Challenge(Message):
    TYPE: ClassVar[int] = 1
    nonce: bytes = _octets(32)
    coordinator_key: bytes = _octets(32)
    cosigner: str = _text()
    unix_ms: int = _uint()


@dataclass(frozen=True, slots=True)
class Hello(Message):
    TYPE: ClassVar[int] = 2
    gateway_id: str = _text()
    key: bytes = _octets(32)
    origin: str = _text()
    instance: bytes = _octets(16)
    nonce: bytes = _octets(32)
    checkpoint: bytes | None = _note(nullable=True)
    version: str = _text()
    signature: bytes = _octets(64)


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    TYPE: ClassVar[int] = 3
    next: int = _uint()
    checkpoint: bytes | None = _note(nullable=True)
    unix_ms: int = _uint()
    signature: bytes = _octets(64)


@dataclass(frozen=True, slots=True)
class Catchup(Message):
    TYPE: ClassVar[int] = 4
    size: int = _uint()
    checkpoint: bytes = _note()
    unix_ms: int = _uint()
    signature: bytes = _octets(64)


@dataclass(frozen=True, slots=True)
class Fork(Message):
    """``first`` is of ``size``, ``second`` of that or more; ``root`` is the coordinator's at ``size``."""

    TYPE: ClassVar[int] = 5
    first: bytes = _note()
    second: bytes = _note()
    size: int = _uint()
    root: bytes = _octets(32)


@dataclass(frozen=True, slots=True)
class Reject(Message):
    """``signature`` is there after a HELLO that verified; a code of ``PROVEN`` counts for nothing without."""

    TYPE: ClassVar[int] = 6
    CODES: ClassVar[frozenset[str]] = frozenset(
        {"not_registered", "bad_signature", "replaced", "clone", "quarantined", "busy", "protocol"}
    )
    PROVEN: ClassVar[frozenset[str]] = frozenset({"clone", "quarantined"})
    code: str = _text(32)
    text: str = _text()
    signature: bytes | None = _octets_or_none(64)


@dataclass(frozen=True, slots=True)
class Offer(Message):
    TYPE: ClassVar[int] = 10
    start: int = _uint()
    counts: tuple[int, ...] = _tuple_of(as_uint, MAX_BATCH_ENTRIES)
    short_ids: bytes = _octets_to(_MAX_OBJECTS * SHORT_ID_BYTES)


@dataclass(frozen=True, slots=True)
class Want(Message):
    TYPE: ClassVar[int] = 11
    start: int = _uint()
    bitmap: bytes = _octets_to(_MAX_OBJECTS // 8)


@dataclass(frozen=True, slots=True)
class Entries(Message):
    """``packed`` is what :func:`gateway.core.sync.batch.pack` makes."""

    TYPE: ClassVar[int] = 12
    start: int = _uint()
    packed: bytes = _octets_to(MAX_MESSAGE_BYTES)


@dataclass(frozen=True, slots=True)
class Commit(Message):
    """A checkpoint without what both ends know: ``signature`` is the gateway's over the note's text."""

    TYPE: ClassVar[int] = 13
    size: int = _uint()
    root: bytes = _octets(32)
    signature: bytes = _octets(64)


@dataclass(frozen=True, slots=True)
class Ack(Message):
    """The cosignature/v1 on the COMMIT's checkpoint; its time in seconds since 1970."""

    TYPE: ClassVar[int] = 14
    size: int = _uint()
    unix_s: int = _uint()
    cosignature: bytes = _octets(64)


@dataclass(frozen=True, slots=True)
class Missing(Message):
    TYPE: ClassVar[int] = 15
    start: int = _uint()
    bitmap: bytes = _octets_to(_MAX_OBJECTS // 8)


@dataclass(frozen=True, slots=True)
class NeedHashes(Message):
    TYPE: ClassVar[int] = 16
    start: int = _uint()


@dataclass(frozen=True, slots=True)
class Hashes(Message):
    TYPE: ClassVar[int] = 17
    start: int = _uint()
    hashes: bytes = _octets_to(_MAX_OBJECTS * HASH_BYTES)


@dataclass(frozen=True, slots=True)
class Objects(Message):
    TYPE: ClassVar[int] = 18
    start: int = _uint()
    packed: bytes = _octets_to(MAX_MESSAGE_BYTES)


@dataclass(frozen=True, slots=True)
class Fetch(Message):
    TYPE: ClassVar[int] = 20
    id: int = _uint()
    hashes: tuple[bytes, ...] = _tuple_of(lambda value: as_bytes(value, HASH_BYTES), MAX_FETCH)


@dataclass(frozen=True, slots=True)
class Bodies(Message):
    TYPE: ClassVar[int] = 21
    id: int = _uint()
    bodies: tuple[bytes | None, ...] = _tuple_of(_body, MAX_FETCH)


MAX_REASONS = 64
MAX_REASON_BYTES = 200


def told_reasons(reasons: Sequence[str]) -> list[str]:
    """Health's reasons as HEARTBEAT has room for them: the heaviest 64, each cut to 200 bytes of UTF-8.

    A path or an error in a reason may be of any length; a message out of bounds would end every link.
    """
    return [reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore") for reason in reasons[:MAX_REASONS]]


@dataclass(frozen=True, slots=True)
class Heartbeat(Message):
    """What changed since the last one of this link; the first names every key."""

    TYPE: ClassVar[int] = 30
    facts: Mapping[str, object] = _wire(_facts)


@dataclass(frozen=True, slots=True)
class Time(Message):
    TYPE: ClassVar[int] = 31
    unix_ms: int = _uint()


MAX_EVIDENCE = 8
"""Evidence objects in one message: 4 kB each at most."""


@dataclass(frozen=True, slots=True)
class Evidence(Message):
    """Objects of kind 4; ahead of whatever waits."""

    TYPE: ClassVar[int] = 40
    bodies: tuple[bytes, ...] = _tuple_of(
        lambda value: as_bytes(value, limit=MAX_EVIDENCE_BYTES), MAX_EVIDENCE
    )


@dataclass(frozen=True, slots=True)
class Noted(Message):
    """Hashes of the evidence that the coordinator has."""

    TYPE: ClassVar[int] = 41
    hashes: tuple[bytes, ...] = _tuple_of(lambda value: as_bytes(value, HASH_BYTES), MAX_EVIDENCE)


@dataclass(frozen=True, slots=True)
class Noticed(Message):
    TYPE: ClassVar[int] = 42
    notice: Notice = field(metadata={"read": Notice.of})

    def to_bytes(self) -> bytes:
        notice = self.notice
        fields = [notice.number, notice.kind, notice.unix_ms, notice.body, notice.signature]
        return cbor.encode([self.TYPE, fields])


@dataclass(frozen=True, slots=True)
class Follow(Message):
    """The newest notice that the gateway has on disk; 0: none."""

    TYPE: ClassVar[int] = 43
    number: int = _uint()


@dataclass(frozen=True, slots=True)
class Pull(Message):
    """Asks for our own log from ``start``, up to the checkpoint of CATCHUP."""

    TYPE: ClassVar[int] = 44
    start: int = _uint()


MAX_PART_BYTES = 24 << 10


@dataclass(frozen=True, slots=True)
class LogPart(Message):
    """Part ``part`` (from 0) of ``parts`` that answer the PULL from ``start``."""

    TYPE: ClassVar[int] = 45
    start: int = _uint()
    part: int = _uint()
    parts: int = _uint()
    data: bytes = _octets_to(MAX_PART_BYTES)


@dataclass(frozen=True, slots=True)
class Later(Message):
    """The coordinator holds a later epoch of this gateway: its newest checkpoint there, cosigned."""

    TYPE: ClassVar[int] = 46
    origin: str = _text()
    checkpoint: bytes = _note()


MAX_PIECE_BYTES = 32 << 10


@dataclass(frozen=True, slots=True)
class Bring(Message):
    """Bytes of a bundle of another gateway at ``offset``; none at 0 asks how far it got."""

    TYPE: ClassVar[int] = 50
    content_id: bytes = _octets(HASH_BYTES)
    offset: int = _uint()
    data: bytes = _octets_to(MAX_PIECE_BYTES)


@dataclass(frozen=True, slots=True)
class Brought(Message):
    """``have``: go on from there. ``ack``: it is there; ``refusal``: it is not taken, one word."""

    TYPE: ClassVar[int] = 51
    content_id: bytes = _octets(HASH_BYTES)
    have: int = _uint()
    ack: bytes | None = _note(nullable=True)
    refusal: str | None = _wire(lambda value: None if value is None else as_text(value, 32))


@dataclass(frozen=True, slots=True)
class Ordered(Message):
    """The coordinator wants something done; docs/protocol/remote.md."""

    TYPE: ClassVar[int] = 60
    order: Order = field(metadata={"read": Order.of})

    def to_bytes(self) -> bytes:
        return cbor.encode([self.TYPE, self.order.fields()])


@dataclass(frozen=True, slots=True)
class Answer(Message):
    """Part ``part`` of ``parts`` of what came of order ``number``."""

    TYPE: ClassVar[int] = 61
    number: int = _uint()
    kind: int = _uint(3)
    part: int = _uint(MAX_PARTS)
    parts: int = _uint(MAX_PARTS + 1)
    data: bytes = _octets_to(MAX_ANSWER_PART)


_KINDS: tuple[type[Message], ...] = (
    *(Challenge, Hello, Welcome, Catchup, Fork, Reject),
    *(Offer, Want, Entries, Commit, Ack, Missing, NeedHashes, Hashes, Objects),
    *(Fetch, Bodies, Heartbeat, Time, Evidence, Noted, Noticed, Follow),
    *(Pull, LogPart, Later),
    *(Bring, Brought),
    *(Ordered, Answer),
)
_CLASSES = {cls.TYPE: cls for cls in _KINDS}
_READERS: Mapping[type[Message], tuple[Reader, ...]] = {
    cls: tuple(item.metadata["read"] for item in fields(cls)) for cls in _CLASSES.values()
}


def parse(data: bytes) -> Message:
    """The one message these bytes are; raises :class:`gateway.core.cbor.CborError` for anything else."""
    if len(data) > MAX_MESSAGE_BYTES:
        raise CborError(f"a message of {len(data)} bytes, at most {MAX_MESSAGE_BYTES}")
    kind, *values = as_array(cbor.decode(data)) or [None]
    cls = _CLASSES.get(as_uint(kind))
    if cls is None:
        raise CborError(f"message type {kind} is not known")
    readers = _READERS[cls]
    if len(values) != len(readers):
        raise CborError(f"{cls.__name__}: {len(readers)} fields expected, {len(values)} seen")
    return cls(*(read(value) for read, value in zip(readers, values, strict=True)))
