"""A clock that runs faster than the wall, for the model and the code under test alike."""

from __future__ import annotations

import asyncio
import time


class WarpClock:
    """Monotonic time times ``rate``; its wall clock starts right and can be made to step.

    A faster clock shortens waits, not work: what takes 1 ms then takes ``rate`` ms of its time.
    """

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        self._from, self._at = time.monotonic(), time.monotonic()
        self._wall_ns = time.time_ns() - round(self._at * 1e9)

    def set_rate(self, rate: float) -> None:
        """From now on; time stays continuous."""
        self._at, self._from = self.monotonic(), time.monotonic()
        self._rate = rate

    def step_wall(self, seconds: float) -> None:
        """The host's wall clock jumps; steady time does not."""
        self._wall_ns += round(seconds * 1e9)

    def monotonic(self) -> float:
        """Seconds, steady."""
        return self._at + (time.monotonic() - self._from) * self._rate

    def unix_ns(self) -> int:
        """Wall clock."""
        return self._wall_ns + round(self.monotonic() * 1e9)

    def micros(self) -> int:
        """Steady time in microseconds, for a chip."""
        return round(self.monotonic() * 1e6)

    async def sleep(self, seconds: float) -> None:
        """Sleep on this clock."""
        await asyncio.sleep(seconds / self._rate)
