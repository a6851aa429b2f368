"""One conversation with a modem over an open port: a command, its reply; unsolicited codes as they come."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from drivers.errors import DriverLost
from drivers.gsm_at.engine import AtEngine, Event, Overrun, Prompt, Reply, Stray, Urc
from drivers.transport.serial_port import BytePort

log = logging.getLogger(__name__)

# What modems say when they have just started, or are about to stop: nothing pending will be answered.
RESTARTS = ("RDY", "+CFUN: 1", "START", "NORMAL POWER DOWN", "POWERED DOWN", "UNDER-VOLTAGE POWER DOWN")
RESYNC_TRIES, RESYNC_S = 3, 2.0
QUIET_S = 0.1


class Unanswered(Exception):
    """The modem did not answer in time. ``sent``: the message may be on its way all the same."""

    def __init__(self, command: str, *, sent: bool = False) -> None:
        super().__init__(f"no answer to {command}")
        self.sent = sent


class Session:
    """The only writer of its port. Every method raises :class:`DriverLost` once the port is gone."""

    def __init__(self, port: BytePort, on_urc: Callable[[Urc], None], *, timeout_s: float = 5.0) -> None:
        self._port = port
        self._on_urc = on_urc
        self._timeout_s = timeout_s
        self._engine = AtEngine()
        self._turn = asyncio.Lock()
        self._prompt: asyncio.Future[None] | None = None
        self._reply: asyncio.Future[Reply] | None = None
        self._out_of_step = False
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._reader = asyncio.create_task(self._read(), name="gsm reader")
        self._reader.add_done_callback(self._reading_ended)
        self.overruns = 0

    @property
    def slow_s(self) -> float:
        """For commands that reach the SIM: 15 s by default; the makers say 5, busy SIMs take longer."""
        return 3 * self._timeout_s

    async def close(self) -> None:
        """Closing twice is harmless."""
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._port.close()
        self._fail(DriverLost("closed"))

    async def until_lost(self) -> None:
        """Returns never; raises :class:`DriverLost` when the port is gone."""
        await asyncio.shield(self._lost)

    async def ask(self, command: str, timeout_s: float | None = None) -> Reply:
        """Raises :class:`Unanswered` after ``timeout_s``; an error reply is a reply."""
        async with self._turn:
            await self._step_in()
            return await self._exchange(command, timeout_s or self._timeout_s)

    async def send(self, length: int, pdu: str, timeout_s: float) -> Reply:
        """``AT+CMGS`` with its payload. :class:`Unanswered` tells whether the payload went out."""
        async with self._turn:
            await self._step_in()
            command = f"AT+CMGS={length}"
            self._prompt = asyncio.get_running_loop().create_future()
            self._reply = asyncio.get_running_loop().create_future()
            written = False
            try:
                async with asyncio.timeout(self._timeout_s):
                    await self._port.write(self._engine.command(command, prompt=True))
                    await asyncio.wait((self._prompt, self._reply), return_when=asyncio.FIRST_COMPLETED)
                if self._reply.done():
                    return self._reply.result()  # refused: nothing was sent
                async with asyncio.timeout(timeout_s):
                    payload = self._engine.payload(pdu)
                    written = True
                    await self._port.write(payload)
                    return await self._reply
            except (TimeoutError, _Restarted) as error:
                self._out_of_step = True
                raise Unanswered(command, sent=written) from error
            finally:
                self._prompt = self._reply = None

    async def shout(self, command: str) -> None:
        """Write a command to a modem that does not answer, and expect none."""
        async with self._turn:
            self._out_of_step = True
            await self._port.write(self._engine.escape() + b"\r" + command.encode() + b"\r")

    async def resync(self) -> None:
        """Find back to command and reply. Raises :class:`Unanswered` when there is nobody."""
        async with self._turn:
            self._out_of_step = True
            await self._step_in()

    async def _step_in(self) -> None:
        """After a lost answer: ESC out of any prompt, then ask until the answer is that question's own.

        A late ``OK`` of what was given up must not pass for the next command's; only ``AT+CSQ`` answers CSQ.
        """
        if self._lost.done():
            self._lost.result()
        if not self._out_of_step:
            return
        await self._port.write(self._engine.escape() + b"\r")
        for _ in range(RESYNC_TRIES):
            await asyncio.sleep(QUIET_S)
            try:
                reply = await self._exchange("AT+CSQ", min(self._timeout_s, RESYNC_S))
            except Unanswered:
                continue
            if any(line.startswith("+CSQ:") for line in reply.lines):
                self._out_of_step = False
                return
        raise Unanswered("AT+CSQ")

    async def _exchange(self, command: str, timeout_s: float) -> Reply:
        self._reply = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._port.write(self._engine.command(command))
                return await self._reply
        except (TimeoutError, _Restarted) as error:
            self._engine.escape()
            self._out_of_step = True
            raise Unanswered(command) from error
        finally:
            self._reply = None

    async def _read(self) -> None:
        while True:
            for event in self._engine.feed(await self._port.read()):
                self._take(event)

    def _reading_ended(self, reader: asyncio.Task[None]) -> None:
        if not reader.cancelled() and (error := reader.exception()) is not None:
            self._fail(error if isinstance(error, DriverLost) else DriverLost(f"reading failed: {error!r}"))

    def _take(self, event: Event) -> None:
        match event:
            case Reply():
                if self._reply is not None and not self._reply.done():
                    self._reply.set_result(event)
            case Prompt():
                if self._prompt is not None and not self._prompt.done():
                    self._prompt.set_result(None)
            case Urc():
                if event.line in RESTARTS and self._reply is not None and not self._reply.done():
                    self._reply.set_exception(_Restarted(event.line))
                self._on_urc(event)
            case Stray():
                log.debug("late answer", extra={"line": event.line})
            case Overrun():
                self.overruns += 1

    def _fail(self, error: DriverLost) -> None:
        for future in (self._lost, self._reply, self._prompt):
            if future is not None and not future.done():
                future.set_exception(error)
                future.exception()  # perhaps nobody waits for this one


class _Restarted(Exception):
    """The modem started anew while a command was pending."""
