"""How many messages may still be sent: a bucket by the minute, a count by the day; pure.

Every part is one message and is paid for as one.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class DayCount:
    """What is remembered on disk: a UTC day since 1970, and what was spent on it."""

    day: int = 0
    spent: int = 0


class Budget:
    """Owned by the sending task. ``monotonic_s`` measures rates, ``unix_s`` tells the day.

    A wall clock that stands before the remembered day goes on spending that day's budget, until a whole day
    has passed by the monotonic clock: setting a clock back buys nothing, a clock once wrong blocks no more
    than a day.
    """

    def __init__(
        self, *, per_minute: int, per_day: int, reserve: int, remembered: DayCount, monotonic_s: float
    ) -> None:
        self._per_minute, self._per_day = per_minute, per_day
        self._reserve = min(reserve, per_day)
        self._count = remembered
        self._since_s = monotonic_s
        self._tokens = 1.0
        self._filled_s = monotonic_s

    @property
    def count(self) -> DayCount:
        return self._count

    def left(self, unix_s: float, monotonic_s: float, *, priority: int = 0) -> int:
        """Messages that may still be sent today at this priority."""
        self._turn_day(unix_s, monotonic_s)
        return max(0, self._per_day - self._count.spent - (self._reserve if priority > 0 else 0))

    def wait_s(self, monotonic_s: float) -> float:
        """Seconds until the next message may be sent."""
        rate = self._per_minute / 60
        self._tokens = min(2.0, self._tokens + (monotonic_s - self._filled_s) * rate)
        self._filled_s = monotonic_s
        return max(0.0, (1.0 - self._tokens) / rate)

    def spend(self, unix_s: float, monotonic_s: float) -> None:
        """One message goes out."""
        self._turn_day(unix_s, monotonic_s)
        self._tokens -= 1.0
        self._count = DayCount(self._count.day, self._count.spent + 1)

    def refund(self) -> None:
        """The message of the last :meth:`spend` was refused."""
        self._count = DayCount(self._count.day, max(0, self._count.spent - 1))

    def _turn_day(self, unix_s: float, monotonic_s: float) -> None:
        day = int(unix_s) // DAY_S
        if day > self._count.day or monotonic_s - self._since_s >= DAY_S:
            self._count = DayCount(day, 0)
            self._since_s = monotonic_s
