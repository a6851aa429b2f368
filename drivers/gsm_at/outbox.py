"""The queue of messages to send: on disk before it is promised, off disk when the network took it.

An attempt is on disk before it is made, so that a message that kills the modem, or us, is counted. A message
whose outcome is unknown is sent again, part for part as before: who receives it joins the same parts, and
wallets know a receipt they have. A message that cannot be sent is set aside, never in the way of the others.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, OrderedDict
from dataclasses import dataclass, replace

from drivers.base import Clock
from drivers.errors import TransmitRefused
from drivers.gsm_at.answers import message_reference
from drivers.gsm_at.budget import Budget, DayCount
from drivers.gsm_at.disk import Disk
from drivers.gsm_at.octets import Address
from drivers.gsm_at.pdu import StatusReport, Submit, to_hex
from drivers.gsm_at.records import (
    BadRecord,
    Outgoing,
    count_from_bytes,
    count_to_bytes,
    outgoing_from_bytes,
    outgoing_key,
    outgoing_to_bytes,
)
from drivers.gsm_at.segments import DCS, split, text_data
from drivers.gsm_at.session import Session, Unanswered
from drivers.gsm_at.settings import GsmSettings
from drivers.gsm_at.spool import QUEUE, STATE
from drivers.gsm_at.userdata import Coding, UserData
from drivers.gsm_at.verdict import Verdict, judge

log = logging.getLogger(__name__)

MAX_REPORTS = 512  # messages whose report is awaited; the oldest is no longer
URGENT = 8  # messages of priority 0 for which there is room when the queue is full
VALIDITY = 167  # one day (TS 23.040 clause 9.2.3.12.1): an older receipt is asked for again
COUNT_RECORD, COUNT_STEP = "spent", 5  # the day's count is written ahead in steps, to spare the disk
BACKOFF_S = (5.0, 10.0, 20.0, 40.0, 60.0)


@dataclass(slots=True)
class _Waiting:
    """A queued message, and whoever waits to hear that it is out."""

    message: Outgoing
    not_before_s: float = 0.0
    setbacks: int = 0
    done: asyncio.Future[None] | None = None


class Outbox:
    """Owned by the driver's sending task; :meth:`enqueue` may be called by any on the loop."""

    def __init__(self, name: str, settings: GsmSettings, disk: Disk, clock: Clock) -> None:
        self._name, self._settings, self._disk, self._clock = name, settings, disk, clock
        self._queue: dict[str, _Waiting] = {}
        self._reports: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._budget = self._fresh_budget(DayCount())
        self._written = DayCount()
        self.news = asyncio.Event()
        self.transmits: Counter[str] = Counter()  # whole messages: ``sent``, or why not
        self.parts: Counter[str] = Counter()  # what is paid for, and what became of it

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def left_today(self) -> int:
        return self._budget.left(self._clock.unix_ns() / 1e9, self._clock.monotonic())

    async def load(self) -> None:
        """What was queued before: any of it may have been sent."""
        queued = await self._disk.load(QUEUE, outgoing_from_bytes)
        self._queue = {key: _Waiting(message) for key, message in queued.items()}
        record = await self._disk.state(COUNT_RECORD)
        try:
            self._written = DayCount() if record is None else count_from_bytes(record)
        except BadRecord:
            self._written = DayCount()  # a day's budget at most is spent twice
        self._budget = self._fresh_budget(self._written)
        self.news.set()

    async def enqueue(self, number: str, payload: bytes, text: bool, priority: int) -> asyncio.Future[None]:
        """On disk when it returns; the future is done when the network took all parts.

        Raises :class:`TransmitRefused`: ``size``, ``no_route``, ``queue_full``, ``budget``, ``unsupported``.
        """
        key = outgoing_key(number, payload, text)
        waiting = self._queue.get(key)
        if waiting is None:
            message = self._new(key, number, payload, text, priority)
            await self._disk.put(QUEUE, key, outgoing_to_bytes(message))
            waiting = self._queue.setdefault(key, _Waiting(message))
        if waiting.done is None:
            waiting.done = asyncio.get_running_loop().create_future()
        self.news.set()
        return waiting.done

    def due_in_s(self) -> float | None:
        """Seconds until something may be sent; None when there is nothing, or no budget today."""
        chosen = self._chosen()
        if chosen is None:
            return None
        now = self._clock.monotonic()
        return max(0.0, chosen.not_before_s - now, self._budget.wait_s(now))

    async def work(self, session: Session) -> None:
        """Send one part, or find out why not. Raises what :class:`Session` raises, the message kept."""
        chosen = self._chosen()
        if chosen is None:
            return
        if seen := self._hopeless(chosen.message):
            await self._set_aside(chosen, seen)
            return
        if chosen.message.parts_sent == 0:
            await self._begin(chosen)
        try:
            await self._send_part(session, chosen)
        except Unanswered as unanswered:
            self.parts["unknown" if unanswered.sent else "unanswered"] += 1
            verdict = Verdict.FAILED if unanswered.sent else Verdict.NOT_NOW
            await self._setback(chosen, verdict, str(unanswered))
            raise

    def report(self, report: StatusReport) -> None:
        """A status report arrived: whose is it?"""
        name = (str(report.recipient), report.reference)
        if name not in self._reports:
            self.parts["report_unmatched"] += 1
            return
        if report.final:
            key = self._reports.pop(name)
            self.parts["delivered" if report.delivered else "undelivered"] += 1
            if not report.delivered:
                log.info("not delivered", extra={"radio": self._name, "key": key, "status": report.status})

    def release(self) -> None:
        """We close: nobody need wait for what stays queued."""
        for waiting in self._queue.values():
            if waiting.done is not None and not waiting.done.done():
                waiting.done.cancel()

    def _new(self, key: str, number: str, payload: bytes, text: bool, priority: int) -> Outgoing:
        try:
            Address.parse(number)
        except ValueError as error:
            raise TransmitRefused("no_route", str(error)) from error
        if len(self._queue) >= self._settings.queue + (URGENT if priority == 0 else 0):
            raise TransmitRefused("queue_full", f"{len(self._queue)} messages wait")
        message = Outgoing(
            key=key,
            number=number,
            payload=payload,
            text=text,
            priority=priority,
            queued_unix_s=self._clock.unix_ns() / 1e9,
            reference=self._reference(key, number),
        )
        count = len(_parts(message))
        if not payload or count > self._settings.max_parts:
            raise TransmitRefused(
                "size", f"{len(payload)} bytes are {count} messages, 1 to {self._settings.max_parts}"
            )
        now = self._clock.unix_ns() / 1e9, self._clock.monotonic()
        if self._budget.left(*now, priority=priority) < count:
            raise TransmitRefused("budget", f"{count} messages are more than today's budget holds")
        return message

    def _reference(self, key: str, number: str) -> int:
        """Not one that another message to this number is sent under."""
        taken = {one.message.reference for one in self._queue.values() if one.message.number == number}
        first = int(key[:2], 16)
        return next((first + step) % 256 for step in range(256) if (first + step) % 256 not in taken)

    def _chosen(self) -> _Waiting | None:
        """By priority, then age; a message begun is finished first. What must wait longer does not block."""
        now, monotonic = self._clock.unix_ns() / 1e9, self._clock.monotonic()
        payable = [
            one
            for one in self._queue.values()
            if self._budget.left(now, monotonic, priority=one.message.priority) > 0
        ]
        if not payable:
            return None
        return min(
            payable,
            key=lambda one: (
                max(one.not_before_s, monotonic),
                one.message.parts_sent == 0,
                one.message.priority,
                one.message.queued_unix_s,
            ),
        )

    async def _begin(self, waiting: _Waiting) -> None:
        waiting.message = replace(waiting.message, attempts=waiting.message.attempts + 1)
        await self._save(waiting)

    async def _send_part(self, session: Session, waiting: _Waiting) -> None:
        message = waiting.message
        part = _parts(message)[message.parts_sent]
        submit = Submit(
            destination=Address.parse(message.number),
            user_data=part,
            dcs=DCS[part.coding],
            validity=VALIDITY,
            report_requested=self._settings.status_reports,
        )
        await self._spend()
        reply = await session.send(len(submit.tpdu()), to_hex(submit), self._settings.send_s)
        verdict = judge(reply)
        if verdict is Verdict.SENT:
            await self._part_sent(waiting, message_reference(reply.lines))
        else:
            self._budget.refund()  # what the network refuses it does not charge
            self.parts["paid"] -= 1
            self.parts[f"{reply.result.lower()}_{reply.code}"] += 1
            await self._setback(waiting, verdict, f"{reply.result} {reply.code}")

    async def _spend(self) -> None:
        """Count it, on disk before it is sent, in steps: a restart forgets none and may count some twice."""
        self._budget.spend(self._clock.unix_ns() / 1e9, self._clock.monotonic())
        self.parts["paid"] += 1
        count = self._budget.count
        if count.day != self._written.day or count.spent > self._written.spent:
            self._written = DayCount(count.day, count.spent - 1 + COUNT_STEP)
            await self._disk.put(STATE, COUNT_RECORD, count_to_bytes(self._written))

    async def _part_sent(self, waiting: _Waiting, reference: int | None) -> None:
        message = waiting.message
        if reference is not None and self._settings.status_reports:
            self._reports[message.number, reference] = message.key
            self._reports.move_to_end((message.number, reference))
            while len(self._reports) > MAX_REPORTS:
                self._reports.popitem(last=False)
        waiting.message = replace(message, parts_sent=message.parts_sent + 1)
        waiting.setbacks = 0
        if waiting.message.parts_sent < len(_parts(message)):
            await self._save(waiting)
            return
        self.transmits["sent"] += 1
        await self._drop(waiting)
        if waiting.done is not None and not waiting.done.done():
            waiting.done.set_result(None)

    async def _setback(self, waiting: _Waiting, verdict: Verdict, seen: str) -> None:
        message = waiting.message
        if verdict is Verdict.NOT_NOW:
            waiting.message = replace(message, attempts=max(0, message.attempts - (message.parts_sent == 0)))
        elif message.parts_sent:
            waiting.message = replace(message, attempts=message.attempts + 1)
        waiting.setbacks += 1
        delay = BACKOFF_S[min(waiting.setbacks, len(BACKOFF_S)) - 1]
        waiting.not_before_s = self._clock.monotonic() + delay
        if verdict is Verdict.REFUSED or waiting.message.attempts >= self._settings.attempts:
            await self._set_aside(waiting, seen)
        else:
            await self._save(waiting)

    def _hopeless(self, message: Outgoing) -> str:
        """Why not even to try; one at its last attempt when we died is not tried for ever."""
        if self._clock.unix_ns() / 1e9 - message.queued_unix_s > self._settings.message_expire_h * 3600:
            return "expired"
        return "attempts" if message.attempts >= self._settings.attempts else ""

    async def _set_aside(self, waiting: _Waiting, seen: str) -> None:
        """For a person to look at; a crash in between leaves it in both places, and it is tried again."""
        self.parts["set_aside"] += 1
        log.warning(
            "message set aside", extra={"radio": self._name, "key": waiting.message.key, "seen": seen}
        )
        await self._disk.set_aside(f"message-{waiting.message.key}", outgoing_to_bytes(waiting.message))
        await self._drop(waiting)
        if waiting.done is not None and not waiting.done.done():
            waiting.done.set_exception(TransmitRefused("no_route", f"set aside: {seen}"))
            waiting.done.exception()  # perhaps nobody waits any longer

    async def _save(self, waiting: _Waiting) -> None:
        await self._disk.put(QUEUE, waiting.message.key, outgoing_to_bytes(waiting.message))

    async def _drop(self, waiting: _Waiting) -> None:
        """Off the disk first: who sees an empty queue and closes would leave it to be paid again."""
        await self._disk.remove(QUEUE, waiting.message.key)
        self._queue.pop(waiting.message.key, None)

    def _fresh_budget(self, remembered: DayCount) -> Budget:
        return Budget(
            per_minute=self._settings.per_minute,
            per_day=self._settings.per_day,
            reserve=self._settings.per_day_reserve,
            remembered=remembered,
            monotonic_s=self._clock.monotonic(),
        )


def _parts(message: Outgoing) -> list[UserData]:
    """Always the same for the same message. Raises :class:`TransmitRefused` for what no parts can hold."""
    try:
        whole = (
            text_data(message.payload.decode()) if message.text else UserData(Coding.OCTETS, message.payload)
        )
        return split(whole, message.reference)
    except UnicodeDecodeError as error:
        raise TransmitRefused("unsupported", "a text answer that is not UTF-8") from error
    except ValueError as error:
        raise TransmitRefused("size", str(error)) from error
