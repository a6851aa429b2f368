"""From slots on a SIM to frames, and slots emptied once what they held is safe.

A message of one part stays on the SIM until :meth:`Inbox.settled` says that the gateway keeps it. A part of
several is written to disk, then deleted from the SIM, so that long messages need not fit there; the whole
stays on disk until it is settled. What a crash leaves at any point is found again by the next sweep, as a
message that is delivered once more: the gateway knows its content.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256

from drivers.base import Clock, Frame
from drivers.frames import FrameQueue
from drivers.gsm_at import answers
from drivers.gsm_at.answers import Slot, Storage
from drivers.gsm_at.disk import Disk
from drivers.gsm_at.engine import Reply
from drivers.gsm_at.octets import PduError
from drivers.gsm_at.pdu import Deliver, StatusReport, decode_incoming
from drivers.gsm_at.reassembly import Joined, Part, Reassembly
from drivers.gsm_at.records import part_from_bytes, part_to_bytes
from drivers.gsm_at.session import Session
from drivers.gsm_at.spool import PARTS
from drivers.gsm_at.userdata import Coding, text_of

log = logging.getLogger(__name__)

RECEIVED = (0, 1)  # unread and read; what others left to be sent is not ours
MAX_ARRIVALS = 256  # indications waiting; what exceeds it is found by the sweep
MAX_SETTLED = 1024
MAX_STORED = 4096  # parts on disk; above it they stay on the SIM, and then with the service centre


@dataclass(frozen=True, slots=True)
class SmsPath:
    """``reply_to`` of a frame: whom to answer, in what they wrote, and the name by which it is settled."""

    number: str
    text: bool
    key: str


@dataclass(slots=True)
class _Outstanding:
    """A frame the gateway has not settled: where it lies on the SIM, or the parts on disk."""

    frame: Frame
    places: set[tuple[str, int]] = field(default_factory=set)
    parts: tuple[str, ...] = ()
    queued: bool = False
    refused: bool = False  # counted once, however often it is offered


class Inbox:
    """Owned by the driver's receiving task; :meth:`settled` may be called by any on the loop."""

    def __init__(
        self,
        name: str,
        queue: FrameQueue,
        disk: Disk,
        clock: Clock,
        *,
        expire_s: float,
        on_report: Callable[[StatusReport], None],
    ) -> None:
        self._name, self._queue, self._disk, self._clock = name, queue, disk, clock
        self._on_report = on_report
        self._reassembly = Reassembly(expire_s)
        self._outstanding: dict[str, _Outstanding] = {}
        self._settled: dict[str, None] = {}
        self._arrivals: dict[tuple[str, int], None] = {}
        self._stored: dict[str, Part] = {}
        self.frames: Counter[str] = Counter()
        self.fill: dict[str, Storage] = {}

    async def load(self) -> None:
        """Parts that were on disk; a message that was whole but not settled is delivered again."""
        self._stored = await self._disk.load(PARTS, part_from_bytes)
        for part in list(self._stored.values()):
            added = self._reassembly.add(part)
            if added.joined is not None:
                self._deliver_joined(added.joined)
            await self._forget(added.dropped)

    def arrived(self, storage: str, index: int) -> None:
        if len(self._arrivals) < MAX_ARRIVALS:
            self._arrivals[storage, index] = None

    def forget_places(self) -> None:
        """The SIM may be another one: slots are known again when the next sweep has seen them."""
        self._arrivals.clear()
        for outstanding in self._outstanding.values():
            outstanding.places.clear()

    def settled(self, frame: Frame) -> None:
        """The gateway keeps it, or has refused it for good: it may go."""
        if isinstance(frame.reply_to, SmsPath):
            self._settled[frame.reply_to.key] = None
            while len(self._settled) > MAX_SETTLED:  # the oldest would be delivered and settled once more
                del self._settled[next(iter(self._settled))]

    @property
    def waiting(self) -> int:
        """Is there anything to be done before the next sweep?"""
        return len(self._arrivals) + sum(key in self._settled for key in self._outstanding)

    async def work(self, session: Session) -> None:
        """Read what was told, delete what is settled."""
        while self._arrivals:
            storage, index = next(iter(self._arrivals))
            del self._arrivals[storage, index]
            reply = await self._in_storage(session, storage, f"+CMGR={index}")
            slot = answers.read_message(reply.lines, index)
            if slot is not None:
                await self._take(session, storage, slot)
        await self._delete_settled(session)

    async def sweep(self, session: Session, storages: tuple[str, ...]) -> None:
        """Look into every slot: indications get lost, and a full SIM gives none."""
        for outstanding in self._outstanding.values():
            self._offer(outstanding)
        for storage in storages:
            reply = await self._in_storage(session, storage, "+CMGL=4")
            for slot in answers.listed(reply.lines):
                if slot.kind in RECEIVED:
                    await self._take(session, storage, slot)
        await self._delete_settled(session)
        await self._forget(self._reassembly.expire(self._clock.unix_ns() / 1e9))

    async def _in_storage(self, session: Session, storage: str, command: str) -> Reply:
        """Choose the storage and act on it in one line: a modem that restarts in between chooses another,
        and the slot of that number there is somebody else's message."""
        reply = await session.ask(f'AT+CPMS="{storage}";{command}', session.slow_s)
        fill = answers.storage_fill(reply.lines)
        if fill is not None:
            self.fill[storage] = fill
        return reply

    async def _take(self, session: Session, storage: str, slot: Slot) -> None:
        """One slot, whatever it holds; what cannot be read is set aside and does not stop the others."""
        key = sha256(slot.pdu.encode("latin-1", "replace")).hexdigest()[:32]
        known = self._outstanding.get(key)
        if known is not None:
            known.places.add((storage, slot.index))
            return
        if key in self._settled:
            await self._delete(session, storage, slot.index)
            return
        try:
            message = decode_incoming(slot.pdu)
        except PduError as error:
            self.frames[f"malformed_{error.kind}"] += 1
            log.warning("slot cannot be read", extra={"radio": self._name, "seen": str(error)})
            await self._disk.set_aside(f"slot-{key}", slot.pdu.encode("latin-1", "replace"))
            await self._delete(session, storage, slot.index)
            return
        if isinstance(message, StatusReport):
            self._on_report(message)
            await self._delete(session, storage, slot.index)
        elif message.sender.alphanumeric or not message.sender.value:
            # A machine that cannot be answered, such as the operator's own notices.
            self.frames["unanswerable"] += 1
            await self._delete(session, storage, slot.index)
        elif message.user_data.concatenation is not None:
            await self._take_part(session, message, key, storage, slot.index)
        else:
            frame = self._frame(str(message.sender), message.user_data.coding, message.user_data.data, key)
            self._outstand(key, _Outstanding(frame, {(storage, slot.index)}))

    async def _take_part(
        self, session: Session, message: Deliver, key: str, storage: str, index: int
    ) -> None:
        concatenation = message.user_data.concatenation
        assert concatenation is not None  # noqa: S101 - the caller looked
        if len(self._stored) >= MAX_STORED:
            self.frames["parts_full"] += 1
            return
        part = Part(
            sender=str(message.sender),
            coding=message.user_data.coding,
            reference=concatenation.reference,
            reference_bits=concatenation.bits,
            total=concatenation.total,
            sequence=concatenation.sequence,
            data=message.user_data.data,
            received_unix_s=self._clock.unix_ns() / 1e9,
            digest=key,
        )
        added = self._reassembly.add(part)
        if added.duplicate:
            self.frames["duplicate"] += 1
        else:
            # A crash before this leaves the slot, after it slot and record: the slot is then a duplicate.
            await self._disk.put(PARTS, key, part_to_bytes(part))
            self._stored[key] = part
            self.frames["part"] += 1
        await self._delete(session, storage, index)
        if added.joined is not None:
            self._deliver_joined(added.joined)
        await self._forget(added.dropped)

    def _deliver_joined(self, joined: Joined) -> None:
        first = joined.parts[0]
        names = tuple(part.digest for part in joined.parts)
        key = sha256("".join(names).encode()).hexdigest()[:32]
        frame = self._frame(first.sender, first.coding, joined.data, key)
        self._outstand(key, _Outstanding(frame, parts=names))

    def _frame(self, sender: str, coding: Coding, data: bytes, key: str) -> Frame:
        text = coding is not Coding.OCTETS
        return Frame(
            radio=self._name,
            payload=text_of(coding, data).encode("utf-8", "replace") if text else data,
            peer=sender,
            received_unix_ns=self._clock.unix_ns(),
            reply_to=SmsPath(sender, text, key),
        )

    def _outstand(self, key: str, outstanding: _Outstanding) -> None:
        self._outstanding[key] = outstanding
        self._offer(outstanding)

    def _offer(self, outstanding: _Outstanding) -> None:
        """Into the queue; when it is full the message stays where it lies until the next sweep."""
        if not outstanding.queued:
            outstanding.queued = self._queue.put(outstanding.frame)
            if outstanding.queued:
                self.frames["ok"] += 1
            elif not outstanding.refused:
                outstanding.refused = True
                self.frames["queue_full"] += 1

    async def _delete_settled(self, session: Session) -> None:
        for key in [key for key in self._outstanding if key in self._settled]:
            outstanding = self._outstanding[key]
            for storage, index in list(outstanding.places):
                await self._delete(session, storage, index)
            for name in outstanding.parts:
                await self._disk.remove(PARTS, name)
                self._stored.pop(name, None)
            # Where its slot was lost from sight the key stays settled, and the sweep deletes it.
            del self._outstanding[key]

    async def _delete(self, session: Session, storage: str, index: int) -> None:
        """A slot that cannot be emptied now is met again by the next sweep, and known."""
        reply = await self._in_storage(session, storage, f"+CMGD={index}")
        if not reply.ok:
            self.frames["delete_refused"] += 1
            log.debug("slot not deleted", extra={"radio": self._name, "storage": storage, "slot": index})

    async def _forget(self, parts: tuple[Part, ...]) -> None:
        for part in parts:
            self.frames["expired"] += 1
            self._stored.pop(part.digest, None)
            await self._disk.remove(PARTS, part.digest)
