"""Text messages: what wallets and people send is answered in its own form, and the radio told it may let go.

What is answered goes to the radio's queue on disk before the message is settled: a crash in between costs an
answer twice, never one that is owed.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from drivers.base import Acknowledger, Frame, Receiver, Transmitter, TxRequest
from drivers.errors import DriverLost, TransmitRefused
from gateway.clock import Clock
from gateway.core.answer import Answer
from gateway.core.message.downlink import Beacon, Promise
from gateway.core.refusal import Refusal, Refused
from gateway.core.sms.courtesy import Courtesy
from gateway.core.sms.intent import Intent
from gateway.core.sms.packed import PackedReceipt
from gateway.core.sms.reading import Carried, Nothing, Read, is_text, read, transactions_message, write
from gateway.core.sms.words import ENGLISH, Asked, Language, Word
from gateway.core.wallet.transaction import Transaction
from gateway.model import Head, Source

log = logging.getLogger(__name__)

MAX_SUBMITTED = 64
"""Messages being answered at once; above that they wait in the driver's queue, and then on the SIM."""

MAX_PAYMENTS = 1024
"""Payments to which a receipt may still come; the one brought longest ago is forgotten."""


ANSWERS = 1
"""Priority of answers; 0, and what a day's budget keeps back for it, is the last way home's."""


class Radio(Receiver, Transmitter, Protocol):
    """What hears and sends."""


