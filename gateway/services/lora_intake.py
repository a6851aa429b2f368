"""One LoRa radio's service: its frames through the link, whole messages to the recorder, answers back out."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from drivers.base import Broadcaster, Frame, LoraDownlink, Receiver, Transmitter, TxRequest
from drivers.errors import TransmitRefused
from gateway.clock import Clock
from gateway.core.lora.downlinks import Send
from gateway.core.lora.link import Event, LoraLink, Message
from gateway.core.lora.regions import Channel
from gateway.core.lora.windows import Heard
from gateway.core.restart import gravest

log = logging.getLogger(__name__)

MAX_SUBMITTED = 64  # messages with the recorder at once; above that frames wait in the driver's bounded queue
TX_TIMEOUT_S = 30.0  # a driver may hold a frame until its instant: the end of the common window at most
FIRST_NOTICE_S = 5.0
MAX_AGE_S = 30.0  # of a frame; more means that the wall clock stepped

Submit = Callable[[bytes, str, str], Awaitable[bytes]]
"""``submit(message, peer, correlation) -> answer``: commits before it returns; refusals are answers too."""


Cover = Callable[[Send], Awaitable[None]]
"""Returns when the frame's airtime is on disk; OSError: it may not be sent."""


@dataclass(frozen=True, slots=True)
class Notice:
    """What goes to all, by every transmitter, each ``period_s``: built anew each time."""

    period_s: float
    channel: Channel
    build: Callable[[], Awaitable[bytes]]


class LoraRadio(Receiver, Transmitter, Protocol):
    """A driver that hears and sends."""


