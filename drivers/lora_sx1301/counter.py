"""The chip's counter: 1 MHz, 32 bits, widened to a line here and nowhere else; no I/O.

It wraps after 4294.967296 s (71 min 35 s). Frames and latched values may lie a little before what was seen
last, so each value is placed within half a turn of the newest one.
"""

from __future__ import annotations

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.steps import Steps

WRAP = 1 << 32


class LinearCounter:
    """Widens 32-bit values; owned by the driver's poll task. The first value seen stands for itself."""

    def __init__(self) -> None:
        self._newest: int | None = None
        self._offset = 0

    @property
    def newest_us(self) -> int | None:
        """The highest value given out, or None before the first."""
        return self._newest

    def widen(self, raw: int) -> int:
        """The linear value of a raw one, nearest to the newest known."""
        if self._newest is None:
            return self.rebase(raw, raw)
        ahead = (raw + self._offset - self._newest + WRAP // 2) % WRAP - WRAP // 2
        linear = self._newest + ahead
        self._newest = max(self._newest, linear)
        return linear

    def rebase(self, raw: int, linear_us: int) -> int:
        """The chip was reset: ``raw`` goes on at ``linear_us``, or at the newest if that is later."""
        self._newest = max(linear_us, self._newest or 0)
        self._offset = self._newest - raw
        return self._newest

    def raw(self, linear_us: int) -> int:
        """The chip's 32 bits of a linear value."""
        return (linear_us - self._offset) % WRAP


def read_live(registers: Registers) -> Steps[int]:
    """The counter now (32 bits); the PPS latch is switched off and on again: 5 transfers."""
    yield from registers.write(reg.GPS_EN, 0)
    value = yield from registers.read(reg.TIMESTAMP)
    yield from registers.write(reg.GPS_EN, 1)
    return value


def read_latched(registers: Registers) -> Steps[int]:
    """The counter at the last PPS (32 bits); stays what it was while there is none."""
    return (yield from registers.read(reg.TIMESTAMP))
