"""One SX1301 on its bus: opened, reset, set up, polled; every failure named.

Opening goes from the pin to the receiver: reset, burst test, start. What fails for noise is tried again, then
at half the clock. ``DriverLost`` says that opening again may help; it carries the words a technician needs.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from drivers.base import Clock
from drivers.errors import DriverLost
from drivers.lora_sx1301 import counter, health, receive, send
from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301 import start as sequence
from drivers.lora_sx1301.bus import Bus
from drivers.lora_sx1301.calibration import Calibration
from drivers.lora_sx1301.counter import LinearCounter
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.firmware import Firmware
from drivers.lora_sx1301.receive import FifoGarbled, Packet
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.rivals import suspicion
from drivers.lora_sx1301.send import Emission
from drivers.lora_sx1301.settings import Settings
from drivers.lora_sx1301.steps import Steps
from drivers.lora_sx1301.watchdog import Vitals
from drivers.transport.gpio import OutputLine, open_output
from drivers.transport.spi import open_spi

T = TypeVar("T")
log = logging.getLogger(__name__)

SLOW_HZ = 1_000_000
TRIES = 3  # at each clock, for failures that noise explains
RESET_STEP_S = 0.1
PROGRAM_MARGIN_US = 3_000  # what arming takes, from the counter read to the trigger


class TooLate(Exception):
    """The emission's time has passed, or all but; nothing was armed."""


