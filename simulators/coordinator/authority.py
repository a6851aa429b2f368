"""What all sessions share: the store, the coordinator's key, who is connected, what gateways told."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from nacl.signing import SigningKey

from simulators.coordinator import wire
from simulators.coordinator.court import Court
from simulators.coordinator.faults import Faults
from simulators.coordinator.orders import Orders
from simulators.coordinator.shortids import ShortIds
from simulators.coordinator.store import Store
from simulators.textbook.cbor import encode
from simulators.textbook.notes import COSIGNATURE, NoteKey, cosign, signature_of
from simulators.textbook.signing import LINK_COORDINATOR, labelled, sign

if TYPE_CHECKING:
    from simulators.coordinator.session import Session


@dataclass(slots=True)
class Told:
    """A gateway as it was last heard; `facts` from its heartbeats, bytes as counted here."""

    last_seen_ms: int
    facts: dict[str, object] = field(default_factory=dict)
    received_bytes: int = 0
    sent_bytes: int = 0
    sessions: int = 0
    texts: int = 0


class Authority:
    """Used on the coordinator's one working thread only."""

    def __init__(
        self,
        store: Store,
        key: SigningKey,
        name: str,
        faults: Faults,
        now_ms: Callable[[], int],
        *,
        verify: bool = True,
        decides: bool = False,
    ) -> None:
        self.store = store
        self.key = key
        self.name = name
        self.faults = faults
        self.now_ms = now_ms
        self.verify = verify
        self.short_ids = ShortIds(store)
        self.live: dict[str, Session] = {}
        self.told: dict[str, Told] = {one.id: Told(one.last_seen) for one in store.gateways()}
        self.court = Court(store, key, lambda: self.now_ms(), decides=decides)
        self.court.on_notice = self._tell
        self.unfinished: OrderedDict[bytes, bytearray] = OrderedDict()
        """Bundles by content id, as far as they came over links; the depot's."""
        self.orders = Orders(key)
        self.breaches = 0
        self.on_change: Callable[[], None] = lambda: None

    @property
    def public_key(self) -> bytes:
        return bytes(self.key.verify_key)

    @property
    def note_key(self) -> NoteKey:
        return NoteKey(self.name, self.public_key, COSIGNATURE)

    def cosign(self, note: bytes) -> bytes:
        return cosign(note, self.name, self.key, self.now_ms() // 1000)

    def ack(self, size: int, cosigned: bytes) -> list[object]:
        """ACK: our line of the note, which the gateway completes."""
        line = signature_of(cosigned, self.note_key)
        return [wire.ACK, size, int.from_bytes(line[:8], "big"), line[8:]]

    def sign_link(self, *fields: object) -> bytes:
        return sign(self.key, labelled(LINK_COORDINATOR, encode(list(fields))))

    def heard(self, gateway: str) -> Told:
        told = self.told.setdefault(gateway, Told(0))
        told.last_seen_ms = self.now_ms()
        return told

    def enter(self, gateway: str, session: Session) -> None:
        """The newest session of a gateway is its only one."""
        older = self.live.get(gateway)
        self.live[gateway] = session
        self.heard(gateway).sessions += 1
        if older:
            older.expel("replaced", "a newer session of this key has opened")

    def _tell(self) -> None:
        """Every gateway that follows gets the next notice."""
        for session in self.live.values():
            session.push()

    def leave(self, session: Session) -> None:
        self.short_ids.forget(session.nonce)
        for gateway, one in list(self.live.items()):
            if one is session:
                del self.live[gateway]

    def quarantine(self, gateway: str, why: str) -> None:
        self.store.quarantine(gateway, why)
        session = self.live.get(gateway)
        if session:
            session.expel("quarantined", why)