class LoraIntake:
    """Runs one radio until it is lost or the task is cancelled; may be run again, and the link remembers.

    Tasks: one hears, one keeps the link's appointments, one gives the periodic notice, and a bounded number
    wait for the recorder or for the radio's word on a downlink. All of them end with :meth:`run`.
    """

    def __init__(
        self,
        name: str,
        radio: LoraRadio,
        link: LoraLink,
        submit: Submit,
        *,
        clock: Clock,
        cover: Cover | None = None,
        notice: Notice | None = None,
    ) -> None:
        self.name = name
        self.link = link
        self._radio = radio
        self._submit = submit
        self._clock = clock
        self._cover = cover
        self._notice = notice
        self._appointments = asyncio.Event()
        self._room = asyncio.Semaphore(MAX_SUBMITTED)

    async def run(self) -> None:
        """Raises :class:`drivers.errors.DriverLost` when the radio is gone: back off and run again."""
        self._room = asyncio.Semaphore(MAX_SUBMITTED)
        self.link.interrupted()  # what a run before this one had with the recorder went down with it
        try:
            async with self._radio, asyncio.TaskGroup() as tasks:
                keeper = tasks.create_task(self._keep_appointments(tasks), name=f"{self.name}-windows")
                crier = tasks.create_task(self._give_notice(tasks), name=f"{self.name}-notice")
                async for frame in self._radio.frames():
                    await self._take(frame, tasks)
                    # A forged fragment may cost 2 ms, and a thousand frames may wait: others have their turn.
                    await asyncio.sleep(0)
                keeper.cancel()
                crier.cancel()
        except ExceptionGroup as group:
            raise gravest(group) from None

    async def _take(self, frame: Frame, tasks: asyncio.TaskGroup) -> None:
        now = self._clock.monotonic()
        heard = _heard(frame, now - self._age_s(frame))
        if heard is None:
            self.link.counts["not_lora"] += 1
            return
        for event in self.link.receive(frame.payload, heard, now):
            if isinstance(event, Message):
                await self._room.acquire()
                name = f"{self.name}-{event.context.correlation}"
                tasks.create_task(self._record(event, tasks), name=name)
            else:
                self._send([event], tasks)
        self._appointments.set()

    async def _record(self, message: Message, tasks: asyncio.TaskGroup) -> None:
        context = message.context
        log.debug("message", extra={"radio": self.name, "correlation": context.correlation})
        try:
            answer = await self._submit(message.content, context.peer, context.correlation)
        finally:
            self._room.release()
        self._send(self.link.answer(context, answer, self._clock.monotonic()), tasks)

    def _send(self, events: Iterable[Event], tasks: asyncio.TaskGroup) -> None:
        """Hand frames to the radio; their number is bounded by the airtime that the link books for each."""
        for event in events:
            if isinstance(event, Send):
                tasks.create_task(self._transmit(event, tasks), name=f"{self.name}-transmit")
        self._appointments.set()

    async def _transmit(self, send: Send, tasks: asyncio.TaskGroup) -> None:
        try:
            if self._cover is not None:
                await self._cover(send)
        except OSError:  # said where it failed
            self._refused(send, "airtime_unsaved", tasks)
            return
        try:
            await self._radio.transmit(_request(send))
        except TransmitRefused as refusal:
            log.debug("not sent", extra={"radio": self.name, "reason": refusal.reason, "seen": str(refusal)})
            self._refused(send, refusal.reason, tasks, on_air=refusal.on_air)
        else:
            self.link.sent(send)

    def _refused(self, send: Send, reason: str, tasks: asyncio.TaskGroup, *, on_air: bool = False) -> None:
        self._send(self.link.refused(send, reason, self._clock.monotonic(), on_air=on_air), tasks)

    async def _give_notice(self, tasks: asyncio.TaskGroup) -> None:
        """Each period, the first soon after the start; a radio that must be asked first gives none."""
        notice, radio = self._notice, self._radio
        if notice is None or not isinstance(radio, Broadcaster):
            return
        await self._clock.sleep(FIRST_NOTICE_S)
        while True:
            message = await notice.build()
            now = self._clock.monotonic()
            for concentrator, reply_to in radio.routes().items():
                self._send(self.link.broadcast(message, notice.channel, concentrator, reply_to, now), tasks)
            await self._clock.sleep(notice.period_s)

    async def _keep_appointments(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            self._appointments.clear()
            due = self.link.next_due()
            delay = None if due is None else max(0.0, due - self._clock.monotonic())
            await self._wait(delay)
            self._send(self.link.due(self._clock.monotonic()), tasks)

    async def _wait(self, delay: float | None) -> None:
        """Until the delay is over or the link has new appointments."""
        if delay is None:
            await self._appointments.wait()
            return
        sleep = asyncio.ensure_future(self._clock.sleep(delay))
        news = asyncio.ensure_future(self._appointments.wait())
        try:
            await asyncio.wait((sleep, news), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()
            news.cancel()

    def _age_s(self, frame: Frame) -> float:
        """How long the frame has waited for us; 0 where the two clocks cannot be compared."""
        age = (self._clock.unix_ns() - frame.received_unix_ns) / 1e9
        return age if not frame.utc_from_radio and 0 <= age <= MAX_AGE_S else 0.0


def _heard(frame: Frame, at: float) -> Heard | None:
    lora = frame.lora
    if lora is None or lora.spreading_factor == 0:
        return None
    return Heard(
        concentrator=lora.concentrator,
        peer=frame.peer,
        counter_us=lora.counter_us,
        frequency_hz=lora.frequency_hz,
        spreading_factor=lora.spreading_factor,
        bandwidth_hz=lora.bandwidth_hz,
        snr_db=lora.snr_db,
        at=at,
        reply_to=frame.reply_to,
    )


def _request(send: Send) -> TxRequest:
    channel = send.booking.channel
    return TxRequest(
        payload=send.payload,
        reply_to=send.reply_to,
        lora=LoraDownlink(
            frequency_hz=channel.frequency_hz,
            spreading_factor=channel.rate.spreading_factor,
            bandwidth_hz=channel.rate.bandwidth_hz,
            power_dbm=send.power_dbm,
            counter_us=send.counter_us,
        ),
        priority=int(send.priority),
        timeout_s=TX_TIMEOUT_S,
    )
