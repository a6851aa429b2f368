"""One session with the coordinator, from CHALLENGE to the end: messages in, events out; no I/O, no clock.

    state       legal messages                               and then
    CHALLENGE   CHALLENGE                                    HELLO → WELCOME
    WELCOME     WELCOME, CATCHUP, FORK, LATER                own roots asked for → OPEN, CATCHING, or over
    CATCHING    LOG                                          CATCHING, until our log is whole: then over
    OPEN        WANT, ACK, MISSING, NEED_HASHES,             OPEN, or over
                FETCH, TIME, FORK, NOTED, NOTICE, BODIES,
                BROUGHT, ORDER
    OVER        anything, unread                             OVER

REJECT is legal everywhere. What is illegal ends the session with one Closed that says what was wrong: the
coordinator is believed no further than its key has signed and our own log repeats.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Any

from gateway.core.cbor import CborError
from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.entry import epoch_of
from gateway.core.note import NoteInvalid, VerifierKey
from gateway.core.remote import Piece
from gateway.core.sync import halting, healing
from gateway.core.sync import messages as wire
from gateway.core.sync.batch import BitmapInvalid, NotWhole, Offered
from gateway.core.sync.beside import Beside
from gateway.core.sync.breach import Breach
from gateway.core.sync.bringing import Bringing
from gateway.core.sync.catching import Catching
from gateway.core.sync.checkpoints import Own, Stranger, open_own, with_cosignature
from gateway.core.sync.events import (
    Acked,
    Adopt,
    BeginEpoch,
    Closed,
    Connected,
    Event,
    Fault,
    Halted,
    Hold,
    Parcel,
    ReadBatch,
    ReadBodies,
    ReadRoots,
    Record,
    Send,
    TakeOrder,
    TimeTold,
)
from gateway.core.sync.flight import Flight
from gateway.core.sync.handshake import Handshake, Local, Standing
from gateway.model import Batch

Roots = Mapping[int, bytes | None]


class State(Enum):
    CHALLENGE = "challenge"
    WELCOME = "welcome"
    OPEN = "open"
    CATCHING = "catching"
    OVER = "over"


class Session:
    """Give it what the coordinator sent (:meth:`receive`) and what it asked for; do what it answers.

    ``nonce`` (32 bytes) is random per connection; ``max_entries`` and ``max_bytes`` bound a batch, never
    above the protocol's own limits. No method raises for anything that the coordinator does.
    """

    def __init__(
        self,
        local: Local,
        standing: Standing,
        *,
        nonce: bytes,
        max_entries: int = wire.MAX_BATCH_ENTRIES,
        max_bytes: int = wire.MAX_BATCH_BYTES,
    ) -> None:
        self._local = local
        self._standing = standing
        self._own = Own(VerifierKey(standing.origin, local.key), local.coordinator)
        self._handshake = Handshake(local, standing, nonce, b"", local.coordinator.verifier("unnamed"))
        self._limits = min(max_entries, wire.MAX_BATCH_ENTRIES), min(max_bytes, wire.MAX_BATCH_BYTES)
        self._size = standing.size
        self._acked = standing.acked_size
        self._flight = Flight()
        newest = standing.notices
        self._beside = None if newest is None else Beside(local.coordinator.public_key, newest)
        self._bringing = Bringing() if standing.brings else None
        self._catching: Catching
        self._judge: Callable[[Roots], None] | None = None
        self._told: dict[str, object] = {}
        self._heard: bytes | None = None
        self._events: list[Event] = []
        self.state = State.CHALLENGE

    @property
    def answer_due(self) -> bool:
        """Whether the coordinator owes us something: the handshake, a WANT, an ACK."""
        if self.state is State.OPEN:
            brings = self._bringing is not None and self._bringing.answer_due
            return self._flight.answer_due or brings
        return self.state is not State.OVER

    # What comes in.

    def receive(self, data: bytes) -> list[Event]:
        """One message from the coordinator, as its bytes came; one that repeats the one before is ignored."""
        if data == self._heard:
            return []
        self._heard = data
        return self._guarded(lambda: self._dispatch(_read(data)))

    def garbage(self, seen: str) -> list[Event]:
        """What came was no binary message of a legal size."""
        return self._guarded(lambda: self._close(Fault.GARBAGE, seen))

    def roots(self, roots: Roots) -> list[Event]:
        """Answers ReadRoots: the log's own root at each size, None where the log is shorter."""
        judge, self._judge = self._judge, None
        return self._guarded(lambda: judge(roots) if judge else None)

    def batch(self, batch: Batch, root: bytes) -> list[Event]:
        """Answers ReadBatch; ``root`` is the log's own at ``batch.end``."""
        self._flight.reading = False
        return self._guarded(lambda: self._offer(Offered.of(batch, root)) if batch.entries else None)

    def bodies(self, request: int, bodies: tuple[bytes | None, ...]) -> list[Event]:
        """Answers ReadBodies."""
        return self._guarded(lambda: self._send(wire.Bodies(request, bodies)))

    def evidence(self, bodies: tuple[bytes, ...], awaited: tuple[bytes, ...]) -> list[Event]:
        """Answers ReadEvidence: objects that the coordinator has not noted, and hashes of bodies awaited."""
        return self._guarded(lambda: self._besides(lambda beside: beside.evidence(bodies, awaited)))

    def may_bring(self) -> list[Event]:
        """There may be a bundle of another gateway to bring."""
        return self._guarded(lambda: self._brings(lambda bringing: bringing.opened()))

    def parcel(self, parcel: Parcel | None) -> list[Event]:
        """Answers ReadParcel."""
        self._heard = None  # BROUGHT may well equal the one before
        return self._guarded(lambda: self._brings(lambda bringing: bringing.parcel(parcel)))

    def answer(self, piece: Piece) -> list[Event]:
        """A part of what came of an order; lost where the link is not open."""
        if self.state is not State.OPEN:
            return []
        said = wire.Answer(piece.number, piece.kind, piece.part, piece.parts, piece.data)
        return self._guarded(lambda: self._send(said))

    def grew(self, size: int) -> list[Event]:
        """The log has ``size`` leaves now."""
        self._size = max(self._size, size)
        return self._guarded(self._grow) if self.state is State.OPEN else []

    def heartbeat(self, facts: Mapping[str, object]) -> list[Event]:
        """Tells those of ``facts`` that changed since they were told on this link, and always ``time``."""
        if self.state is not State.OPEN:
            return []
        news = {key: fact for key, fact in facts.items() if key == "time" or self._told.get(key) != fact}
        self._told.update(news)
        self._heard = None  # what answers this may well equal what answered the one before
        return self._guarded(lambda: self._send(wire.Heartbeat(news)))

    def _guarded(self, step: Callable[[], None]) -> list[Event]:
        """Runs ``step`` unless the session is over, and turns any breach of the protocol into its one end."""
        if self.state is State.OVER:
            return []
        try:
            step()
        except CborError as error:
            self._close(Fault.GARBAGE, str(error))
        except BitmapInvalid as error:
            self._close(Fault.BAD_BITMAP, str(error))
        except Stranger as error:
            self._close(Fault.BAD_CHECKPOINT, str(error))
        except NotWhole as error:
            self._halt(halting.damaged(str(error)))
        except Breach as breach:
            self._close(breach.fault, str(breach))
        events, self._events = self._events, []
        return events

    def _dispatch(self, message: wire.Message) -> None:
        step = _TRANSITIONS.get((self.state, type(message)))
        if step is None:
            raise Breach(Fault.OUT_OF_TURN, f"{type(message).__name__} in state {self.state.value}")
        step(self, message)

    # The opening.

    def _on_challenge(self, message: wire.Challenge) -> None:
        pinned = self._local.coordinator.public_key
        if message.coordinator_key != pinned:
            return self._halt(halting.changed_key(pinned, message.coordinator_key))
        try:
            cosigner = self._local.coordinator.verifier(message.cosigner)
        except NoteInvalid as error:
            raise Breach(Fault.GARBAGE, f"CHALLENGE: {error}") from None
        self._handshake = replace(self._handshake, challenge=message.nonce, cosigner=cosigner)
        self._send(self._handshake.hello())
        self.state = State.WELCOME

    def _on_welcome(self, message: wire.Welcome) -> None:
        self._handshake.require_answer(message.next, message.unix_ms, message.signature)
        signed = self._standing.signed_size
        if message.next > signed:
            raise Breach(Fault.BAD_SIZE, f"WELCOME at {message.next}, signed are {signed}")
        if message.next < self._acked:
            raise Breach(Fault.ROLLED_BACK, f"WELCOME at {message.next}, cosigned were {self._acked}")
        if (message.checkpoint is None) != (message.next == 0):
            raise Breach(Fault.BAD_CHECKPOINT, "WELCOME carries a checkpoint exactly where it is not at 0")
        if message.checkpoint is None:
            return self._open(message)
        checkpoint = self._cosigned(message.checkpoint, message.next)
        self._ask_roots(lambda roots: self._welcomed(message, checkpoint, roots), message.next)

    def _welcomed(self, message: wire.Welcome, checkpoint: Checkpoint, roots: Roots) -> None:
        own = roots.get(checkpoint.size)
        if own != checkpoint.root:
            return self._begin_again(healing.fork(checkpoint, own, message.checkpoint or b""))
        self._open(message)

    def _open(self, message: wire.Welcome) -> None:
        self.state = State.OPEN
        self._events.append(Connected(message.next, message.unix_ms))
        if message.checkpoint is not None:
            self._acknowledge(message.next, message.checkpoint)
        self._flight.read_to = message.next
        self._besides(lambda beside: beside.opened())
        self._advance()
        self._brings(lambda bringing: bringing.opened())

    def _on_catchup(self, message: wire.Catchup) -> None:
        self._handshake.require_answer(message.size, message.unix_ms, message.signature)
        signed = self._standing.signed_size
        if message.size <= signed:
            raise Breach(Fault.BAD_SIZE, f"CATCHUP to {message.size}, signed are {signed}")
        checkpoint = self._cosigned(message.checkpoint, message.size)
        self._ask_roots(lambda roots: self._caught_up(message, checkpoint, roots), message.size)

    def _caught_up(self, message: wire.Catchup, checkpoint: Checkpoint, roots: Roots) -> None:
        own = roots.get(message.size)
        if own is None:
            return self._catch_up(message, checkpoint)
        if own != checkpoint.root:
            return self._begin_again(healing.fork(checkpoint, own, message.checkpoint))
        # What was signed is recorded with a later commit: a crash between COMMIT and that one forgets it.
        self._events.append(Record(message.size, message.checkpoint))
        self._acknowledge(message.size, message.checkpoint)
        self._close(Fault.CAUGHT_UP, f"the coordinator holds our checkpoint at {message.size}")

    def _on_later(self, message: wire.Later) -> None:
        own = Own(VerifierKey(message.origin, self._local.key), self._local.coordinator)
        checkpoint = open_own(own, message.checkpoint, cosigned=True)
        ours = self._standing.origin
        if message.origin.rpartition("/")[0] != ours.rpartition("/")[0] or not checkpoint.size:
            raise Breach(Fault.BAD_CHECKPOINT, f"LATER with {message.origin}, a log of somebody else")
        if epoch_of(message.origin) <= epoch_of(ours):
            raise Breach(Fault.BAD_CHECKPOINT, f"LATER with {message.origin}, which is not later than {ours}")
        self._begin_again(healing.later(checkpoint, message.checkpoint))

    def _catch_up(self, message: wire.Catchup, checkpoint: Checkpoint) -> None:
        """Our disk is older than what our key has signed: the rest is asked for, and proved by pieces."""
        self.state = State.CATCHING
        self._catching = Catching(checkpoint, message.checkpoint)
        self._events += [Hold(), Connected(self._size, message.unix_ms)]
        self._send(wire.Pull(self._size))

    def _on_log(self, message: wire.LogPart) -> None:
        pulled = self._catching.take(message, self._size)
        if pulled is not None:
            checkpoint = self._catching.checkpoint
            self._events.append(Adopt(pulled, checkpoint.size, checkpoint.root))

    def adopted(self, size: int | None) -> list[Event]:
        """Answers Adopt."""
        return self._guarded(lambda: self._adopted(size))

    def _adopted(self, size: int | None) -> None:
        checkpoint, note = self._catching.checkpoint, self._catching.note
        if size is None:
            return self._begin_again(healing.went_on(checkpoint, self._size, note))
        self._size = size
        if size < checkpoint.size:
            return self._send(wire.Pull(size))
        self._events.append(Record(size, note))
        self._acknowledge(size, note)
        self._close(Fault.CAUGHT_UP, f"the log is whole again, {size} leaves")

    def _on_fork(self, message: wire.Fork) -> None:
        first, second = open_own(self._own, message.first), open_own(self._own, message.second)
        if first.size != message.size or second.size < message.size or first.root == message.root:
            raise Breach(Fault.FORK_UNPROVEN, "FORK with two checkpoints that can both be")
        evidence = (message.first, message.second)
        self._ask_roots(lambda roots: self._forked((first, second), evidence, roots), first.size, second.size)

    def _forked(self, heads: tuple[Checkpoint, ...], evidence: tuple[bytes, ...], roots: Roots) -> None:
        for head in heads:
            if (own := roots.get(head.size)) != head.root:
                return self._begin_again(healing.fork(head, own, evidence[heads.index(head)]))
        raise Breach(Fault.FORK_UNPROVEN, f"FORK at {heads[0].size}, where both are of our own log")

    def _on_reject(self, message: wire.Reject) -> None:
        if message.code in message.PROVEN:
            self._handshake.require_rejected(message.code, message.text, message.signature)
        if message.code == "clone":
            return self._halt(halting.clone(message.text))
        known = message.code in message.CODES
        self._close(Fault.REJECTED, message.text, message.code if known else None)

    # Batches.

    def _grow(self) -> None:
        self._besides(lambda beside: beside.grew())
        self._advance()

    def _advance(self) -> None:
        if ready := self._flight.take_off():
            self._send_entries(*ready)
        if self._flight.may_read(self._size):
            self._flight.reading = True
            self._events.append(ReadBatch(self._flight.read_to, *self._limits))

    def _offer(self, offered: Offered) -> None:
        self._flight.offer(offered)
        short_ids = offered.short_ids(self._handshake.challenge)
        self._send(wire.Offer(offered.start, offered.counts, short_ids))

    def _send_entries(self, offered: Offered, wanted: bytes) -> None:
        self._send(wire.Entries(offered.start, offered.packed_entries(wanted)))
        checkpoint = Checkpoint(self._standing.origin, offered.end, offered.root)
        note = sign_checkpoint(checkpoint, self._own.key, self._local.sign)
        self._flight.sign(note)
        self._events.append(Record(offered.end, note.to_bytes()))
        self._send(wire.Commit(offered.end, offered.root, note.signatures[0].value))

    def _on_want(self, message: wire.Want) -> None:
        self._flight.want(message.start, message.bitmap)
        self._advance()

    def _on_missing(self, message: wire.Missing) -> None:
        if offered := self._flight.repair(message.start, "MISSING"):
            offered.check(message.bitmap)
            self._send(wire.Objects(message.start, offered.packed_objects(message.bitmap)))

    def _on_need_hashes(self, message: wire.NeedHashes) -> None:
        if offered := self._flight.repair(message.start, "NEED_HASHES"):
            self._send(wire.Hashes(message.start, offered.hashes()))

    def _on_ack(self, message: wire.Ack) -> None:
        if message.size <= self._acked:
            return  # said twice, or late
        signed, cosigner = self._flight.landing(message.size), self._handshake.cosigner
        note = with_cosignature(signed, cosigner, message.unix_s, message.cosignature)
        self._flight.land()
        self._acknowledge(message.size, note.to_bytes())
        self._advance()

    # Bodies and time.

    def _on_fetch(self, message: wire.Fetch) -> None:
        self._events.append(ReadBodies(message.id, message.hashes))

    def _on_time(self, message: wire.Time) -> None:
        self._events.append(TimeTold(message.unix_ms))

    # Beside the log.

    def _on_noted(self, message: wire.Noted) -> None:
        self._heard_besides(message, lambda beside: beside.noted(message))

    def _on_notice(self, message: wire.Noticed) -> None:
        self._heard_besides(message, lambda beside: beside.notice(message))

    def _on_bodies(self, message: wire.Bodies) -> None:
        self._heard_besides(message, lambda beside: beside.bodies(message))

    def _besides(self, step: Callable[[Beside], list[Event]]) -> None:
        if self._beside is not None:
            self._events += step(self._beside)

    def _heard_besides(self, message: wire.Message, step: Callable[[Beside], list[Event]]) -> None:
        if self._beside is None:
            raise Breach(Fault.OUT_OF_TURN, f"{type(message).__name__} to an end that asks for none")
        self._events += step(self._beside)

    def _on_brought(self, message: wire.Brought) -> None:
        if self._bringing is None:
            raise Breach(Fault.OUT_OF_TURN, "BROUGHT to an end that brings nothing")
        self._brings(lambda bringing: bringing.brought(message))

    def _brings(self, step: Callable[[Bringing], list[Event]]) -> None:
        if self._bringing is not None and self.state is State.OPEN:
            self._events += step(self._bringing)

    def _on_order(self, message: wire.Ordered) -> None:
        self._heard = None  # the same bytes again are a replay, which is told as one
        self._events.append(TakeOrder(message.order))

    # What these use.

    def _cosigned(self, note: bytes, size: int) -> Checkpoint:
        checkpoint = open_own(self._own, note, cosigned=True)
        if checkpoint.size != size:
            raise Breach(Fault.BAD_CHECKPOINT, f"a checkpoint of {checkpoint.size}, expected {size}")
        return checkpoint

    def _ask_roots(self, judge: Callable[[Roots], None], *sizes: int) -> None:
        self._judge = judge
        self._events.append(ReadRoots(sizes))

    def _acknowledge(self, size: int, note: bytes) -> None:
        if size > self._acked:
            self._acked = size
            self._events.append(Acked(size, note))

    def _send(self, message: wire.Message) -> None:
        data = message.to_bytes()
        if len(data) > wire.MAX_MESSAGE_BYTES:
            raise Breach(Fault.TOO_LARGE, f"{type(message).__name__} of {len(data)} bytes")
        self._events.append(Send(data))

    def _close(self, fault: Fault, detail: str, code: str | None = None) -> None:
        self.state = State.OVER
        self._events.append(Closed(fault, detail, code))

    def _begin_again(self, beginning: BeginEpoch) -> None:
        self.state = State.OVER
        self._events.append(beginning)

    def _halt(self, halted: Halted) -> None:
        self.state = State.OVER
        self._events.append(halted)


