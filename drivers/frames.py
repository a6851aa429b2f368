"""The bounded queue between a driver's receiving side and its ``frames()``."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from drivers.base import Frame
from drivers.errors import DriverLost


class FrameQueue:
    """Keeps the contract of :mod:`drivers.base`: bounded, the newest dropped when full, ended only by us.

    Owned by the event loop. A driver on a thread hands its frames over by ``call_soon_threadsafe``.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._frames: deque[Frame] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self._lost: DriverLost | None = None
        self._taken = False

    def __len__(self) -> int:
        return len(self._frames)

    @property
    def untaken(self) -> dict[str, int]:
        """For :class:`drivers.base.DriverStats`: frames that waited when we closed, and still do."""
        return {"untaken": len(self._frames)} if self._closed and self._frames else {}

    def put(self, frame: Frame) -> bool:
        """False when the queue was full or closed and the frame was dropped."""
        if self._closed or len(self._frames) >= self._size:
            return False
        self._frames.append(frame)
        self._news.set()
        return True

    def close(self) -> None:
        """We close: ``frames()`` hands out what waits, then ends."""
        self._closed = True
        self._news.set()

    def lose(self, error: DriverLost) -> None:
        """The device vanished: ``frames()`` hands out what waits, then raises ``error``."""
        self._lost = error
        self._news.set()

    async def frames(self) -> AsyncIterator[Frame]:
        """Iterate once an opening; a second iteration is a bug and raises :class:`RuntimeError`."""
        if self._taken:
            raise RuntimeError("frames() may be iterated once per opening")
        self._taken = True
        while True:
            if self._frames:
                yield self._frames.popleft()
            elif self._closed:
                return
            elif self._lost is not None:
                raise self._lost
            else:
                self._news.clear()
                await self._news.wait()
