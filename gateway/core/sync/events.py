"""What a session asks of whoever drives it, and what it tells; both come out of the same list, in order.

Wants are answered by calling the session, before the next message is given to it:

    Send(data)                       to the coordinator, as one binary WebSocket message
    ReadRoots(sizes)                 → session.roots({size: the log's own root there, None above its size})
    ReadBatch(start, …)              → session.batch(the entries, the log's own root after them)
    ReadBodies(id, hashes)           → session.bodies(id, what the store holds of them)
    ReadEvidence()                   → session.evidence(what the coordinator lacks, hashes that are awaited)
    EvidenceHeld(hashes)             remember that the coordinator has these
    Supplied(bodies)                 bodies that evidence lacked
    TakeNotice(notice)               keep it; comes before the Send that says it is kept
    Hold()                           let nothing be logged while this session lasts but what it adopts
    Adopt(pulled, size, root)        → session.adopted(the log's size with these entries, None where they
                                     do not lead from our log to that root)
    BeginEpoch(…)                    go on under the next epoch; the session is over
    ReadParcel(id, offset, not_these) → session.parcel(bytes of a carried bundle, or None)
    Delivered(id, ack)               the coordinator has it, and this is the note for whose log it is
    Undelivered(id, code)            the coordinator does not take it
    TakeOrder(order)                 whatever its signature says; answered by session.answer, some time
    Record(size, note)               remember that this checkpoint was signed; comes before the Send of it

    Connected, Acked, TimeTold       news; Acked only with a cosignature that was verified
    Halted                           a person must act; the session is over
    Closed                           the session is over: close the link, come again after the backoff
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gateway.core.notice import Notice
from gateway.core.remote import Order
from gateway.core.sync.pulled import Pulled


@dataclass(frozen=True, slots=True)
class Send:
    data: bytes


@dataclass(frozen=True, slots=True)
class ReadRoots:
    sizes: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ReadBatch:
    start: int
    max_entries: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class ReadBodies:
    id: int
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ReadEvidence:
    pass


@dataclass(frozen=True, slots=True)
class EvidenceHeld:
    hashes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Supplied:
    bodies: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class TakeNotice:
    """Signed by the pinned key, the next in its order, and in its form."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Hold:
    pass


@dataclass(frozen=True, slots=True)
class Adopt:
    pulled: Pulled
    size: int
    root: bytes


@dataclass(frozen=True, slots=True)
class BeginEpoch:
    """``seen`` is a checkpoint of our own key that our log does not repeat; ``why`` is a word for it."""

    why: str
    seen: bytes
    what: str
    fix: str


@dataclass(frozen=True, slots=True)
class ReadParcel:
    """``content_id`` None: the next bundle to bring, none of ``not_these``; no bytes of it are read yet."""

    content_id: bytes | None
    offset: int
    not_these: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class Parcel:
    """Bytes of a carried bundle; none of it at offset 0 asks how far the coordinator got."""

    content_id: bytes
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Delivered:
    """``ack``: a cosigned checkpoint of another gateway's log, not yet verified."""

    content_id: bytes
    ack: bytes


@dataclass(frozen=True, slots=True)
class Undelivered:
    content_id: bytes
    code: str


@dataclass(frozen=True, slots=True)
class TakeOrder:
    """Not judged yet."""

    order: Order


@dataclass(frozen=True, slots=True)
class Record:
    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class Connected:
    """The coordinator has proved its key; it holds the first ``next`` leaves. Its time is signed."""

    next: int
    unix_ms: int


@dataclass(frozen=True, slots=True)
class Acked:
    """The coordinator has cosigned ``size`` leaves under our own root."""

    size: int
    note: bytes


@dataclass(frozen=True, slots=True)
class TimeTold:
    """The answer to our last heartbeat."""

    unix_ms: int


class Fault(StrEnum):
    """Why a session ended, in the words of logs, metrics and the status page."""

    GARBAGE = "garbage"  # not a message of the protocol, or larger than one may be
    OUT_OF_TURN = "out_of_turn"  # a message that may not come now, or about a batch that was never offered
    BAD_SIGNATURE = "bad_signature"  # WELCOME or CATCHUP is not signed by the pinned key over this handshake
    BAD_SIZE = "bad_size"  # a tree size that cannot be
    BAD_CHECKPOINT = "bad_checkpoint"  # not our checkpoint, not cosigned by the pinned key, or another root
    BAD_BITMAP = "bad_bitmap"  # not one bit for each object
    ROLLED_BACK = "rolled_back"  # the coordinator holds less than it has cosigned: restored, or lying
    FORK_UNPROVEN = "fork_unproven"  # it says FORK, but both checkpoints are of our own log
    INSATIABLE = "insatiable"  # it asks for the same batch again and again
    CAUGHT_UP = "caught_up"  # no fault: the coordinator reminded us of a checkpoint; open again
    REJECTED = "rejected"  # REJECT, of a code that is not ours: whoever is on the line can make up words
    TOO_LARGE = "too_large"  # an entry that does not fit a message


@dataclass(frozen=True, slots=True)
class Closed:
    """``code`` is REJECT's, where it is one of the protocol's."""

    fault: Fault
    detail: str
    code: str | None = None


class HaltReason(StrEnum):
    """What a person must look at."""

    COORDINATOR_KEY = "coordinator_key"
    CLONE = "clone"
    DAMAGED = "damaged"


@dataclass(frozen=True, slots=True)
class Halted:
    """``what`` was seen and ``fix`` is for a technician; ``evidence``: the checkpoints that show it."""

    reason: HaltReason
    what: str
    fix: str
    evidence: tuple[bytes, ...] = ()

    @property
    def stops_the_log(self) -> bool:
        """Whether nothing more may be signed in this epoch, by whomever.

        A changed key is a matter of the link alone: else anyone on the way could silence the radios.
        """
        return self.reason is HaltReason.CLONE


Want = (
    Send | ReadRoots | ReadBatch | ReadBodies | ReadEvidence | EvidenceHeld | Supplied | TakeNotice | Record
)
Event = (
    Want
    | ReadParcel
    | TakeOrder
    | Delivered
    | Undelivered
    | Hold
    | Adopt
    | BeginEpoch
    | Connected
    | Acked
    | TimeTold
    | Closed
    | Halted
)
