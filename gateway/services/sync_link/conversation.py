"""One WebSocket from its opening to its end: carries the session's messages, answers its wants.

Four tasks bring what happens (a message, growth of the log, a heartbeat that is due, the watch) to one inbox;
one task gives it to the session, in order, and does what the session answers before it takes the next. What
the session makes of messages and batches it makes on a thread: hashing and compressing a full batch takes a
tenth of a second on a Pi, in which the radios would wait.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from base64 import b64encode
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from gateway.clock import Clock
from gateway.core.sync import (
    Acked,
    Adopt,
    BeginEpoch,
    Closed,
    Connected,
    Delivered,
    Event,
    EvidenceHeld,
    Halted,
    Hold,
    ReadBatch,
    ReadBodies,
    ReadEvidence,
    ReadParcel,
    ReadRoots,
    Record,
    Send,
    Session,
    Supplied,
    TakeNotice,
    TakeOrder,
    TimeTold,
    Undelivered,
)
from gateway.core.sync.liveness import LOOK_EVERY_S, Liveness, Verdict
from gateway.core.sync.pulled import Pulled
from gateway.core.timekeeper import Timekeeper
from gateway.errors import NeedsPerson
from gateway.model import Beginning, Halt, TimeQuality
from gateway.services.sync_link.cargo import Cargo
from gateway.services.sync_link.faults import LinkFault
from gateway.services.sync_link.figures import LinkFigures
from gateway.services.sync_link.remote import Remote
from gateway.services.sync_link.tls import require_dates
from gateway.store import Store
from gateway.store.adopting import NotOurs

log = logging.getLogger(__name__)

Step = Callable[[], Awaitable[list[Event]]]

# When it is full the reader waits, and so in the end does the coordinator's TCP.
_INBOX = 8
_OUR_REFUSAL = {CloseCode.PROTOCOL_ERROR, CloseCode.INVALID_DATA, CloseCode.MESSAGE_TOO_BIG}
_COUNTER_STEP = 4096
_PING_BYTES = 4  # what the library puts into a ping
_HEARTBEAT_GAP_S = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a conversation works with, the same for every one of a link; ``key`` is the gateway's.

    ``status`` gives what a heartbeat tells beside size, time, quality and bytes; ``stir`` is set when that
    changed and should be told soon. ``worked`` is called at every ACK, ``observe_sync`` with the seconds from
    first offer to ACK, ``noticed`` when the coordinator said something of devices or conflicts. Growth is
    gathered for ``gather_s`` so that a batch has company.
    """

    store: Store
    key: bytes
    clock: Clock
    timekeeper: Timekeeper
    figures: LinkFigures
    status: Callable[[], Mapping[str, object]]
    stir: asyncio.Event
    worked: Callable[[], None]
    observe_sync: Callable[[float], None]
    noticed: Callable[[], Awaitable[None]]
    heartbeat_s: float
    gather_s: float
    cargo: Cargo | None = None
    remote: Remote | None = None