def _read(data: bytes) -> wire.Message:
    if len(data) > wire.MAX_HEARD_BYTES:
        raise CborError(f"a message of {len(data)} bytes, at most {wire.MAX_HEARD_BYTES} are read")
    return wire.parse(data)


_TRANSITIONS: Mapping[tuple[State, type[wire.Message]], Callable[[Session, Any], None]] = {
    (State.CHALLENGE, wire.Challenge): Session._on_challenge,
    (State.CHALLENGE, wire.Reject): Session._on_reject,
    (State.WELCOME, wire.Welcome): Session._on_welcome,
    (State.WELCOME, wire.Catchup): Session._on_catchup,
    (State.WELCOME, wire.Fork): Session._on_fork,
    (State.WELCOME, wire.Later): Session._on_later,
    (State.CATCHING, wire.LogPart): Session._on_log,
    (State.CATCHING, wire.Reject): Session._on_reject,
    (State.WELCOME, wire.Reject): Session._on_reject,
    (State.OPEN, wire.Want): Session._on_want,
    (State.OPEN, wire.Ack): Session._on_ack,
    (State.OPEN, wire.Missing): Session._on_missing,
    (State.OPEN, wire.NeedHashes): Session._on_need_hashes,
    (State.OPEN, wire.Fetch): Session._on_fetch,
    (State.OPEN, wire.Time): Session._on_time,
    (State.OPEN, wire.Noted): Session._on_noted,
    (State.OPEN, wire.Noticed): Session._on_notice,
    (State.OPEN, wire.Bodies): Session._on_bodies,
    (State.OPEN, wire.Brought): Session._on_brought,
    (State.OPEN, wire.Ordered): Session._on_order,
    (State.OPEN, wire.Fork): Session._on_fork,
    (State.OPEN, wire.Reject): Session._on_reject,
}
