"""The gateway's sync messages, docs/protocol/sync.md, read from their bytes; and the numbers of ours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import zstandard

from simulators.coordinator.records import SNAPSHOT, Entry
from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.varints import Reader

SUBPROTOCOL = "offgrid-sync.v1"
MAX_MESSAGE = 4 << 20
MAX_INFLATED = 8 << 20
MAX_ENTRIES = 256
MAX_FETCH = 256

CHALLENGE, HELLO, WELCOME, CATCHUP, FORK, REJECT = range(1, 7)
OFFER, WANT, ENTRIES, COMMIT, ACK, MISSING, NEED_HASHES, HASHES, OBJECTS = range(10, 19)
FETCH, BODIES = 20, 21
HEARTBEAT, TIME = 30, 31
EVIDENCE, NOTED, NOTICE, FOLLOW = 40, 41, 42, 43
PULL, LOG, LATER = 44, 45, 46
BRING, BROUGHT = 50, 51
ORDER, ANSWER = 60, 61
MAX_PIECE = 32 << 10
MAX_EVIDENCE = 8
MAX_PART = 24 << 10
MAX_PARTS = 32


@dataclass(frozen=True, slots=True)
class Hello:
    gateway: str
    key: bytes
    origin: str
    instance: bytes
    nonce: bytes
    checkpoint: bytes | None
    version: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Offer:
    start: int
    counts: tuple[int, ...]
    short_ids: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Entries:
    start: int
    packed: bytes

    def unpack(self, counts: Sequence[int]) -> tuple[list[Entry], list[bytes]]:
        """Entries of `counts` objects each, and the wanted objects in order; raises `Malformed`."""
        rows, radios, objects = array(inflate(self.packed), 3)
        names = [text(name, 16) for name in array(radios)]
        entries = entries_of(Reader(octets(rows)), self.start, counts, names)
        return entries, [octets(one) for one in array(objects)]


@dataclass(frozen=True, slots=True)
class Commit:
    size: int
    root: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Hashes:
    start: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Objects:
    start: int
    objects: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Fetch:
    id: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bodies:
    id: int
    bodies: tuple[bytes | None, ...]


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What the gateway tells of itself, by key; what did not change may be left out."""

    told: dict[str, object]


@dataclass(frozen=True, slots=True)
class Evidence:
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Bring:
    content_id: bytes
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Follow:
    number: int


@dataclass(frozen=True, slots=True)
class Pull:
    start: int


@dataclass(frozen=True, slots=True)
class Answer:
    """A part of what came of an order; `kind` 0: refused, in words; 1: JSON; 2: a file."""

    number: int
    kind: int
    part: int
    parts: int
    data: bytes


Message = (
    Hello
    | Offer
    | Entries
    | Commit
    | Hashes
    | Objects
    | Fetch
    | Bodies
    | Heartbeat
    | Evidence
    | Follow
    | Bring
    | Pull
    | Answer
)


def read(data: bytes) -> Message:
    """The message that `data` holds; raises `Malformed`."""
    kind, *fields = array(decode(data)) or [None]
    if type(kind) is not int or kind not in _READERS:
        raise Malformed("no message of a known type")
    length, reader = _READERS[kind]
    if len(fields) != length:
        raise Malformed(f"message {kind} has {length} fields, not {len(fields)}")
    return reader(fields)


