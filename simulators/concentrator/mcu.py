"""The two microcontrollers: program memory, and what the three images do."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping

from simulators.concentrator.images import SIZE, parity_holds

CALIBRATION_US = 2_150_000
MAILBOX_WAIT, MAILBOX_ABORT = 16, 17
SLOTS = ({"arb"}, {"agc", "cal"})  # which images run on which MCU

Complain = Callable[[str], None]


class Mcu:
    """Program memory behind the PROM port, RAM, and the image that runs (None: none does)."""

    def __init__(self, slot: int) -> None:
        self.slot = slot
        self.memory = bytearray(SIZE)
        self.ram = bytearray(256)
        self.running: str | None = None
        self.corrupted = False

    def release(self, digests: Mapping[str, str], complain: Complain) -> None:
        """Reset ends: run what is in memory, if it is an image for this slot."""
        name = {digest: name for name, digest in digests.items()}.get(hashlib.sha256(self.memory).hexdigest())
        self.corrupted = not parity_holds(bytes(self.memory))
        if name not in SLOTS[self.slot]:
            complain(f"MCU {self.slot} released with {'the ' + name if name else 'an unknown'} image")
            return
        self.running = name
        self.ram = bytearray(256)
        self.ram[0x20] = {"arb": 1, "agc": 4, "cal": 2}[name]

    def halt(self) -> None:
        """Reset begins."""
        self.running = None


class Calibrator:
    """What the calibration image does once it owns the registers."""

    def __init__(self) -> None:
        self.started_us: int | None = None
        self._command = 0

    def begin(self, now_us: int, command: int) -> None:
        """The host let go."""
        self.started_us, self._command = now_us, command

    def finish(self, now_us: int, ram: bytearray, forced: int | None, complain: Complain) -> int:
        """The host takes the registers back; the status byte."""
        started, self.started_us = self.started_us, None
        if started is None or now_us - started < CALIBRATION_US:
            complain("calibration taken back early")
            return 0x01
        for index in range(8):
            ram[0xA0 + index] = (index - 3) & 0xFF
            ram[0xA8 + index] = (5 - index) & 0xFF
        return self._status() if forced is None else forced

    def _status(self) -> int:
        """Finished, registers and radios reachable, then a bit for each calibration asked for."""
        return 0x87 | (self._command & 0x0F) << 3


class Agc:
    """Gain control: takes its table through the mailbox, then runs. ``status`` is register 32."""

    def __init__(self) -> None:
        self.status = 0x10
        self.gains: list[int] = []
        self.radio_select: int | None = None
        self._armed = False
        self._stage = "gains"

    @property
    def running(self) -> bool:
        """The whole table was taken."""
        return self.radio_select is not None

    def post(self, value: int, complain: Complain) -> None:
        """A byte in the mailbox."""
        if self.running:
            complain("mailbox written after the gain control started")
            return
        if value == MAILBOX_WAIT and not self._armed:
            self._armed = True
            return
        if not self._armed:
            complain(f"mailbox value {value} without WAIT")
            return
        self._armed = False
        getattr(self, f"_take_{self._stage}")(value)

    def _take_gains(self, value: int) -> None:
        if value == MAILBOX_ABORT:
            self.status, self._stage = 0x30, "frequency"
            return
        self.status = 0x30 + len(self.gains)
        self.gains.append(value)
        if len(self.gains) == 16:
            self._stage = "frequency"

    def _take_frequency(self, value: int) -> None:
        self.status, self._stage = 0x30 | value & 0x0F, "channels"

    def _take_channels(self, value: int) -> None:
        self.status, self._stage = 0x30 | value & 0x0F, "select"

    def _take_select(self, value: int) -> None:
        self.status, self.radio_select = 0x40, value
