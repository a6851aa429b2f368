"""Bundles, docs/protocol/bundle.md: a gateway's log by any way that is not its link, and the ack for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import BinaryIO

from simulators.coordinator import wire
from simulators.coordinator.authority import Authority
from simulators.coordinator.heads import compare
from simulators.coordinator.log import Forked, VerifiedLog
from simulators.coordinator.records import Entry, Origin
from simulators.coordinator.shortening import completed, is_short
from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.notes import Checkpoint, NoteKey, signed_note, verified
from simulators.textbook.objects import object_hash, parse_object
from simulators.textbook.signing import BUNDLE, labelled, verifies
from simulators.textbook.varints import Reader

MAGIC = b"OGBUNDLE"
MAX_HEAD = 1 << 20
MAX_CHUNK = 4 << 20


class Refused(Exception):
    """The bundle is not taken; `code` is one of BROUGHT's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Head:
    gateway: str
    key: bytes
    origin: str
    start: int
    size: int
    checkpoint: bytes
    evidence: tuple[bytes, ...]
    chunks: tuple[tuple[int, int, bytes], ...]
    """Entries, length and hash of each."""
    raw: bytes

    @property
    def content_id(self) -> bytes:
        return sha256(self.raw).digest()

    @property
    def length(self) -> int:
        return len(self.raw) + sum(length for _, length, _ in self.chunks)


def take(authority: Authority, file: BinaryIO) -> bytes:
    """Applies a whole bundle; returns the ack. Raises `Refused`; nothing is applied of one that is torn."""
    try:
        head = read_head(file)
        _check_whole(head, file)
        return _apply(authority, head, file)
    except Malformed as error:
        raise Refused("invalid", str(error)) from error
    except Forked as forked:
        raise Refused("fork", "a checkpoint in it contradicts what is held; the evidence is kept") from forked


def require_timely(authority: Authority, head: Head) -> None:
    """Raises `Refused` for what would be refused by its head alone."""
    origin = _origin(authority, head)
    if head.start > origin.range.size:
        raise Refused("early", f"it starts at leaf {head.start}, next is {origin.range.size}")


def acked_already(authority: Authority, head: Head) -> bytes | None:
    """The ack for a bundle all of which is held."""
    origin = _origin(authority, head)
    return origin.cosigned if origin.range.size >= head.size else None


def read_head(file: BinaryIO) -> Head:
    """From the beginning of the file; raises `Malformed`."""
    prefix = file.read(12)
    length = int.from_bytes(prefix[8:], "big")
    if len(prefix) < 12 or prefix[:8] != MAGIC or length > MAX_HEAD:
        raise Malformed("not a bundle")
    body = file.read(length)
    if len(body) < length:
        raise Malformed(f"the file ends at byte {12 + len(body)}, within its head")
    fields = array(decode(body), 14)
    version, gateway, key, origin, start, size, _, checkpoint, _, _, _, evidence, chunks, signature = fields
    if integer(version) != 1:
        raise Malformed("a bundle of another version")
    if not verifies(octets(key, 32), labelled(BUNDLE, encode(fields[:-1])), octets(signature, 64)):
        raise Malformed("the head's signature does not verify")
    return Head(
        text(gateway, 20),
        octets(key, 32),
        text(origin, 64),
        integer(start),
        integer(size),
        octets(checkpoint, most=8192),
        tuple(octets(one, most=4096) for one in array(evidence)),
        tuple(_mark(one) for one in array(chunks)),
        prefix + body,
    )


def _mark(value: object) -> tuple[int, int, bytes]:
    entries, length, hash_ = array(value, 3)
    return integer(entries, 257), integer(length, MAX_CHUNK + 1), octets(hash_, 32)


def _check_whole(head: Head, file: BinaryIO) -> None:
    """Every chunk by its hash, before anything is applied."""
    for number, (_, length, hash_) in enumerate(head.chunks, 1):
        at = file.tell()
        data = file.read(length)
        if len(data) < length:
            raise Malformed(f"chunk {number}: torn at byte {at + len(data)}")
        if sha256(data).digest() != hash_:
            raise Malformed(f"chunk {number}, bytes {at} to {at + length}: edited or damaged")
    if file.read(1):
        raise Malformed(f"the file goes on after byte {head.length}")


