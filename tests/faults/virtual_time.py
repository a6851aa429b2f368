"""A clock on which time passes only when a test says so."""

from __future__ import annotations

import asyncio
import heapq


class VirtualClock:
    """Whoever sleeps is a sleeper until :meth:`advance` has reached its moment."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._slept = asyncio.Event()

    def monotonic(self) -> float:
        return self.now

    def unix_ns(self) -> int:
        return int((1_790_000_000 + self.now) * 1e9)

    async def sleep(self, seconds: float) -> None:
        self._count += 1
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, self._count, wake))
        self._slept.set()
        await wake

    async def next_sleeper(self) -> None:
        """Until somebody falls asleep."""
        self._slept.clear()
        await self._slept.wait()

    def advance(self) -> None:
        """To the moment at which the next sleeper wakes; those who gave up are passed over."""
        while self._sleepers:
            moment, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                self.now = max(self.now, moment)
                wake.set_result(None)
                return