class Concentrator:
    """The chip and what is known of it. Used from one event loop; ``now_us`` is its counter, widened."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.clock_hz = settings.clock_hz
        self.calibration: Calibration | None = None
        self._settings, self._clock = settings, clock
        self._firmware: Firmware | None = None
        self._registers = Registers()
        self._counter = LinearCounter()
        self._anchor = (0.0, 0)  # monotonic s and counter, read together; 0 = 0
        self._era: object | None = None  # from one start of the chip's counter to the next; None between
        self._bus: Bus | None = None
        self._line: OutputLine | None = None

    async def open(self) -> None:
        """Take the pins. Raises :class:`DriverConfigError` or :class:`DriverLost`."""
        self._bus = Bus(partial(open_spi, self._settings.spi, self.clock_hz), self._clock)
        await self._bus.open()
        if self._settings.reset != "none":
            await self._bus.call(self._take_line)

    def _take_line(self) -> None:
        self._line = open_output(self._settings.reset)

    async def start(self, firmware: Firmware) -> None:
        """Reset and set up. Raises :class:`DriverLost`."""
        self._firmware = firmware
        await self.restart(hard=True)

    async def try_wire(self) -> None:
        """Reset, and see whether the chip keeps what is written: all that can be tested without firmware.

        Raises :class:`DriverLost`.
        """
        await self._pulse_reset()
        await self._with_retries(lambda: health.wire_test(self._registers))

    async def close(self) -> None:
        """Receivers and transmitter off, pins released; harmless when nothing is open."""
        bus, self._bus = self._bus, None
        if bus is None:
            return
        try:
            with suppress(OSError):  # gone already: nothing left to switch off
                await bus.run(sequence.stop(self._registers))
            await bus.call(self._give_line_back)
        finally:
            await bus.close()

    def _give_line_back(self) -> None:
        """Low, whatever was under way: a line let go of while high may keep the board in reset."""
        line, self._line = self._line, None
        if line is None:
            return
        with suppress(OSError):  # the board is gone, and its line with it
            line.set(False)
        line.close()

    async def restart(self, *, hard: bool) -> None:
        """Set the chip up again, by the reset pin first when ``hard``. The counter's line goes on."""
        self._era = None
        if hard:
            await self._pulse_reset()
        self._registers = Registers()
        self.calibration = await self._with_retries(self._start)
        raw = await self._run(counter.read_live(self._registers))
        at_s = self._clock.monotonic()
        self._anchor = (at_s, self._counter.rebase(raw, self.now_us))
        self._era = object()

    async def _pulse_reset(self) -> None:
        """Low, high, low, 100 ms each: the RAK2245 resets on high and must be left low."""
        if self._line is None:
            return
        for level in (False, True, False):
            await self._blocking(partial(self._line.set, level))
            await self._clock.sleep(RESET_STEP_S)

    async def _with_retries(self, steps: Callable[[], Steps[T]]) -> T:
        """At the set clock, then at 1 MHz; only noise is worth another try."""
        clocks = [self.clock_hz, *([SLOW_HZ] if self.clock_hz > SLOW_HZ else [])]
        failure = StartFailure("spi", "not started")
        for clock_hz in clocks:
            await self._open_bus.set_clock(clock_hz)
            for _ in range(TRIES):
                try:
                    result = await self._run(steps())
                except StartFailure as error:
                    failure = error
                else:
                    self.clock_hz = clock_hz
                    return result
                if failure.part not in ("spi", "version"):
                    raise DriverLost(str(failure)) from failure
            log.warning("SX1301 at %s: %s (at %d Hz)", self._settings.spi, failure, clock_hz)
        tried = " and ".join(f"{hz / 1e6:g} MHz" for hz in clocks)
        rival = await asyncio.to_thread(suspicion, self._settings.spi)
        raise DriverLost(f"{failure}; tried at {tried}{rival}") from failure

    def _start(self) -> Steps[Calibration]:
        settings, firmware = self._settings, self._firmware
        if firmware is None:
            raise StartFailure("firmware", "no firmware was given")
        yield from health.wire_test(self._registers)
        calibration = yield from sequence.start(
            self._registers, settings.board, firmware, public=settings.public
        )
        if not (yield from health.configured(self._registers, settings.board)):
            raise StartFailure("spi", "modem registers read back wrong after the start: noisy SPI")
        return calibration

    # -- while it runs

    @property
    def now_us(self) -> int:
        """The linear counter, from its last reading and the host's steady clock."""
        read_at, value = self._anchor
        return value + round((self._clock.monotonic() - read_at) * 1e6)

    def widen(self, raw: int) -> int:
        """A 32-bit counter value on the line."""
        return self._counter.widen(raw)

    async def poll(self) -> list[Packet]:
        """Read and pop what the FIFO holds. Raises :class:`FifoGarbled` or :class:`DriverLost`."""
        return await self._run(receive.receive(self._registers))

    async def poll_idle(self, interval_s: float) -> list[Packet]:
        """Poll each ``interval_s`` of real time until a packet comes or a second is over."""
        try:
            return await self._open_bus.watch(
                lambda: receive.receive(self._registers), interval_s, max(1, int(1 / interval_s))
            )
        except OSError as error:
            raise self._lost(error) from error

    async def vitals(self) -> Vitals:
        """One look for the watchdog."""
        asked_s = self._clock.monotonic()
        look = health.vitals(self._registers, self._settings.board)
        version, agc_status, intact, raw = await self._run(look)
        at_s = self._clock.monotonic()
        counter_us = self._counter.widen(raw)
        self._anchor = (at_s, counter_us)
        return Vitals(
            at_s=at_s,
            took_s=at_s - asked_s,
            version=version,
            agc_status=agc_status,
            counter_us=counter_us,
            configured=intact,
        )

    async def program(self, emission: Emission, start_us: int) -> None:
        """Arm a timestamped emission whose first symbol leaves at ``start_us`` (linear).

        Raises :class:`TooLate`, with nothing armed: a trigger in the past would wait 71 minutes for the wrap.
        """
        trigger_us = start_us - send.start_delay_us(emission.modulation)
        raw = await self._run(self._program(emission, self._counter.raw(trigger_us)))
        self._anchor = (self._clock.monotonic(), self._counter.widen(raw))

    def _program(self, emission: Emission, trigger: int) -> Steps[int]:
        """All in 32 bits: it runs on the bus thread, the line belongs to the loop."""
        now = yield from counter.read_live(self._registers)
        lead_us = (trigger - now + counter.WRAP // 2) % counter.WRAP - counter.WRAP // 2
        if lead_us < PROGRAM_MARGIN_US:
            raise TooLate(f"{lead_us / 1e3:.1f} ms before its trigger")
        if self.calibration is None:
            raise TooLate("the concentrator is not set up")
        gain = self._settings.board.gains[emission.gain_index]
        yield from send.send(self._registers, emission, gain, self.calibration.offsets)
        return now

    async def transmit_status(self) -> int:
        """Register TX_STATUS."""
        return await self._run(self._registers.read(reg.TX_STATUS))

    async def abort(self) -> None:
        """Forget the emission that is armed."""
        await self._run(send.abort(self._registers))

    async def latched_us(self) -> int:
        """The linear counter at the last PPS. Raises :class:`DriverLost`, also while the chip is being reset:
        what a fresh counter holds cannot be placed on the line before :meth:`restart` has joined the two."""
        era = self._era
        raw = await self._run(counter.read_latched(self._registers))
        if era is None or era is not self._era:
            raise DriverLost("the concentrator was being reset")
        return self._counter.widen(raw)

    async def look_for_chip(self) -> str | None:
        """What is wrong with the answers of the chip or its line; None where it says its version."""
        try:
            await self._run(sequence.probe(self._registers))
        except StartFailure as failure:
            return str(failure)
        return None

    def raw(self, linear_us: int) -> int:
        """The chip's 32 bits of a linear value."""
        return self._counter.raw(linear_us)

    # -- the bus

    @property
    def on_the_bus(self) -> bool:
        """Whether SPI is open."""
        return self._bus is not None and self._bus.is_open

    @property
    def _open_bus(self) -> Bus:
        if self._bus is None:
            raise DriverLost("the concentrator is closed")
        return self._bus

    async def _run(self, steps: Steps[T]) -> T:
        try:
            return await self._open_bus.run(steps)
        except OSError as error:
            raise self._lost(error) from error

    def _lost(self, error: OSError) -> DriverLost:
        return DriverLost(f"SPI at {self._settings.spi} failed: {error}")

    async def _blocking(self, function: Callable[[], T]) -> T:
        try:
            return await self._open_bus.call(function)
        except OSError as error:
            raise DriverLost(f"a pin of the concentrator failed: {error}") from error


__all__ = ["Concentrator", "FifoGarbled", "TooLate"]
