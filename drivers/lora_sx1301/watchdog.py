"""Is the concentrator alive? Judged from what was read; no I/O.

A chip can die and still answer: its counter stops, its gain control hangs, a supply dip resets it, or its
receivers go deaf. The last shows only as silence, so silence is judged against what was heard before: never
where nothing was, and less and less often while a reset does not help, for a quiet night is no fault.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.lora_sx1301.start import VERSION

AGC_DEAD = {0x00, 0x10, 0xFF}  # held in reset, waiting for its table, nothing on the bus
SILENT = {0x00, 0xFF}  # a data line that nobody drives
COUNTER_TOLERANCE = 0.05
COUNTER_SLACK_US = 20_000
LEARNED_AFTER = 20  # frames before silence means anything
SILENCE_FACTOR = 30  # mean intervals
LONGEST_SILENCE_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Vitals:
    """One look at the chip. ``counter_us`` is linear; it was read within ``took_s`` before ``at_s``."""

    at_s: float
    took_s: float
    version: int
    agc_status: int
    counter_us: int
    configured: bool  # the modem registers read back as written


def judge(before: Vitals | None, now: Vitals) -> str | None:
    """What is wrong, in words that name it; None when nothing is."""
    if now.version in SILENT and now.agc_status == now.version:
        return f"no concentrator answers: every byte read is 0x{now.version:02x}"
    if now.version != VERSION:
        return f"chip version reads {now.version}, expected {VERSION}: SPI line or chip lost"
    if now.agc_status in AGC_DEAD:
        return f"gain control status 0x{now.agc_status:02x}: it hangs or the chip was reset"
    if not now.configured:
        return "modem registers lost their values: the chip was reset behind our back"
    return None if before is None else _judge_counter(before, now)


def _judge_counter(before: Vitals, now: Vitals) -> str | None:
    counted_us = now.counter_us - before.counter_us
    passed_us = (now.at_s - before.at_s) * 1e6
    if counted_us == 0 and passed_us > 1_000:
        return f"the counter is frozen at {now.counter_us}"
    unsure_us = (before.took_s + now.took_s) * 1e6
    if abs(counted_us - passed_us) > COUNTER_TOLERANCE * passed_us + COUNTER_SLACK_US + unsure_us:
        return f"the counter advanced {counted_us / 1e6:.3f} s while {passed_us / 1e6:.3f} s passed"
    return None


class Silence:
    """How long it has been quiet, against how it usually is. Owned by the driver's loop."""

    def __init__(self, floor_s: float = 600.0) -> None:
        self._floor_s = floor_s
        self._mean_s: float | None = None
        self._frames = 0
        self._last_s: float | None = None
        self._patience = 1.0

    def heard(self, at_s: float) -> None:
        """A frame came, good or bad: the receivers live."""
        if self._last_s is not None:
            interval_s = max(0.0, at_s - self._last_s)
            self._mean_s = interval_s if self._mean_s is None else 0.95 * self._mean_s + 0.05 * interval_s
        self._last_s = at_s
        self._frames += 1
        self._patience = 1.0

    @property
    def persists(self) -> bool:
        """A reset was tried and nothing was heard since."""
        return self._patience > 1.0

    @property
    def limit_s(self) -> float | None:
        """Silence longer than this is suspicious; None while there is no history."""
        if self._mean_s is None or self._frames < LEARNED_AFTER:
            return None
        return min(LONGEST_SILENCE_S, max(self._floor_s, SILENCE_FACTOR * self._mean_s) * self._patience)

    def judge(self, at_s: float) -> str | None:
        """What is wrong, or None."""
        limit_s = self.limit_s
        if limit_s is None or self._last_s is None or at_s - self._last_s <= limit_s:
            return None
        usual = f"before, a frame came each {self._mean_s or 0:.1f} s"
        return f"nothing received for {at_s - self._last_s:.0f} s; {usual}"

    def reset_done(self, at_s: float) -> None:
        """A reset was the answer: wait twice as long before the next."""
        self._last_s = at_s
        self._patience = min(self._patience * 2, 1024.0)
