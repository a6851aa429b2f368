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
from simulators.concentrator.images import TEST_SHA256
from simulators.concentrator.mcu import Agc, Calibrator, Mcu
from simulators.concentrator.receiver import Chain, Fifo
from simulators.concentrator.sx1257 import Sx1257
from simulators.concentrator.transmitter import NEVER, Transmitter

RESET_VALUES = {
    (None, 16): 0x00, (None, 17): 0x03, (None, 127): 0x01,
    (0, 33): 0x02, (0, 78): 0x54, (0, 93): 0x09, (0, 95): 0x21, (0, 99): 0x28, (0, 104): 0x78, (0, 105): 0x0E,
    (0, 106): 0x03, (0, 111): 0x07, (0, 112): 0x05, (0, 113): 0x08,
    (1, 36): 0x21, (1, 42): 0x94, (1, 46): 0x21, (1, 53): 0x24, (1, 58): 0x08, (1, 59): 0x38, (1, 60): 0x17,
    (1, 77): 0x09, (2, 43): 0x04, (2, 89): 0x02,
}  # fmt: skip
READ_ONLY = {
    *((None, at) for at in (1, 4, 12, 13, 14, 15, 32, 125, 126)),
    (1, 62),
    *((2, at) for at in (34, 39, 51, 64, 65, 70, 71, 72, 73)),
}
Key = tuple[int | None, int]  # page (None: every page), address
PORTS = {4, 6, 8, 10}
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
        self._counter_at_start = counter_at_start
        self._dice = random.Random(seed)
        self._due: list[tuple[int, int, Uplink]] = []  # heap of frames whose end is still to come
        self._serial = 0
        self._ended: list[Emission] = []
        self._power_up()

    def _power_up(self) -> None:
        self._values = dict(RESET_VALUES)
        self._page = 0
        self._radios = (Sx1257("A"), Sx1257("B"))
        self._mcus = (Mcu(0), Mcu(1))
        self._agc = Agc()
        self._calibrator = Calibrator()
        self._cal_status = 0
        self._prom_at = self._prom_latch = 0
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
        return {
            (None, 1): lambda: 103,
            (None, 4): self._fifo.read,
            (None, 6): self._transmitter.read,
            (None, 10): self._read_prom,
            (None, 32): self._agc_status,
            (0, 106): lambda: self._get(0, 106) & 0x0F | self._corruption(),
            (1, 62): lambda: self._transmitter.status(self._clock()),
            (2, 64): lambda: self._mcus[0].ram[self._get(2, 80)],
            (2, 65): lambda: self._mcus[1].ram[self._get(2, 81)],
        }

    def _special_writes(self) -> dict[Key, Callable[[int, int], None]]:
        """What a write sets off, given the value before and the new one."""
        return {
            (None, 5): self._point_buffer,
            (None, 6): self._write_buffer,
            (None, 9): self._point_prom,
            (None, 10): self._write_prom,
            (None, 11): self._pop,
            (None, 17): self._gate_clock,
            (None, 127): self._hand_over,
            (0, 35): self._select_radio,
            (0, 106): self._control_mcus,
            (1, 33): self._trigger,
            (2, 37): self._select_radio_a,
            (2, 42): self._select_radio_b,
            (2, 43): self._power_radios,
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
            if (self._page, address) == (2, 70):
                stamp = self._timestamp()
            if 11 <= address <= 15:
                miso.append(head[address - 11])
            elif self._page == 2 and 70 <= address <= 73:
                stamp = stamp or self._timestamp()
                miso.append(stamp[address - 70])
            else:
                miso.append(self._read(address))
            if address not in PORTS:
                address = (address + 1) & 0x7F
        return bytes(miso)

    def _timestamp(self) -> bytes:
        value = self._last_pps() if self._get(2, 89) & 1 else self.counter()
        return value.to_bytes(4, "little")

    def _key(self, address: int) -> Key:
        return (None if address <= 32 or address >= 125 else self._page, address)

    def _get(self, page: int | None, address: int) -> int:
        return self._values.get((page, address), 0)

    def _read(self, address: int) -> int:
        key = self._key(address)
        special = self._readers.get(key)
        return self._values.get(key, 0) if special is None else special()

    def _corruption(self) -> int:
        return sum(mcu.corrupted << 4 + slot for slot, mcu in enumerate(self._mcus))

    def _agc_status(self) -> int:
        running = self._mcus[1].running
        if self.faults.agc_stuck and running == "agc":
            return 0x00
        return {"agc": self._agc.status, "cal": self._cal_status}.get(running or "", 0)

    def _write(self, address: int, value: int) -> None:
        key = self._key(address)
        if address == 0:
            self._write_page(value)
            return
        if not self._get(None, 127) & 1 and address != 127:
            self.complain(f"write to register {address} while the MCU owns the registers")
            return
        if key in READ_ONLY:
            self.complain(f"write to read-only register {address} of page {self._page}")
            return
        before = self._values.get(key, 0)
        if address not in PORTS and address != 11:
            self._values[key] = value
        action = self._writers.get(key)
        if action is not None:
            action(before, value)

    def _write_page(self, value: int) -> None:
        if value & 0x80:
            self._soft_reset()
            return
        self._page = value & 0x03

    def _soft_reset(self) -> None:
        self._cut_emission()
        self._power_up()
        self.faults.reset("soft_reset")

    def _gate_clock(self, _before: int, value: int) -> None:
        running = value & 1 and self._get(None, 16) >> 3 & 1
        if running and self._counter_zero_us is None:
            self._counter_zero_us = self._clock() - self._counter_at_start

    # -- radios

    def _power_radios(self, _before: int, value: int) -> None:
        for n, radio in enumerate(self._radios):
            radio.enabled = bool(value >> n & 1)
            radio.in_reset = bool(value >> 2 & 1)
            if radio.in_reset:
                radio.reset()

    def _select_radio_a(self, before: int, value: int) -> None:
        self._select_spi(0, before, value)

    def _select_radio_b(self, before: int, value: int) -> None:
        self._select_spi(1, before, value)

    def _select_spi(self, n: int, before: int, value: int) -> None:
        """Chip select rises: the radio takes address and data."""
        if before & 1 or not value & 1:
            return
        if self._mcus[1].running == "agc" and not self._get(0, 105) >> 1 & 1:
            self.complain("radio SPI while the gain control owns it")
            return
        radio = self._radios[n]
        radio.lock_fails = radio.name in self.faults.pll
        base = (33, 38)[n]
        answer = radio.exchange(self._get(2, base + 2), self._get(2, base))
        if answer is not None:
            self._values[2, base + 1] = answer

    # -- microcontrollers

    def _point_prom(self, _before: int, value: int) -> None:
        self._prom_at = value

    def _prom_mcus(self) -> list[Mcu]:
        """The MCUs whose memory the host reaches: mux to host, held in reset."""
        control = self._get(0, 106)
        reachable = [mcu for mcu in self._mcus if not control >> 2 + mcu.slot & 1]
        if not reachable or any(not control >> mcu.slot & 1 for mcu in reachable):
            self.complain("program memory accessed outside reset")
            return []
        return reachable

    def _write_prom(self, _before: int, byte: int) -> None:
        for mcu in self._prom_mcus():
            wrong = self.faults.corrupt_firmware == self._prom_at
            mcu.memory[self._prom_at] = byte ^ 0x01 if wrong else byte
        self._prom_at = (self._prom_at + 1) % len(self._mcus[0].memory)
        self._prom_latch = byte

    def _read_prom(self) -> int:
        """Memory is one read behind: the first byte after a write is the one written last."""
        reachable = self._prom_mcus()
        byte, self._prom_latch = self._prom_latch, reachable[-1].memory[self._prom_at] if reachable else 0
        self._prom_at = (self._prom_at + 1) % len(self._mcus[0].memory)
        return byte

    def _control_mcus(self, before: int, value: int) -> None:
        for mcu in self._mcus:
            was_held, held = before >> mcu.slot & 1, value >> mcu.slot & 1
            if held and not was_held:
                mcu.halt()
            if was_held and not held:
                self._release(mcu, value)

    def _release(self, mcu: Mcu, control: int) -> None:
        if not control >> 2 + mcu.slot & 1:
            self.complain(f"MCU {mcu.slot} released while the host has its memory")
        elif not (self._get(None, 16) >> 3 & 1 and self._get(None, 17) & 1):
            self.complain(f"MCU {mcu.slot} released with its clock gated")
        else:
            mcu.release(self._sha256, self.complain)
            if mcu.running == "agc":
                self._agc = Agc()

    def _hand_over(self, before: int, value: int) -> None:
        """Register 127: 0 gives the registers to the calibration image, 1 takes them back."""
        calibrating = self._mcus[1].running == "cal"
        if before & 1 and not value & 1:
            if not calibrating or self._page != 3:
                self.complain("registers handed over to no calibration")
                return
            self._calibrator.begin(self._clock(), self._get(0, 35))
        elif not before & 1 and value & 1 and calibrating:
            self._cal_status = self._calibrator.finish(
                self._clock(), self._mcus[1].ram, self.faults.calibration, self.complain
            )

    def _select_radio(self, _before: int, value: int) -> None:
        if self._mcus[1].running == "agc":
            self._agc.post(value, self.complain)

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
        if not (self._mcus[1].running == "agc" and self._agc.running):
            self.complain("transmit trigger before the gain control runs")
            return
        start_us = self._start_of(value, now)
        gains = self._agc.gains
        index = self._transmitter.header.gain_index
        if index >= len(gains):
            self.complain(f"transmit with gain {index} of {len(gains)}")
            return
        self._cut_emission()
        self._transmitter.arm(start_us, self.counter(start_us), gains[index])

    def _start_of(self, trigger: int, now_us: int) -> int:
        delay_us = self._get(1, 34) | self._get(1, 35) << 8
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
        return self._mcus[0].running == "arb" and self._mcus[1].running == "agc" and self._agc.running

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
        enabled, select = self._get(None, 16), self._agc.radio_select or 0
        found = []
        if enabled >> 1 & 1:
            for n in range(8):
                mask = self._get(0, 65 + n)
                factors = frozenset(sf for sf in range(7, 13) if mask >> (sf - 6) & 1)
                found.append(self._chain(n, select >> n & 1, 125_000, factors))
        if enabled & 1:
            width = 125_000 << (self._get(1, 58) & 0x03)
            found.append(
                self._chain(8, self._get(1, 58) >> 2 & 1, width, frozenset({self._get(1, 60) & 0x0F}))
            )
        if enabled >> 2 & 1:
            found.append(self._chain(9, self._get(1, 65) >> 7, 125_000, frozenset({0})))
        return [chain for chain in found if chain is not None]

    def _chain(self, n: int, radio: int, width: int, factors: frozenset[int]) -> Chain | None:
        if not self._radios[radio].locked:
            return None
        raw = self._get(0, 36 + 2 * n) | self._get(0, 37 + 2 * n) << 8
        offset = (raw & 0x1FFF) - ((raw & 0x1000) << 1)
        frequency_hz = self._radios[radio].frequency_hz + offset * 15_625 / 32
        return Chain(n, frequency_hz, width, factors)

    def _pop(self, _before: int, _value: int) -> None:
        if not self._fifo.pop():
            self.complain("packet popped from an empty FIFO")
