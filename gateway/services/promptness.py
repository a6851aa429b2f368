"""Whether event loop and store answer in time: a slow part is told before it becomes a silent one."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from gateway.clock import Clock
from gateway.core.slowness import Slow, Slowness

log = logging.getLogger(__name__)

BOUNDS = {"event_loop": 0.5, "store": 2.0}
"""Seconds. A LoRa device opens its second window 2 s after it has sent, so half a second is much of it; a
store that is silent for 2 s stands on a card that is full or worn out."""
BEAT_S = 1.0
STORE_EVERY = 10
"""Beats."""


class Promptness:
    """Beats once a second; asks the store each ten. Owned by the event loop."""

    def __init__(self, ask_store: Callable[[], Awaitable[object]], clock: Clock) -> None:
        self._ask_store, self._clock = ask_store, clock
        self.slowness = Slowness(BOUNDS)

    async def run(self) -> None:
        """Until cancelled."""
        beat = 0
        while True:
            due = self._clock.monotonic() + BEAT_S
            await self._clock.sleep(BEAT_S)
            self._took("event_loop", self._clock.monotonic() - due)
            beat += 1
            if beat % STORE_EVERY == 0:
                await self._time_store()

    async def _time_store(self) -> None:
        """Its answer may take as long as a full queue of writes."""
        asked = self._clock.monotonic()
        await self._ask_store()
        self._took("store", self._clock.monotonic() - asked)

    def _took(self, part: str, seconds: float) -> None:
        slow = self.slowness.took(part, seconds, self._clock.monotonic())
        if slow is not None:
            _tell(slow)


def _tell(slow: Slow) -> None:
    log.warning(
        "slow",
        extra={
            "part": slow.part,
            "longest_s": round(slow.longest_s, 3),
            "bound_s": slow.bound_s,
            "times": slow.times,
        },
    )