class Conversation:
    """Ends with LinkFault or NeedsPerson, whatever the coordinator does."""

    def __init__(self, socket: ClientConnection, session: Session, size: int, around: Surroundings) -> None:
        self._socket = socket
        self._session = session
        self._around = around
        self._figures = around.figures
        self._size = size
        self._inbox: asyncio.Queue[Step] = asyncio.Queue(_INBOX)
        self._open = asyncio.Event()
        self._held = False
        self._liveness = Liveness(around.clock.monotonic())
        self._asked_s: float | None = None  # when HELLO or HEARTBEAT asked for the coordinator's time

    async def run(self) -> None:
        works = {
            "session": self._converse,
            "listen": self._listen,
            "growth": self._follow_log,
            "heartbeats": self._beat,
            "watch": self._watch,
        }
        if self._around.cargo is not None:
            works["cargo"] = partial(self._load, self._around.cargo)
        if self._around.remote is not None:
            works["answers"] = partial(self._answer, self._around.remote)
        try:
            await _until_one_fails({f"link {name}": work() for name, work in works.items()})
        finally:
            if self._held:
                await self._around.store.hold("link", held=False)

    # What happens.

    async def _listen(self) -> None:
        try:
            while True:
                data = await self._socket.recv()
                self._liveness.message(self._now())
                self._figures.received(len(data))
                await self._inbox.put(self._heard(data))
        except ConnectionClosed as closed:
            # Behind what it said before: a REJECT tells more than the end that follows it.
            await self._inbox.put(partial(self._ended, closed))

    def _heard(self, data: str | bytes) -> Step:
        if isinstance(data, str):
            return partial(asyncio.to_thread, self._session.garbage, "a text message")
        return partial(asyncio.to_thread, self._session.receive, data)

    async def _ended(self, closed: ConnectionClosed) -> list[Event]:
        if closed.sent is not None and closed.sent.code in _OUR_REFUSAL and not closed.rcvd_then_sent:
            return self._session.garbage(closed.sent.reason or f"WebSocket error {closed.sent.code}")
        raise LinkFault("lost", str(closed))

    async def _follow_log(self) -> None:
        await self._open.wait()
        while True:
            await self._around.store.grown(self._size)
            await self._around.clock.sleep(self._around.gather_s)
            self._size = (await self._around.store.head()).size
            await self._inbox.put(partial(asyncio.to_thread, self._session.grew, self._size))

    async def _load(self, cargo: Cargo) -> None:
        await self._open.wait()
        while True:
            await cargo.stirred.wait()
            cargo.stirred.clear()
            await self._inbox.put(partial(asyncio.to_thread, self._session.may_bring))

    async def _answer(self, remote: Remote) -> None:
        await self._open.wait()
        while True:
            piece, sent = await remote.piece(), asyncio.Event()
            await self._inbox.put(partial(asyncio.to_thread, self._session.answer, piece))
            await self._inbox.put(partial(_flagged, sent))
            await sent.wait()

    async def _beat(self) -> None:
        await self._open.wait()
        stir = self._around.stir
        while True:
            stir.clear()
            await self._inbox.put(self._heartbeat)
            await self._around.clock.sleep(min(_HEARTBEAT_GAP_S, self._around.heartbeat_s))
            rest_s = max(0.0, self._around.heartbeat_s - _HEARTBEAT_GAP_S)
            await first_of(stir.wait(), self._around.clock.sleep(rest_s))

    async def _heartbeat(self) -> list[Event]:
        now = self._around.timekeeper.now()
        self._asked_s = self._now()
        return self._session.heartbeat(
            {
                **self._around.status(),
                "size": self._size,
                "time": now.unix_ms,
                "quality": int(now.quality),
                "rx_bytes": self._figures.rx_bytes // _COUNTER_STEP * _COUNTER_STEP,
                "tx_bytes": self._figures.tx_bytes // _COUNTER_STEP * _COUNTER_STEP,
            }
        )

    async def _watch(self) -> None:
        while True:
            await self._around.clock.sleep(LOOK_EVERY_S)
            owed = self._session.answer_due or self._asked_s is not None
            unsent = self._socket.transport.get_write_buffer_size()
            match self._liveness.look(self._now(), owed=owed, unsent=unsent):
                case Verdict.PING:
                    await self._ping()
                case Verdict.DEAD:
                    self._socket.transport.abort()  # a closing handshake would have nobody to answer it
                    raise LinkFault("dead", "no sign of life from the coordinator while something was due")
                case Verdict.STALLED:
                    raise LinkFault("stalled", "the coordinator lives, but does not answer")

    async def _ping(self) -> None:
        try:
            pong = asyncio.ensure_future(await self._socket.ping())
        except ConnectionClosed:
            return  # the listener says so
        self._figures.sent(_PING_BYTES)
        pong.add_done_callback(self._ponged)

    def _ponged(self, pong: asyncio.Future[float]) -> None:
        if not pong.cancelled() and pong.exception() is None:
            self._figures.received(_PING_BYTES)
            self._liveness.pong(self._now())

    # What follows from it.

    async def _converse(self) -> None:
        while True:
            step = await self._inbox.get()
            await self._perform(await step())

    async def _perform(self, events: Iterable[Event]) -> None:
        """Everything the session wants, its answers to the answers included, in order."""
        queue = deque(events)
        store, session = self._around.store, self._session
        while queue:
            match queue.popleft():
                case Send(data):
                    await self._send(data)
                case Record(size, note):
                    await store.record_signed(size, note)
                case ReadBatch(start, max_entries, max_bytes):
                    batch = await store.read_batch(start, max_entries, max_bytes)
                    self._figures.offered(batch.end, self._now())
                    root = await store.root_at(batch.end)
                    queue.extend(await asyncio.to_thread(session.batch, batch, root))
                case Hold():
                    self._held = True
                    await store.hold("link", held=True)
                case Adopt(pulled, size, root):
                    queue.extend(session.adopted(await self._adopt(pulled, size, root)))
                case BeginEpoch() as again:
                    await self._begin_again(again)
                case ReadEvidence():
                    # Ahead of a batch that waits to be read.
                    queue.extendleft(reversed(session.evidence(*await store.evidence_to_tell())))
                case EvidenceHeld(hashes):
                    await store.evidence_told(hashes)
                case Supplied(bodies):
                    await store.supply(bodies)
                case TakeNotice(notice):
                    await store.take_notice(notice)
                    await self._around.noticed()
                case ReadRoots(sizes):
                    queue.extend(session.roots(await self._roots(sizes)))
                case ReadBodies(request, hashes):
                    queue.extend(session.bodies(request, tuple([await store.body(item) for item in hashes])))
                case ReadParcel(content_id, offset, not_these) if self._around.cargo is not None:
                    parcel = await self._around.cargo.parcel(content_id, offset, not_these)
                    queue.extend(session.parcel(parcel))
                case Delivered(content_id, ack) if self._around.cargo is not None:
                    self._around.worked()
                    await self._around.cargo.delivered(content_id, ack)
                case Undelivered(content_id, word) if self._around.cargo is not None:
                    await self._around.cargo.undelivered(content_id, word)
                case TakeOrder(order) if self._around.remote is not None:
                    await self._around.remote.take(order)
                case Connected(next, unix_ms):
                    self._connected(next, unix_ms)
                case Acked(size, note):
                    await store.mark_acked(size, note)
                    self._acked(size)
                case TimeTold(unix_ms):
                    self._told(unix_ms, signed=False)
                case Closed(fault, detail, code):
                    raise LinkFault(code or fault.value, detail)
                case Halted() as halted:
                    await self._halt(halted)

    async def _send(self, data: bytes) -> None:
        if self._asked_s is None and not self._open.is_set():
            self._asked_s = self._now()
        try:
            await self._socket.send(data)
        except ConnectionClosed:
            return  # what it said before is in the inbox, and its end behind that
        self._figures.sent(len(data))

    async def _roots(self, sizes: Iterable[int]) -> dict[int, bytes | None]:
        held = (await self._around.store.head()).size
        return {size: await self._around.store.root_at(size) if size <= held else None for size in sizes}

    def _connected(self, next_index: int, unix_ms: int) -> None:
        """The time is judged first: with it the certificate, which was let pass while there was none."""
        self._told(unix_ms, signed=True)
        require_dates(tls_of(self._socket), self._around.timekeeper)
        self._figures.opened(self._now())
        self._open.set()
        log.info("coordinator connected", extra={"next": next_index, "size": self._size})

    def _told(self, unix_ms: int, *, signed: bool) -> None:
        """What is not signed counts only over TLS, which is always verified: else anybody could say it."""
        asked_s, self._asked_s = self._asked_s, None
        if asked_s is None:
            return  # said twice
        self._figures.heartbeats += self._open.is_set()
        round_trip_s = self._now() - asked_s
        self._figures.round_trip_s = round_trip_s
        if signed or tls_of(self._socket) is not None:
            self._around.timekeeper.hear(unix_ms, TimeQuality.AGREED, round_trip_s=round_trip_s)

    def _acked(self, size: int) -> None:
        self._figures.acked(size, self._now(), self._around.observe_sync)
        self._around.worked()
        log.debug("acked", extra={"size": size, "latency_s": self._figures.ack_latency_s})

    async def _adopt(self, pulled: Pulled, size: int, root: bytes) -> int | None:
        try:
            grown = await self._around.store.adopt(pulled, size, root)
        except NotOurs as error:
            raise LinkFault("garbage", f"our own log as it came back: {error}") from None
        if grown == pulled.start:
            raise LinkFault("lost", "the disk took nothing of what came back")
        log.info("caught up", extra={"size": grown, "of": size})
        return grown

    async def _begin_again(self, again: BeginEpoch) -> None:
        """Told before it is done: whatever comes after, the log of the daemon says why."""
        log.error("the log begins again", extra={"reason": again.why, "seen": again.what, "fix": again.fix})
        told = Halt(what=again.what, fix=again.fix)
        at = self._around.timekeeper.now()
        head = await self._around.store.begin_epoch(
            Beginning(key=self._around.key, why=again.why, told=told, at=at, seen=again.seen)
        )
        log.info("epoch begun", extra={"origin": head.origin, "size": head.size})
        raise LinkFault(again.why, again.what)

    async def _halt(self, halted: Halted) -> None:
        evidence = [b64encode(note).decode() for note in halted.evidence]
        log.error("sync halts", extra={"reason": halted.reason.value, "evidence": evidence})
        if halted.stops_the_log:
            await self._around.store.halt(Halt(what=halted.what, fix=halted.fix))
        raise NeedsPerson(halted.what, halted.fix)

    def _now(self) -> float:
        return self._around.clock.monotonic()


async def _flagged(passed: asyncio.Event) -> list[Event]:
    """A step that only tells that all before it was done."""
    passed.set()
    return []


def tls_of(socket: ClientConnection) -> ssl.SSLObject | None:
    found: ssl.SSLObject | None = socket.transport.get_extra_info("ssl_object")
    return found


async def first_of(*waits: Coroutine[Any, Any, Any]) -> None:
    """Waits for the first of these and leaves the others."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await _cancel(tasks)


async def _until_one_fails(works: Mapping[str, Coroutine[Any, Any, None]]) -> None:
    """Runs all of them; raises what the first to fail raised."""
    tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        failed = [task for task in tasks if task.done()]
    finally:
        await _cancel(tasks)
    for task in failed:
        task.result()


async def _cancel(tasks: Iterable[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
