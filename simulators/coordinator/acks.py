"""A log that is believed: every offer wanted, every commit acknowledged; for benchmarks of the other end."""

from __future__ import annotations

from simulators.coordinator import wire
from simulators.coordinator.authority import Authority
from simulators.coordinator.records import Origin
from simulators.textbook.cbor import Malformed
from simulators.textbook.notes import Checkpoint, NoteKey, signed_note

Array = list[object]


class TrustedLog:
    """Writes the newest checkpoint to disk before each ACK, and nothing else."""

    def __init__(self, authority: Authority, origin: Origin, key: NoteKey, _nonce: bytes) -> None:
        self._authority = authority
        self._origin = origin
        self._key = key

    def take(self, message: wire.Message) -> list[Array]:
        match message:
            case wire.Offer():
                return [[wire.WANT, message.start, wire.bits([True] * len(message.short_ids))]]
            case wire.Entries():
                return []
            case wire.Commit():
                return [self._commit(message)]
        raise Malformed(f"{type(message).__name__} has no place here")

    def _commit(self, message: wire.Commit) -> Array:
        checkpoint = Checkpoint(self._origin.name, message.size, message.root)
        note = signed_note(checkpoint, self._key, message.signature)
        cosigned = self._authority.cosign(note)
        self._authority.store.trust(self._origin, checkpoint.size, note, cosigned, self._authority.now_ms())
        return self._authority.ack(checkpoint.size, cosigned)