def _origin(authority: Authority, head: Head) -> Origin:
    gateway = authority.store.gateway(head.gateway)
    if gateway is None or gateway.key != head.key:
        raise Refused("not_registered", f"this key is not registered for {head.gateway!r}")
    if gateway.quarantined:
        raise Refused("quarantined", gateway.quarantined)
    if not head.origin.startswith(f"offgrid/{gateway.id}/"):
        raise Refused("invalid", f"{head.origin!r} is no log of {gateway.id!r}")
    origin = authority.store.origin(head.origin, gateway.id)
    if origin.fork:
        raise Refused("fork", "this log has forked; a person must lift it")
    return origin


def _apply(authority: Authority, head: Head, file: BinaryIO) -> bytes:
    require_timely(authority, head)
    origin = _origin(authority, head)
    key = NoteKey(head.origin, head.key)
    if verified(head.checkpoint, key).size != head.size or head.start + _entries(head) != head.size:
        raise Malformed("the checkpoint is of another size than the entries reach")
    _compare(authority, origin, head)
    authority.court.brought(head.evidence)
    if origin.range.size < head.size:
        log = VerifiedLog(authority, origin, key, b"")
        for entries, objects, note in _chunks(head, key, file, origin.range.size):
            log.absorb(entries, objects, note)
        _close_link(authority, head.gateway)
    cosigned = authority.store.origin(head.origin, head.gateway).cosigned
    if cosigned is None:
        raise Malformed("nothing of this log is held")
    return cosigned


def _entries(head: Head) -> int:
    return sum(entries for entries, _, _ in head.chunks)


def _compare(authority: Authority, origin: Origin, head: Head) -> None:
    checkpoint = verified(head.checkpoint, NoteKey(head.origin, head.key))
    fork = compare(authority, origin, head.key, checkpoint, head.checkpoint)
    if fork is not None:
        authority.store.keep_fork(origin, fork, authority.now_ms(), bars=True)
        raise Forked(fork)


def _close_link(authority: Authority, gateway: str) -> None:
    """What its session knows of the log is old; the next WELCOME says where to go on."""
    session = authority.live.get(gateway)
    if session is not None:
        session.expel("busy", "entries of this log came as a bundle; open again")


Batch = tuple[list[Entry], list[tuple[bytes, bytes | None]], bytes]
"""Entries, hash and body of each object, and the note of the checkpoint after them."""


def _chunks(head: Head, key: NoteKey, file: BinaryIO, have: int) -> Iterator[Batch]:
    """What goes beyond `have` leaves, chunk by chunk."""
    file.seek(len(head.raw))
    start = head.start
    for count, length, _ in head.chunks:
        data = file.read(length)
        if start + count > have:
            entries, objects, root, signature = unpack(data, start)
            if len(entries) != count:
                raise Malformed("a chunk of another number of entries than the head states")
            checkpoint = Checkpoint(head.origin, start + count, root)
            skipped = max(0, have - start)
            passed = sum(one.count for one in entries[:skipped])
            yield entries[skipped:], objects[passed:], signed_note(checkpoint, key, signature)
        start += count


def unpack(data: bytes, start: int) -> tuple[list[Entry], list[tuple[bytes, bytes | None]], bytes, bytes]:
    """Entries, hash and body of each object, root and signature of a chunk; raises `Malformed`."""
    counts, rows, radios, bodies, pruned, root, signature = array(wire.inflate(data), 7)
    numbers = [integer(one) for one in array(counts)]
    names = [text(name, 16) for name in array(radios)]
    entries = wire.entries_of(Reader(octets(rows)), start, numbers, names)
    objects = _objects(array(bodies), octets(pruned))
    if len(objects) != sum(numbers):
        raise Malformed("another number of objects than the entries count")
    return entries, objects, octets(root, 32), octets(signature, 64)


def _objects(bodies: list[object], pruned: bytes) -> list[tuple[bytes, bytes | None]]:
    gone = iter([pruned[at : at + 32] for at in range(0, len(pruned), 32)])
    objects: list[tuple[bytes, bytes | None]] = []
    before: bytes | None = None
    for sent in bodies:
        if sent is None:
            before = None
            objects.append((octets(next(gone, b""), 32), None))
            continue
        body = octets(sent)
        if is_short(body):
            if before is None:
                raise Malformed("a receipt without an identity, and no transaction before it")
            body = completed(body, parse_object(before))
        before = body
        objects.append((object_hash(body), body))
    if next(gone, None) is not None:
        raise Malformed("more hashes than bodies that are gone")
    return objects