def deflate(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(encode(value))


def inflate(data: bytes) -> object:
    """The CBOR value in one zstd frame that states its content size; raises `Malformed`."""
    try:
        size = zstandard.frame_content_size(data)
        if not 0 <= size <= MAX_INFLATED:
            raise Malformed(f"a zstd frame states its content size, at most {MAX_INFLATED}")
        plain = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Malformed(f"not zstd: {error}") from error
    return decode(plain)


def bits(wanted: list[bool]) -> bytes:
    """The bitmap, least significant bit first."""
    bitmap = bytearray((len(wanted) + 7) // 8)
    for i, bit in enumerate(wanted):
        bitmap[i // 8] |= bit << (i % 8)
    return bytes(bitmap)


def _hello(fields: list[object]) -> Hello:
    gateway, key, origin, instance, nonce, checkpoint, version, signature = fields
    return Hello(
        text(gateway, 64),
        octets(key, 32),
        text(origin, 128),
        octets(instance, 16),
        octets(nonce, 32),
        None if checkpoint is None else octets(checkpoint, most=4096),
        text(version, 64),
        octets(signature, 64),
    )


def _offer(fields: list[object]) -> Offer:
    start, counts, joined = fields
    numbers = tuple(integer(count) for count in array(counts))
    ids = tuple(_cut(octets(joined), 8))
    if not 1 <= len(numbers) <= MAX_ENTRIES or 0 in numbers or sum(numbers) != len(ids):
        raise Malformed("an offer whose counts and short ids do not agree")
    return Offer(integer(start), numbers, ids)


def _entries(fields: list[object]) -> Entries:
    return Entries(integer(fields[0]), octets(fields[1]))


def entries_of(rows: Reader, start: int, counts: Sequence[int], radios: Sequence[str]) -> list[Entry]:
    """`rows` as ENTRIES and bundles carry them; raises `Malformed`."""
    heads = [rows.varint() for _ in counts]
    times = list(accumulate([rows.signed() for _ in counts]))
    entries = []
    for leaf, head, time, count in zip(range(start, start + len(counts)), heads, times, counts, strict=True):
        radio, quality, kind = head >> 5, head >> 3 & 3, head & 7
        if radio >= len(radios) or time < 0:
            raise Malformed(f"leaf {leaf}: a radio without a name, or a time before 1970")
        difference = _difference(rows, leaf) if kind == SNAPSHOT else None
        entries.append(Entry(kind, time, quality, radios[radio], count, difference))
    if rows.more():
        raise Malformed("more rows than entries")
    return entries


def _difference(rows: Reader, leaf: int) -> tuple[int | None, bytes]:
    back = rows.varint()
    if back > leaf:
        raise Malformed(f"leaf {leaf}: a base {back} leaves before")
    return leaf - back if back else None, rows.take(rows.varint())


def _commit(fields: list[object]) -> Commit:
    return Commit(integer(fields[0]), octets(fields[1], 32), octets(fields[2], 64))


def _hashes(fields: list[object]) -> Hashes:
    return Hashes(integer(fields[0]), tuple(_cut(octets(fields[1]), 32)))


def _objects(fields: list[object]) -> Objects:
    objects = array(inflate(octets(fields[1])))
    return Objects(integer(fields[0]), tuple(octets(body) for body in objects))


def _fetch(fields: list[object]) -> Fetch:
    hashes = tuple(octets(one, 32) for one in array(fields[1]))
    if len(hashes) > MAX_FETCH:
        raise Malformed(f"a FETCH asks for at most {MAX_FETCH}")
    return Fetch(integer(fields[0]), hashes)


def _bodies(fields: list[object]) -> Bodies:
    bodies = tuple(None if one is None else octets(one) for one in array(fields[1]))
    return Bodies(integer(fields[0]), bodies)


def _heartbeat(fields: list[object]) -> Heartbeat:
    told = _map(fields[0], 64)
    return Heartbeat({key: _FACTS[key](value) for key, value in told.items() if key in _FACTS})


def _evidence(fields: list[object]) -> Evidence:
    bodies = tuple(octets(one, most=4096) for one in array(fields[0]))
    if len(bodies) > MAX_EVIDENCE:
        raise Malformed(f"at most {MAX_EVIDENCE} pieces of evidence at a time")
    return Evidence(bodies)


def _pull(fields: list[object]) -> Pull:
    return Pull(integer(fields[0]))


def _bring(fields: list[object]) -> Bring:
    return Bring(octets(fields[0], 32), integer(fields[1]), octets(fields[2], most=MAX_PIECE))


def _answer(fields: list[object]) -> Answer:
    number, kind, part, parts, data = fields
    answer = Answer(
        integer(number),
        integer(kind, 3),
        integer(part, MAX_PARTS),
        integer(parts, MAX_PARTS + 1),
        octets(data, most=MAX_PART),
    )
    if answer.part >= answer.parts:
        raise Malformed("a part beyond the last one")
    return answer


def _follow(fields: list[object]) -> Follow:
    return Follow(integer(fields[0]))


def _reasons(value: object) -> tuple[str, ...]:
    reasons = array(value)
    if len(reasons) > 64:
        raise Malformed("at most 64 reasons expected")
    return tuple(text(reason, 200) for reason in reasons)


def _map(value: object, most: int) -> dict[str, object]:
    if type(value) is not dict or len(value) > most:
        raise Malformed(f"a map of at most {most} keys expected")
    return {text(key, 64): item for key, item in value.items()}


_FACTS: dict[str, Callable[[object], object]] = {
    "health": lambda value: integer(value, 101),
    "reasons": _reasons,
    "version": lambda value: text(value, 64),
    "backlog": integer,
    "oldest_s": integer,
    "size": integer,
    "radios": lambda value: {name: text(state, 64) for name, state in _map(value, 32).items()},
    "quality": lambda value: integer(value, 4),
    "time": integer,
    "rx_bytes": integer,
    "tx_bytes": integer,
}


def _cut(joined: bytes, length: int) -> list[bytes]:
    if len(joined) % length:
        raise Malformed(f"a multiple of {length} bytes expected")
    return [joined[at : at + length] for at in range(0, len(joined), length)]


_READERS: dict[int, tuple[int, Callable[[list[object]], Message]]] = {
    HELLO: (8, _hello),
    OFFER: (3, _offer),
    ENTRIES: (2, _entries),
    COMMIT: (3, _commit),
    HASHES: (2, _hashes),
    OBJECTS: (2, _objects),
    FETCH: (2, _fetch),
    BODIES: (2, _bodies),
    HEARTBEAT: (1, _heartbeat),
    EVIDENCE: (1, _evidence),
    FOLLOW: (1, _follow),
    BRING: (3, _bring),
    PULL: (1, _pull),
    ANSWER: (5, _answer),
}
