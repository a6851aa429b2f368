"""The host's own clock."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """:class:`gateway.clock.Clock` over the operating system and the running event loop."""

    def monotonic(self) -> float:
        return time.monotonic()

    def unix_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
