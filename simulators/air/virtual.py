"""Virtual time: an event loop whose clock jumps to the next appointment when nothing is left to do now.

Blocking calls handed to an executor run at once, on the loop's own thread, and take no time. Work on threads
that the loop does not start takes no time either while :meth:`VirtualLoop.held` says that it is waited for.
What runs is the code as it is shipped; only waiting is skipped, and the same seed gives the same run.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

BEGINNING_S = 1000.0
STUCK_S = 60.0  # of the wall's time: whoever is waited for so long waits for time to pass


class VirtualLoop(asyncio.SelectorEventLoop):
    """Use it as ``asyncio.Runner(loop_factory=VirtualLoop)``."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds."""
        return self._jumping.now

    @contextmanager
    def held(self) -> Iterator[None]:
        """No time passes while the block runs: it waits for another thread."""
        self._jumping.holders += 1
        try:
            yield
        finally:
            self._jumping.holders -= 1

    def run_in_executor(  # type: ignore[override] # typeshed has it take TypeVarTuples
        self, executor: Executor | None, function: Callable[..., T], *arguments: Any
    ) -> asyncio.Future[T]:
        """Run it now."""
        outcome: asyncio.Future[T] = self.create_future()
        try:
            outcome.set_result(function(*arguments))
        except Exception as error:  # it belongs to whoever awaits the future
            outcome.set_exception(error)
        return outcome


class VirtualClock:
    """Steady time is the loop's; the wall clock begins at ``unix_ns`` and may be made to step."""

    def __init__(self, loop: asyncio.AbstractEventLoop, unix_ns: int = 1_790_000_000_000_000_000) -> None:
        self._loop = loop
        self._wall_ns = unix_ns - round(loop.time() * 1e9)

    def monotonic(self) -> float:
        """Seconds."""
        return self._loop.time()

    def unix_ns(self) -> int:
        """What the host takes for the time."""
        return self._wall_ns + round(self._loop.time() * 1e9)

    def micros(self) -> int:
        """For a chip."""
        return round(self._loop.time() * 1e6)

    def step_wall(self, seconds: float) -> None:
        """The wall clock jumps; steady time does not."""
        self._wall_ns += round(seconds * 1e9)

    async def sleep(self, seconds: float) -> None:
        """Sleep on this clock."""
        await asyncio.sleep(seconds)


class _JumpingSelector(selectors.BaseSelector):
    """Looks at its files; when none has anything, time passes without waiting for it."""

    def __init__(self) -> None:
        self.now = BEGINNING_S
        self.holders = 0
        self._files = selectors.DefaultSelector()

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._files.select(0)
        if events or (timeout is not None and timeout <= 0):
            return events
        if self.holders or timeout is None:
            return self._wait()
        self.now += timeout
        return []

    def _wait(self) -> list[tuple[selectors.SelectorKey, int]]:
        events = self._files.select(STUCK_S)
        if not events:
            raise RuntimeError(f"nothing happened in {STUCK_S:.0f} s of real time, and virtual time is held")
        return events

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._files.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._files.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._files.modify(fileobj, events, data)

    def get_map(self) -> Mapping[Any, selectors.SelectorKey]:
        return self._files.get_map()

    def close(self) -> None:
        self._files.close()
