"""The coordinator's end of one session, message by message, in the textbook's formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from nacl.signing import SigningKey

from gateway.core.merkle import Frontier
from gateway.core.pin import CoordinatorKey
from gateway.core.sync import Event, Local, ReadBatch, ReadBodies, ReadRoots, Send, Session, Standing
from gateway.model import Batch, EntryKind, ListDifference, LoggedEntry, LoggedObject
from simulators.textbook import notes, signing

GATEWAY = SigningKey(sha256(b"gateway").digest())
COORDINATOR = SigningKey(sha256(b"coordinator").digest())
STRANGER = SigningKey(sha256(b"stranger").digest())
COSIGNER = "coordinator.test"
ORIGIN = "offgrid/gw-1/1"
NONCE_C, NONCE_G, INSTANCE = b"C" * 32, b"G" * 32, b"I" * 16
NOW_MS = 1_760_000_000_000


def local(pinned_name: str | None = COSIGNER) -> Local:
    return Local(
        gateway_id="gw-1",
        key=bytes(GATEWAY.verify_key),
        sign=lambda message: GATEWAY.sign(message).signature,
        coordinator=CoordinatorKey(bytes(COORDINATOR.verify_key), pinned_name),
        instance=INSTANCE,
        version="1.2.3",
    )


def logged(index: int, objects: int = 2, salt: str = "") -> LoggedEntry:
    bodies = [cbor2.dumps([6, f"{salt}{index}.{i}", "sig" * 20]) for i in range(objects)]
    return LoggedEntry(
        index=index,
        kind=EntryKind.SNAPSHOT,
        objects_root=sha256(f"{salt}{index}".encode()).digest(),
        received_at_ms=NOW_MS + index,
        quality=2,
        radio="lora",
        list=ListDifference(None, b"\x01\x02"),
        objects=tuple(LoggedObject(sha256(b"\x02" + body).digest(), body) for body in bodies),
    )


@dataclass
class MemoryLog:
    """A log in memory: what the store answers to the session's wants."""

    entries: list[LoggedEntry] = field(default_factory=list)
    signed: bytes | None = None
    signed_size: int = 0
    acked: int = 0

    @classmethod
    def of(cls, size: int, salt: str = "") -> MemoryLog:
        return cls([logged(i, salt=salt) for i in range(size)])

    def root(self, size: int) -> bytes:
        leaves = (sha256(b"\x00" + entry.objects_root).digest() for entry in self.entries[:size])
        return Frontier().extend(leaves).root()

    def sign(self, size: int) -> bytes:
        self.signed = notes.sign_checkpoint(notes.Checkpoint(ORIGIN, size, self.root(size)), GATEWAY)
        self.signed_size = size
        return self.signed

    def standing(self) -> Standing:
        return Standing(
            origin=ORIGIN,
            size=len(self.entries),
            signed_size=self.signed_size,
            signed_note=self.signed,
            acked_size=self.acked,
        )

    def session(self, pinned_name: str | None = COSIGNER, /, **limits: int) -> Session:
        return Session(local(pinned_name), self.standing(), nonce=NONCE_G, **limits)

    def drive(self, session: Session, events: list[Event]) -> list[Event]:
        """Answers every want, as the link does; what remains is for the test to look at."""
        seen: list[Event] = []
        queue = list(events)
        while queue:
            match event := queue.pop(0):
                case ReadRoots(sizes):
                    held = {n: self.root(n) if n <= len(self.entries) else None for n in sizes}
                    queue = session.roots(held) + queue
                case ReadBatch(start, most, _):
                    batch = Batch(start, tuple(self.entries[start : start + most]))
                    queue += session.batch(batch, self.root(batch.end))
                case ReadBodies(request, hashes):
                    held_bodies = {item.hash: item.body for entry in self.entries for item in entry.objects}
                    queue += session.bodies(request, tuple(map(held_bodies.get, hashes)))
                case _:
                    seen.append(event)
        return seen

    def hear(self, session: Session, data: bytes) -> list[Event]:
        return self.drive(session, session.receive(data))

    def opened(self, at: int = 0, **limits: int) -> tuple[Session, list[Event]]:
        session = self.session(**limits)
        self.hear(session, challenge())
        return session, self.hear(session, welcome(at, self.cosigned(at) if at else None))

    def cosigned(self, size: int) -> bytes:
        return cosigned(self.root(size), size)


def message(*array: object) -> bytes:
    return cbor2.dumps(list(array), canonical=True)


def sent(events: list[Event]) -> list[list[Any]]:
    return [cbor2.loads(event.data) for event in events if isinstance(event, Send)]


def challenge(key: SigningKey = COORDINATOR, name: str = COSIGNER) -> bytes:
    return message(1, NONCE_C, bytes(key.verify_key), name, NOW_MS)


def link_signature(
    *said: object, key: SigningKey = COORDINATOR, nonce: bytes = NONCE_G, name: str | None = COSIGNER
) -> bytes:
    bound = [NONCE_C, nonce, ORIGIN, bytes(GATEWAY.verify_key), INSTANCE, *said]
    bound += [] if name is None else [name]
    return signing.sign(key, signing.labelled(signing.LINK_COORDINATOR, cbor2.dumps(bound, canonical=True)))


def welcome(size: int, note: bytes | None, **forged: object) -> bytes:
    return message(3, size, note, NOW_MS, link_signature(size, NOW_MS, **forged))  # type: ignore[arg-type]


def catchup(size: int, note: bytes) -> bytes:
    return message(4, size, note, NOW_MS, link_signature(size, NOW_MS))


def reject(code: str, text: str, **forged: object) -> bytes:
    return message(6, code, text, link_signature(code, text, name=None, **forged))  # type: ignore[arg-type]


def ack(note: bytes, size: int | None = None) -> bytes:
    """ACK of this cosigned checkpoint; of another ``size`` where that is asked."""
    head, (*_, (_, _, line)) = notes.parse(note)
    return message(14, head.size if size is None else size, int.from_bytes(line[:8], "big"), line[8:])


def signed_note(root: bytes, size: int, origin: str = ORIGIN, key: SigningKey = GATEWAY) -> bytes:
    return notes.sign_checkpoint(notes.Checkpoint(origin, size, root), key)


def cosigned(root: bytes, size: int, *, by: SigningKey = COORDINATOR, signer: SigningKey = GATEWAY) -> bytes:
    return notes.cosign(signed_note(root, size, key=signer), COSIGNER, by, NOW_MS // 1000)
