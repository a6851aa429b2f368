"""What goes over a link beside the log: evidence out, notices in, and bodies that evidence lacks.

Evidence      out, at most 8 at a time, answered by NOTED        before any OFFER of the same opening
FOLLOW        out, the newest notice held: those after it come, and each is answered by FOLLOW again
FETCH         out, at most 32 hashes at a time, answered by BODIES
"""

from __future__ import annotations

from gateway.core.cbor import CborError
from gateway.core.evidence import EvidenceInvalid, verify_evidence
from gateway.core.notice import Notice, NoticeKind, read_decision, read_devices
from gateway.core.sync import messages as wire
from gateway.core.sync.breach import Breach
from gateway.core.sync.events import Event, EvidenceHeld, Fault, ReadEvidence, Send, Supplied, TakeNotice
from gateway.core.wallet.objects import object_hash

MAX_EVIDENCE = 8


class Beside:
    """Owned by one session, from its opening on.

    ``key`` is the coordinator's, ``newest`` the number of the newest notice held.
    """

    def __init__(self, key: bytes, newest: int) -> None:
        self._key = key
        self._newest = newest
        self._told: frozenset[bytes] = frozenset()
        self._asked: tuple[bytes, ...] = ()
        self._not_held: set[bytes] = set()
        self._fetches = 0

    def opened(self) -> list[Event]:
        return [Send(wire.Follow(self._newest).to_bytes()), ReadEvidence()]

    def grew(self) -> list[Event]:
        """There may be more evidence."""
        return [] if self._told else [ReadEvidence()]

    def evidence(self, bodies: tuple[bytes, ...], awaited: tuple[bytes, ...]) -> list[Event]:
        """Answers ReadEvidence: what the coordinator has not noted, and hashes of bodies that are awaited."""
        events: list[Event] = []
        if bodies and not self._told:
            self._told = frozenset(map(object_hash, bodies))
            events.append(Send(wire.Evidence(bodies[:MAX_EVIDENCE]).to_bytes()))
        wanted = tuple([one for one in awaited if one not in self._not_held])
        if wanted and not self._asked:
            self._fetches += 1
            self._asked = wanted
            events.append(Send(wire.Fetch(self._fetches, wanted).to_bytes()))
        return events

    def noted(self, message: wire.Noted) -> list[Event]:
        if not self._told:
            return []
        if not self._told <= {*message.hashes}:
            raise Breach(Fault.OUT_OF_TURN, "NOTED leaves out evidence that was sent")
        hashes, self._told = tuple(self._told), frozenset()
        return [EvidenceHeld(hashes), ReadEvidence()]

    def bodies(self, message: wire.Bodies) -> list[Event]:
        if message.id != self._fetches or not self._asked:
            raise Breach(Fault.OUT_OF_TURN, f"BODIES {message.id} that nobody asked for")
        asked, self._asked = self._asked, ()
        if len(message.bodies) != len(asked):
            raise Breach(Fault.OUT_OF_TURN, f"{len(message.bodies)} BODIES, asked were {len(asked)}")
        found = []
        for wanted, body in zip(asked, message.bodies, strict=True):
            if body is None:
                self._not_held.add(wanted)
            elif object_hash(body) != wanted:
                raise Breach(Fault.GARBAGE, "a body of another hash")
            else:
                found.append(body)
        return [Supplied(tuple(found)), ReadEvidence()] if found else []

    def notice(self, message: wire.Noticed) -> list[Event]:
        notice = message.notice
        if notice.number <= self._newest:
            return []
        if notice.number != self._newest + 1:
            raise Breach(Fault.OUT_OF_TURN, f"notice {notice.number}, the next is {self._newest + 1}")
        if not notice.is_signed_by(self._key):
            raise Breach(Fault.BAD_SIGNATURE, f"notice {notice.number} is not signed by the pinned key")
        _require_sense(notice)
        self._newest = notice.number
        return [TakeNotice(notice), Send(wire.Follow(notice.number).to_bytes())]


def _require_sense(notice: Notice) -> None:
    """Of the kinds that are known; of what a newer coordinator says besides, the number is kept."""
    try:
        if notice.kind == NoticeKind.EVIDENCE:
            verify_evidence(notice.body)
        elif notice.kind == NoticeKind.DECISION:
            read_decision(notice.body)
        elif notice.kind == NoticeKind.DEVICES:
            read_devices(notice.body)
    except (CborError, EvidenceInvalid) as error:
        raise Breach(Fault.GARBAGE, f"notice {notice.number}: {error}") from None
