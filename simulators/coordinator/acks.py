"""A log that is believed: every offer wanted, every commit acknowledged; for benchmarks of the other end."""

from __future__ import annotations

from simulators.coordinator import wire
from simulators.coordinator.authority import Authority
from simulators.coordinator.records import Origin
from simulators.textbook.cbor import Malformed
from simulators.textbook.notes import NoteKey, parse

Array = list[object]


class TrustedLog:
    """Writes the newest checkpoint to disk before each ACK, and nothing else."""

    def __init__(self, authority: Authority, origin: Origin, _key: NoteKey, _nonce: bytes) -> None:
        self._authority = authority
        self._origin = origin

    def take(self, message: wire.Message) -> list[Array]:
        match message:
            case wire.Offer():
                return [[wire.WANT, message.start, wire.bits([True] * len(message.short_ids))]]
            case wire.Entries():
                return []
            case wire.Commit():
                return [self._commit(message.checkpoint)]
        raise Malformed(f"{type(message).__name__} has no place here")

    def _commit(self, note: bytes) -> Array:
        checkpoint, _ = parse(note)
        cosigned = self._authority.cosign(note)
        self._authority.store.trust(self._origin, checkpoint.size, note, cosigned, self._authority.now_ms())
        return [wire.ACK, checkpoint.size, cosigned]
