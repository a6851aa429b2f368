"""When the coordinator is told by text message how far the log stands; no clock, no radio."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from gateway.model import Head

DAY_S = 86_400.0
RETRY_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LastWaySettings:
    """``after_s`` out of reach the first message; the next ``interval_s`` later, doubled each time up to a
    day; at most ``per_day`` in any 24 hours."""

    after_s: float
    interval_s: float
    per_day: int


@dataclass(frozen=True, slots=True)
class Told:
    """The newest checkpoint that the telephone network took for the coordinator: its note, signed by the log
    alone, and what that says."""

    origin: str
    size: int
    note: bytes

    def covers(self, head: Head, index: int) -> bool:
        """Whether this leaf of the log stands under it."""
        return self.origin == head.origin and index < self.size <= head.size


class LastWay:
    """Owned by one task; times are monotonic seconds. A coordinator that is back starts the schedule anew,
    never the day's budget; ``sent``: when it was drawn on before."""

    def __init__(self, settings: LastWaySettings, sent: Iterable[float] = ()) -> None:
        self._settings = settings
        self._wait_s = settings.interval_s
        self._next_at: float | None = None
        self._sent: deque[float] = deque(sorted(sent), maxlen=settings.per_day)

    def wait_s(self, down_s: float, now: float) -> float:
        """Seconds until a message is due, 0 when it is; ``down_s`` 0: the coordinator is reachable."""
        if down_s <= 0:
            self._next_at, self._wait_s = None, self._settings.interval_s
            return self._settings.after_s
        wait_s = self._settings.after_s - down_s
        if self._next_at is not None:
            wait_s = max(wait_s, self._next_at - now)
        if len(self._sent) == self._settings.per_day:
            wait_s = max(wait_s, self._sent[0] + DAY_S - now)
        return max(0.0, wait_s)

    def sent(self, now: float) -> None:
        """One went out, or into the radio's queue on disk."""
        self._sent.append(now)
        self._next_at = now + self._wait_s
        self._wait_s = min(2 * self._wait_s, DAY_S)

    def refused(self, now: float) -> None:
        """Nothing could be sent, so nothing was paid: soon again."""
        self._next_at = now + min(self._settings.interval_s, RETRY_S)