class Reception(Protocol):
    """What is asked of it."""

    def arrived(self, source: Source, size: int) -> None: ...
    def refuse(self, source: Source, refused: Refused) -> Answer: ...
    async def message(self, source: Source, data: bytes) -> Answer: ...
    async def beacon(self, *, checkpoint: bool = True) -> Answer: ...
    async def seen_size(self) -> int: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where it is: the radio's configured name, the gateway's id, how long a busy store may wait."""

    radio: str
    gateway_id: str
    linger_s: float


class SmsIntake:
    """Owned by the event loop. ``noted`` is told the radio and a word for what never reaches reception."""

    def __init__(
        self,
        desk: Desk,
        reception: Reception,
        head: Callable[[], Awaitable[Head]],
        courtesy: Courtesy,
        clock: Clock,
        noted: Callable[[str, str], None],
    ) -> None:
        self._desk = desk
        self._reception = reception
        self._head = head
        self._courtesy = courtesy
        self._clock = clock
        self._noted = noted
        self._payments: OrderedDict[str, Transaction] = OrderedDict()

    async def take(self, radio: Radio, keeper: Acknowledger | None) -> None:
        """Open the radio and answer until cancelled.

        Raises DriverLost when the radio is gone, perhaps in a group with what failed beside it.
        """
        room = asyncio.Semaphore(MAX_SUBMITTED)
        async with radio, asyncio.TaskGroup() as answers:
            async for frame in radio.frames():
                await room.acquire()
                task = answers.create_task(self._serve(radio, keeper, frame))
                task.add_done_callback(lambda _: room.release())
        raise DriverLost(f"{self._desk.radio} ended by itself")

    async def answer(self, payload: bytes, number: str) -> bytes | None:
        """Take one message; None where nothing is answered."""
        correlation_id = secrets.token_hex(6)
        source = Source(
            radio=self._desk.radio, peer=number, correlation_id=correlation_id, linger_s=self._desk.linger_s
        )
        try:
            self._reception.arrived(source, len(payload))
            seen = read(payload)
        except Refused as refused:
            told = self._reception.refuse(source, refused)
            return await self._written(payload, number, told, packed=True)
        return await self._answer(source, payload, seen)

    async def _serve(self, radio: Radio, keeper: Acknowledger | None, frame: Frame) -> None:
        answer = await self.answer(frame.payload, frame.peer)
        if answer is not None:
            try:  # into the queue on disk; the network takes it in its own time
                await radio.transmit(
                    TxRequest(payload=answer, reply_to=frame.reply_to, priority=ANSWERS, timeout_s=0)
                )
            except TransmitRefused as refusal:  # the sender will ask again, and gets the same answer
                log.debug("not sent", extra={"radio": self._desk.radio, "reason": refusal.reason})
        if keeper is not None:
            await keeper.settled(frame)

    async def _answer(self, source: Source, payload: bytes, seen: Read) -> bytes | None:
        match seen:
            case Carried(message):
                return await self._carried(source, payload, message)
            case Transaction():
                return await self._payment(source, payload, seen)
            case PackedReceipt():
                return await self._receipt(source, payload, seen)
            case Intent():
                return self._intent(source, seen)
            case Asked():
                return await self._asked(source, seen)
            case Nothing():
                self._noted(source.radio, "ignored")
        return None

    async def _carried(self, source: Source, payload: bytes, message: bytes) -> bytes | None:
        answer = await self._reception.message(source, message)
        if isinstance(answer.message, Beacon):  # the checkpoint would cost two more messages
            answer = await self._reception.beacon(checkpoint=False)
        return await self._written(payload, source.peer, answer, packed=False)

    async def _payment(self, source: Source, payload: bytes, payment: Transaction) -> bytes | None:
        answer = await self._reception.message(source, transactions_message(payment))
        if isinstance(answer.message, Promise):
            self._remember(payment, verified=not _unverified(answer))
        return await self._written(payload, source.peer, answer, packed=True)

    async def _receipt(self, source: Source, payload: bytes, packed: PackedReceipt) -> bytes | None:
        payment = self._payments.get(packed.transaction_id)
        if payment is None:
            answer = self._reception.refuse(source, Refused(Refusal.NOT_FOUND, "send the payment first"))
        else:
            answer = await self._reception.message(source, transactions_message(payment, packed.receipt))
        return await self._written(payload, source.peer, answer, packed=True)

    def _remember(self, payment: Transaction, *, verified: bool) -> None:
        """Of several under one id the one that verified, else the first."""
        if verified or payment.id not in self._payments:
            self._payments[payment.id] = payment
            self._payments.move_to_end(payment.id)
        if len(self._payments) > MAX_PAYMENTS:
            self._payments.popitem(last=False)

    def _intent(self, source: Source, intent: Intent) -> bytes | None:
        """Noted for people, never logged as a payment: half a signature proves nothing."""
        if not self._courtesy.is_new(intent.line):
            self._noted(source.radio, "ignored")
            return None
        self._noted(source.radio, "intent")
        log.info(
            "unverified intent",
            extra={"radio": source.radio, "peer": source.peer, "line": intent.line},
        )
        return self._said(source.peer, ENGLISH.intent.format(id=self._desk.gateway_id))

    async def _asked(self, source: Source, asked: Asked) -> bytes | None:
        self._noted(source.radio, asked.word.value)
        head, seen = await self._head(), await self._reception.seen_size()
        text = asked.language.help
        if asked.word is Word.STATUS:
            text = _state(asked.language, head, seen)
        figures = {"held": head.size, "synced": head.acked_size, "told": seen}
        return self._said(source.peer, text.format(id=self._desk.gateway_id, **figures))

    def _said(self, number: str, text: str) -> bytes | None:
        return text.encode() if self._may_answer(number) else None

    async def _written(self, payload: bytes, number: str, answer: Answer, *, packed: bool) -> bytes | None:
        if not self._may_answer(number):
            return None
        promise = answer.message if isinstance(answer.message, Promise) else None
        return write(
            answer.message if packed or promise is None else answer.told,
            as_text=is_text(payload),
            packed=packed,
            unverified=_unverified(answer),
            conflict=bool(answer.conflicts),
            seen=promise is not None and promise.entries[-1].index < await self._reception.seen_size(),
        )

    def _may_answer(self, number: str) -> bool:
        if self._courtesy.may_answer(number, self._clock.monotonic()):
            return True
        self._noted(self._desk.radio, "unanswered")
        return False


def _unverified(answer: Answer) -> bool:
    return answer.tally is not None and answer.tally.unverified > 0


def _state(language: Language, head: Head, seen: int) -> str:
    if head.halted is not None:
        return language.halted
    return language.told if seen > head.acked_size else language.status
