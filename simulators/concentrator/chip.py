"""SX1301 register model: what the chip does, what it refuses, and what can be made to fail.

It is passive: each call first lets time pass up to ``clock()``. Where silicon would misbehave quietly (a
trigger in the past, an image that does not run), the model does as silicon would and notes a violation.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Callable, Mapping

from simulators.concentrator.air import Emission, Uplink, demodulator_lag_us
from simulators.concentrator.faults import Faults
from simulators.concentrator.frontend import Frontend
from simulators.concentrator.images import TEST_SHA256
from simulators.concentrator.processors import Processors
from simulators.concentrator.receiver import Chain, Fifo
from simulators.concentrator.registers import PORTS, READ_ONLY, Key, RegisterFile
from simulators.concentrator.transmitter import NEVER, Transmitter

WRAP = 1 << 32
HISTORY = 1000  # violations, emissions and unheard frames kept


class SpiBroken(OSError):
    """The bus is gone (an injected fault)."""


class Chip:
    """One concentrator with its two radios. ``clock`` counts microseconds and never goes back."""

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        sha256: Mapping[str, str] = TEST_SHA256,
        pps_phase_us: int = 0,
        counter_at_start: int = 0,
        seed: int = 1,
    ) -> None:
        self.faults = Faults()
        self.violations: deque[str] = deque(maxlen=HISTORY)
        self.emissions: deque[Emission] = deque(maxlen=HISTORY)
        self.unheard: deque[str] = deque(maxlen=HISTORY)
        self.held_in_reset = False
        self._clock, self._sha256, self._pps_phase_us = clock, sha256, pps_phase_us
        self.counter_at_start = counter_at_start  # what it reads as its clock begins, after each reset too
        self._dice = random.Random(seed)
        self._due: list[tuple[int, int, Uplink]] = []  # heap of frames whose end is still to come
        self._serial = 0
        self._ended: list[Emission] = []
        self._power_up()

    def _power_up(self) -> None:
        self._registers = RegisterFile()
        self._processors = Processors(self._registers, self.faults, self._sha256, self._clock, self.complain)
        self._frontend = Frontend(self._registers, self._processors, self.faults)
        self._fifo = Fifo()
        self._transmitter = Transmitter()
        self._counter_zero_us: int | None = None  # when the counter was 0
        self._frozen_at: int | None = None
        self._latched = 0
        self._latched_pps = -1
        self._readers = self._special_reads()
        self._writers = self._special_writes()

    def _special_reads(self) -> dict[Key, Callable[[], int]]:
        """Registers whose value is made when it is read."""
        processors = self._processors
        return {
            (None, 1): lambda: 103,
            (None, 4): self._fifo.read,
            (None, 6): self._transmitter.read,
            (None, 10): processors.read_memory,
            (None, 32): processors.status,
            (0, 106): processors.control_value,
            (1, 62): lambda: self._transmitter.status(self._clock()),
            (2, 64): processors.arbiter_ram,
            (2, 65): processors.gain_ram,
        }

    def _special_writes(self) -> dict[Key, Callable[[int, int], None]]:
        """What a write sets off, given the value before and the new one."""
        processors, frontend = self._processors, self._frontend
        return {
            (None, 5): self._point_buffer,
            (None, 6): self._write_buffer,
            (None, 9): processors.point,
            (None, 10): processors.write_memory,
            (None, 11): self._pop,
            (None, 17): self._start_counter,
            (None, 127): processors.hand_over,
            (0, 35): processors.post,
            (0, 106): processors.control,
            (1, 33): self._trigger,
            (2, 37): frontend.select_a,
            (2, 42): frontend.select_b,
            (2, 43): frontend.power,
        }

    # -- pins

    def transfer(self, mosi: bytes, clock_hz: int = 2_000_000) -> bytes:
        """One chip-select assertion. Raises :class:`SpiBroken` while that fault is on."""
        self.pass_time()
        if self.faults.spi_gone:
            raise SpiBroken("SPI device vanished")
        if self.faults.missing_chip or self.held_in_reset:
            return self._misoed(b"\xff" * len(mosi) if self.faults.missing_chip else bytes(len(mosi)))
        mosi = self.faults.noise(mosi, clock_hz, self._dice)
        if len(mosi) < 2:
            self.complain("frame under 2 bytes")
            return bytes(len(mosi))
        miso = self._write_frame(mosi) if mosi[0] & 0x80 else self._read_frame(mosi)
        return self._misoed(self.faults.noise(miso, clock_hz, self._dice))

    def _misoed(self, miso: bytes) -> bytes:
        stuck = self.faults.stuck_miso
        return miso if stuck is None else bytes((stuck,)) * len(miso)

    def set_reset(self, high: bool) -> None:
        """The reset pin: high holds the chip in reset, all state is lost."""
        self.pass_time()
        if high:
            self._cut_emission()
            self._power_up()
            self.faults.reset("hard_reset")
        self.held_in_reset = high

    def hear(self, uplink: Uplink, end_us: int | None = None) -> str | None:
        """A frame's end at the antenna, now or at ``end_us``; why it is not heard, None if it may be."""
        now = self.pass_time()
        if end_us is not None and end_us > now:
            self._serial += 1
            heapq.heappush(self._due, (end_us, self._serial, uplink))
            return None
        return self._demodulate(uplink, now if end_us is None else end_us)

    # -- time

    def pass_time(self) -> int:
        """Let happen what is due; the time now."""
        now = self._clock()
        while self._due and self._due[0][0] <= now:
            end_us, _, uplink = heapq.heappop(self._due)
            self._finish_emission(end_us)
            self._demodulate(uplink, end_us)
        self._finish_emission(now)
        return now

    def busy(self) -> bool:
        """Whether something will happen without being asked."""
        return bool(self._due) or self._transmitter.current is not None

    def take_ended(self) -> list[Emission]:
        """Emissions that ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    def _finish_emission(self, now_us: int) -> None:
        current = self._transmitter.current
        if current is not None and now_us >= current.end_us:
            self._transmitter.current = None
            self._record(current)

    def _record(self, emission: Emission) -> None:
        self.emissions.append(emission)
        self._ended = [*self._ended, emission][-HISTORY:]

    def _cut_emission(self) -> None:
        cut = self._transmitter.cut(self._clock())
        if cut is not None:
            self._record(cut)

    def counter(self, at_us: int | None = None) -> int:
        """The 32-bit counter at a time, default now."""
        at_us = self._clock() if at_us is None else at_us
        if self.faults.frozen_counter:
            if self._frozen_at is None:
                self._frozen_at = at_us
            at_us = self._frozen_at
        else:
            self._frozen_at = None
        return 0 if self._counter_zero_us is None else (at_us - self._counter_zero_us) % WRAP

    def set_counter(self, value: int) -> None:
        """Let the counter read ``value`` now."""
        self._counter_zero_us = self._clock() - value

    def _last_pps(self) -> int:
        """The counter at the last PPS; stays what it was while there is none."""
        second = (self._clock() - self._pps_phase_us) // 1_000_000
        if not self.faults.no_pps and second != self._latched_pps:
            self._latched_pps = second
            self._latched = self.counter(second * 1_000_000 + self._pps_phase_us)
        return self._latched

    def complain(self, text: str) -> None:
        """Note that the host broke one of the chip's rules."""
        self.violations.append(text)

    # -- frames and registers

    def _write_frame(self, mosi: bytes) -> bytes:
        address = mosi[0] & 0x7F
        for byte in mosi[1:]:
            self._write(address, byte)
            if address not in PORTS:
                address = (address + 1) & 0x7F
        return bytes(len(mosi))

    def _read_frame(self, mosi: bytes) -> bytes:
        address = mosi[0]
        miso = bytearray(1)
        head, stamp = self._fifo.head(), b""
        for _ in mosi[1:]:
            if (self._registers.page, address) == (2, 70):
                stamp = self._timestamp()
            if 11 <= address <= 15:
                miso.append(head[address - 11])
            elif self._registers.page == 2 and 70 <= address <= 73:
                stamp = stamp or self._timestamp()
                miso.append(stamp[address - 70])
            else:
                miso.append(self._read(address))
            if address not in PORTS:
                address = (address + 1) & 0x7F
        return bytes(miso)

    def _timestamp(self) -> bytes:
        value = self._last_pps() if self._registers.get(2, 89) & 1 else self.counter()
        return value.to_bytes(4, "little")

    def _read(self, address: int) -> int:
        key = self._registers.key(address)
        special = self._readers.get(key)
        return self._registers.get(*key) if special is None else special()

    def _write(self, address: int, value: int) -> None:
        key = self._registers.key(address)
        if address == 0:
            self._write_page(value)
        elif not self._registers.host_owns and address != 127:
            self.complain(f"write to register {address} while the MCU owns the registers")
        elif key in READ_ONLY:
            self.complain(f"write to read-only register {address} of page {self._registers.page}")
        else:
            self._store(key, value)

    def _store(self, key: Key, value: int) -> None:
        before = self._registers.get(*key)
        if key[1] not in PORTS and key[1] != 11:
            self._registers.set(*key, value)
        action = self._writers.get(key)
        if action is not None:
            action(before, value)

    def _write_page(self, value: int) -> None:
        if value & 0x80:
            self._cut_emission()
            self._power_up()
            self.faults.reset("soft_reset")
        else:
            self._registers.page = value & 0x03

    def _start_counter(self, _before: int, _value: int) -> None:
        if self._registers.clocked and self._counter_zero_us is None:
            self._counter_zero_us = self._clock() - self.counter_at_start

    # -- transmit

    def _point_buffer(self, _before: int, value: int) -> None:
        self._transmitter.pointer = value

    def _write_buffer(self, _before: int, value: int) -> None:
        self._transmitter.write(value)

    def _trigger(self, _before: int, value: int) -> None:
        now = self._clock()
        if not value & 0x07:
            self._cut_emission()
            return
        if not self._processors.sending_works:
            self.complain("transmit trigger before the gain control runs")
            return
        start_us = self._start_of(value, now)
        gains = self._processors.agc.gains
        index = self._transmitter.header.gain_index
        if index >= len(gains):
            self.complain(f"transmit with gain {index} of {len(gains)}")
            return
        self._cut_emission()
        self._transmitter.arm(start_us, self.counter(start_us), gains[index])

    def _start_of(self, trigger: int, now_us: int) -> int:
        delay_us = self._registers.get(1, 34) | self._registers.get(1, 35) << 8
        if trigger & 1:
            return now_us + delay_us
        if trigger & 4:
            if self.faults.no_pps:
                return NEVER
            to_pps = 1_000_000 - (now_us - self._pps_phase_us) % 1_000_000
            return now_us + to_pps + delay_us
        wait_us = (self._transmitter.header.trigger - self.counter(now_us)) % WRAP
        if wait_us >= WRAP // 2:
            self.complain("transmit trigger in the past: it waits for the counter to wrap")
        return now_us + wait_us + delay_us

    # -- receive

    @property
    def receiving(self) -> bool:
        """Whether the start went all the way."""
        return self._processors.receiving

    def _demodulate(self, uplink: Uplink, end_us: int) -> str | None:
        reason = self._deaf(uplink, end_us)
        if reason is None:
            chain = next((chain for chain in self.chains() if chain.hears(uplink)), None)
            reason = "no channel" if chain is None else self._push(uplink, chain, end_us)
        if reason is not None:
            self.unheard.append(reason)
        return reason

    def _deaf(self, uplink: Uplink, end_us: int) -> str | None:
        if not self.receiving:
            return "not started"
        if self.faults.rx_dead:
            return "receiver dead"
        if uplink.inverted_iq:
            return "inverted IQ"
        start_us = end_us - uplink.airtime_us
        current = self._transmitter.current
        sent = [*self.emissions, *([current] if current else [])]
        if any(start_us < emission.end_us and emission.start_us < end_us for emission in sent):
            return "transmitting"
        return None

    def _push(self, uplink: Uplink, chain: Chain, end_us: int) -> str | None:
        stamp = self.counter(end_us + demodulator_lag_us(uplink, chain.number))
        return self._fifo.push(uplink, chain.number, stamp)

    def chains(self) -> list[Chain]:
        """The IF chains as the registers have them now."""
        return self._frontend.chains()

    def _pop(self, _before: int, _value: int) -> None:
        if not self._fifo.pop():
            self.complain("packet popped from an empty FIFO")
