"""How long to wait before the next attempt to reach the coordinator; pure, randomness is an argument.

The step doubles from the configured base with each attempt that earned nothing; the delay is spread evenly
between half the step and one and a half: its mean is what was configured, it is never near zero, and gateways
that lost their coordinator together come back over a whole base interval instead of at once.
"""

from __future__ import annotations

from collections.abc import Callable

MIN_BASE_S = 0.25  # from here on at most 9 attempts begin in the first minute, however the dice fall
MAX_DELAY_S = 300.0


class Backoff:
    """Delays in seconds; ``random`` gives numbers in [0, 1).

    Reset it for work done (an ACK), never for a connection: a coordinator that accepts and closes would be
    hammered.
    """

    def __init__(self, base_s: float, random: Callable[[], float], *, longest_s: float = MAX_DELAY_S) -> None:
        self._longest_step = longest_s / 1.5
        self._base = max(base_s, MIN_BASE_S)
        self._random = random
        self._fruitless = 0

    def next_delay(self) -> float:
        """Seconds to wait now; the next call waits about twice as long."""
        step = min(self._longest_step, self._base * 2.0 ** min(self._fruitless, 32))
        self._fruitless += 1
        return step * (0.5 + self._random())

    def reset(self) -> None:
        """The last attempt was worth it."""
        self._fruitless = 0
