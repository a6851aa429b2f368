"""The shell round a GSM modem: text messages in as frames, frames out as text messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from drivers.base import Check, Clock, DriverStats, Frame, TxReceipt, TxRequest
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.frames import FrameQueue
from drivers.gsm_at import answers
from drivers.gsm_at.bringup import SimMissing, bring_up
from drivers.gsm_at.condition import FULL, REGISTERED, SIM_GONE, SIM_HERE, Condition
from drivers.gsm_at.disk import Disk
from drivers.gsm_at.engine import Urc
from drivers.gsm_at.inbox import Inbox, SmsPath
from drivers.gsm_at.octets import PduError
from drivers.gsm_at.outbox import Outbox
from drivers.gsm_at.pdu import StatusReport, decode_incoming
from drivers.gsm_at.rescue import Rescue, in_order
from drivers.gsm_at.selftest import self_test
from drivers.gsm_at.session import RESTARTS, Session, Unanswered
from drivers.gsm_at.settings import GsmSettings
from drivers.gsm_at.spool import FileSpool, Spool
from drivers.transport.serial_port import SIMULATE, matching_ports, open_serial

log = logging.getLogger(__name__)

SIM_LOOK_S = 3.0  # between looks for a SIM that is missing
SPOOLS = Path("/var/lib/offgrid/gsm")


class GsmDriver:
    """A modem as a radio: :class:`drivers.base.Receiver` and :class:`drivers.base.Transmitter`.

    Settings: see :class:`drivers.gsm_at.settings.GsmSettings`. A frame's payload is a joined message: the
    octets of 8-bit data, or text as UTF-8; its ``peer`` the sender's number. **A frame that is not settled
    is delivered again**: hand it to :meth:`settled` once it is on disk, or refused for good, so that it may
    leave the SIM.
    """

    def __init__(
        self, name: str, settings: Mapping[str, Any], *, clock: Clock, spool: Spool | None = None
    ) -> None:
        self.name = name
        self._settings = GsmSettings.from_mapping(settings)
        self._clock = clock
        self._disk = Disk(spool or FileSpool(self._settings.spool or SPOOLS / name), self._settings.pin)
        self._rescue = Rescue(name, self._settings, self._disk, clock)
        self._outbox = Outbox(name, self._settings, self._disk, clock)
        self._queue = FrameQueue(self._settings.queue)
        self._inbox = self._fresh_inbox()
        self._seen = Condition()
        self._session: Session | None = None
        self._tasks: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()  # brought up; cleared by trouble, set by the keeping task
        self._mail = asyncio.Event()  # something for the inbox to do
        self._trouble = asyncio.Event()
        self._silent = False
        self._sweep_at = 0.0  # by the monotonic clock

    async def __aenter__(self) -> Self:
        self._queue = FrameQueue(self._settings.queue)
        self._inbox = self._fresh_inbox()
        self._outbox.transmits.clear()
        self._outbox.parts.clear()
        for event in (self._ready, self._mail, self._trouble):
            event.clear()
        try:
            await self._inbox.load()
            await self._outbox.load()
            self._session = await self._open()
            await self._bring_up(self._session)
        except OSError as error:
            await self._close()
            raise DriverLost(f"{self.name}: the spool cannot be used: {error}") from error
        except BaseException:
            await self._close()
            raise
        self._tasks = asyncio.create_task(self._run(self._session), name=f"gsm {self.name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        await self._close()

    async def _close(self) -> None:
        tasks, self._tasks = self._tasks, None
        if tasks is not None:
            tasks.cancel()
            await asyncio.gather(tasks, return_exceptions=True)
        session, self._session = self._session, None
        if session is not None:
            await session.close()
        self._outbox.release()

    def frames(self) -> AsyncIterator[Frame]:
        return self._queue.frames()

    async def settled(self, frame: Frame) -> None:
        """The gateway keeps this frame, or has refused it for good: it may leave the SIM and the spool.

        What is never settled is delivered again after the next opening. Settling twice, or after closing, is
        harmless.
        """
        self._inbox.settled(frame)
        self._mail.set()

    async def transmit(self, request: TxRequest) -> TxReceipt:
        """Queue a message on disk, then wait up to ``timeout_s`` for the network to take it.

        ``reply_to`` is a frame's, or a number such as ``+491700000002``: then printable UTF-8 goes as text,
        anything else as 8-bit data. A receipt that is not ``confirmed``: it is on disk and will be sent.
        Raises :class:`TransmitRefused` (``no_route``, ``size``, ``queue_full``, ``budget``, ``unsupported``)
        and :class:`DriverLost` when the spool cannot be written.
        """
        try:
            if self._session is None:
                raise TransmitRefused("no_route", f"{self.name} is closed")
            number, text = _route(request)
            done = await self._outbox.enqueue(number, request.payload, text, request.priority)
            await asyncio.wait((done,), timeout=request.timeout_s)
            if done.done() and not done.cancelled():
                done.result()
                return TxReceipt(confirmed=True)
        except TransmitRefused as refusal:
            self._outbox.transmits[refusal.reason] += 1
            raise
        except OSError as error:
            raise DriverLost(f"{self.name}: the spool cannot be used: {error}") from error
        return TxReceipt(confirmed=False)

    def stats(self) -> DriverStats:
        parts = {f"parts_{outcome}": float(count) for outcome, count in self._outbox.parts.items()}
        waiting = {
            "queue_frames": float(len(self._queue)),
            "queue_messages": float(len(self._outbox)),
            "messages_left_today": float(self._outbox.left_today),
            "set_aside": float(self._disk.aside),
            "modem_resets": float(self._rescue.resets),
        }
        return DriverStats(
            frames=dict(self._inbox.frames),
            transmits=dict(self._outbox.transmits),
            gauges=self._seen.gauges(self._inbox.fill) | waiting | parts,
            note=self._seen.note(self._inbox.fill, self._disk.aside),
        )

    def self_test(self) -> AsyncIterator[Check]:
        """Port, who else holds it, modem, SIM, storages, registration, signal."""
        return self_test(self._settings, self._disk)

    def _fresh_inbox(self) -> Inbox:
        return Inbox(
            self.name,
            self._queue,
            self._disk,
            self._clock,
            expire_s=self._settings.parts_expire_h * 3600,
            on_report=self._outbox.report,
        )

    # -- opening

    async def _open(self) -> Session:
        """The first port on which a modem answers; a silent one is revived when there is no other."""
        paths = in_order(matching_ports(self._settings.port), self._settings.interface)
        if not paths:
            raise DriverLost(f"no port matches {self._settings.port}; is the modem plugged in? {SIMULATE}")
        troubles: list[DriverLost | DriverConfigError] = []
        for revive in (False, True):
            for path in paths:
                try:
                    session = await self._try_port(path, revive=revive and path == paths[0])
                except (DriverLost, DriverConfigError) as error:
                    troubles.append(error)
                    continue
                if session is not None:
                    return session
        raise troubles[-1] if troubles else DriverLost(f"no modem answers on {', '.join(paths)}")

    async def _try_port(self, path: str, *, revive: bool) -> Session | None:
        port = await open_serial(path, self._settings.baud)
        session = Session(port, self._heard, timeout_s=self._settings.answer_s)
        try:
            if revive:
                await self._rescue.revive(session)
            else:
                await session.resync()
        except Unanswered:
            await session.close()
            return None
        except BaseException:
            await session.close()
            raise
        self._seen = Condition(port=path)
        return session

    async def _bring_up(self, session: Session) -> None:
        """A modem without a SIM, or still starting, is looked at again by the keeping task."""
        try:
            self._seen.abilities = await bring_up(session, self._settings.pin, self._disk)
        except SimMissing as missing:
            log.info("modem has no usable SIM", extra={"radio": self.name, "seen": str(missing)})
            self._seen.sim = False
            return
        except Unanswered as unanswered:
            raise DriverLost(f"{self.name}: {unanswered}") from unanswered
        self._seen.sim = True
        self._inbox.forget_places()
        self._sweep_soon()
        log.info("modem is up", extra={"radio": self.name, "model": self._seen.abilities.model})
        self._ready.set()

    # -- running

    async def _run(self, session: Session) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(session.until_lost(), name="gsm port")
                group.create_task(self._keep(session), name="gsm keeping")
                group.create_task(self._receive(session), name="gsm receiving")
                group.create_task(self._send(session), name="gsm sending")
        except* DriverLost as lost:
            self._lose(f"{lost.exceptions[0]}")
        except* DriverConfigError as wrong:
            self._lose(f"{wrong.exceptions[0]}")  # the next opening says so to whom it concerns
        except* OSError as error:
            self._lose(f"the spool cannot be used: {error.exceptions[0]}")
        except* Exception as group_of_bugs:  # a bug must not leave a radio that only looks alive
            log.exception("bug in the modem driver", exc_info=group_of_bugs)
            self._lose(f"bug: {group_of_bugs.exceptions[0]!r}")

    def _lose(self, why: str) -> None:
        self._ready.clear()
        self._queue.lose(DriverLost(f"{self.name}: {why}"))

    async def _keep(self, session: Session) -> None:
        """Looks after the modem: mends what is in trouble, else asks how it is."""
        while True:
            if self._trouble.is_set() or not self._ready.is_set():
                await self._mend(session)
            if self._ready.is_set():
                await self._guard(self._look, session)
            wait_s = self._settings.poll_s if self._ready.is_set() else min(SIM_LOOK_S, self._settings.poll_s)
            await _first(self._trouble, self._clock.sleep(wait_s))

    async def _mend(self, session: Session) -> None:
        self._trouble.clear()
        self._ready.clear()
        if self._silent:
            self._silent = False
            await self._rescue.revive(session)
        try:
            await self._bring_up(session)
        except DriverLost:
            if session_lost := await self._is_lost(session):
                raise session_lost from None
            self._in_trouble(silent=True)

    async def _is_lost(self, session: Session) -> DriverLost | None:
        try:
            await session.resync()
        except DriverLost as lost:
            return lost
        except Unanswered:
            return None
        return None

    async def _look(self, session: Session) -> None:
        """Signal, registration, operator; and whether the modem forgot its settings (a silent restart)."""
        seen, abilities = self._seen, self._seen.abilities
        if abilities is None:
            self._in_trouble()
            return
        seen.signal_dbm = answers.signal_dbm((await session.ask("AT+CSQ")).lines)
        stats = [
            answers.registration((await session.ask(f"AT{name}?")).lines, name) for name in abilities.networks
        ]
        self._registered(next((stat for stat in stats if stat in REGISTERED), stats[0] if stats else None))
        seen.operator = answers.operator((await session.ask("AT+COPS?")).lines)
        if abilities.indications:
            set_now = answers.told((await session.ask("AT+CNMI?")).lines, "+CNMI")
            if set_now and set_now[0].replace(" ", "") != abilities.indications:
                log.warning("modem forgot its settings: it has restarted", extra={"radio": self.name})
                self._in_trouble()

    def _registered(self, stat: int | None) -> None:
        was = self._seen.registered
        self._seen.registration = stat
        if self._seen.registered != was:
            words = "registered" if self._seen.registered else "not registered"
            log.info(words, extra={"radio": self.name, "stat": stat})
            self._outbox.news.set()

    async def _receive(self, session: Session) -> None:
        while True:
            await self._ready.wait()
            self._mail.clear()
            now = self._clock.monotonic()
            if now < self._sweep_at:
                await self._guard(self._inbox.work, session)
            elif await self._guard(self._sweep, session) and self._sweep_at <= now:
                self._sweep_at = now + self._settings.sweep_s
            wait_s = max(0.0, self._sweep_at - self._clock.monotonic())
            if self._ready.is_set() and not self._inbox.waiting:
                await _first(self._mail, self._clock.sleep(wait_s))

    def _sweep_soon(self) -> None:
        """Indications were lost, or none can come."""
        self._sweep_at = self._clock.monotonic()
        self._mail.set()

    async def _sweep(self, session: Session) -> None:
        if self._seen.abilities is not None:
            await self._inbox.sweep(session, self._seen.abilities.storages)

    async def _send(self, session: Session) -> None:
        while True:
            await self._ready.wait()
            self._outbox.news.clear()
            due_s = self._outbox.due_in_s()
            if due_s == 0 and self._seen.registered:
                await self._guard(self._outbox.work, session)
            else:
                wait_s = self._settings.poll_s if due_s is None or not self._seen.registered else due_s
                await _first(self._outbox.news, self._clock.sleep(wait_s))

    async def _guard(self, work: Callable[[Session], Any], session: Session) -> bool:
        """False where the modem did not answer: the keeping task sees to it."""
        try:
            await work(session)
        except Unanswered as unanswered:
            log.warning("modem does not answer", extra={"radio": self.name, "seen": str(unanswered)})
            self._in_trouble(silent=True)
            return False
        return True

    def _in_trouble(self, *, silent: bool = False) -> None:
        self._silent = self._silent or silent
        self._ready.clear()
        self._trouble.set()

    # -- what the modem says unasked

    def _heard(self, urc: Urc) -> None:
        name = urc.line.partition(":")[0]
        if name in ("+CMTI", "+CDSI"):
            place = answers.arrival(urc.line)
            if place is not None:
                self._inbox.arrived(*place)
                self._mail.set()
        elif name == "+CDS":
            self._report(urc.pdu)
        elif name in ("+CREG", "+CGREG", "+CEREG"):
            stat = answers.registration_urc(urc.line)
            if stat in REGISTERED or name == "+CREG":
                self._registered(stat)
        elif urc.line in RESTARTS or urc.line in SIM_GONE:
            self._seen.sim = self._seen.sim and urc.line not in SIM_GONE
            self._in_trouble()
        elif urc.line.startswith(FULL):
            self._sweep_soon()
        elif urc.line in SIM_HERE and not self._ready.is_set():
            self._trouble.set()  # look again now
        else:
            log.debug("unsolicited", extra={"radio": self.name, "line": urc.line})

    def _report(self, pdu: str) -> None:
        try:
            report = decode_incoming(pdu)
        except PduError as error:
            self._inbox.frames[f"malformed_{error.kind}"] += 1
            return
        if isinstance(report, StatusReport):
            self._outbox.report(report)


def _route(request: TxRequest) -> tuple[str, bool]:
    """Number, and whether it goes as text."""
    if isinstance(request.reply_to, SmsPath):
        return request.reply_to.number, request.reply_to.text
    if not isinstance(request.reply_to, str):
        raise TransmitRefused("no_route", "no number to send to")
    try:
        text = request.payload.decode()
        return request.reply_to, all(letter.isprintable() or letter in "\r\n" for letter in text)
    except UnicodeDecodeError:
        return request.reply_to, False


async def _first(event: asyncio.Event, sleeping: Any) -> None:
    """Until the event is set or the sleep is over."""
    waits = [asyncio.ensure_future(event.wait()), asyncio.ensure_future(sleeping)]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)
