"""Carry out sequences on one SPI bus: one thread, one sequence at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

from drivers.base import Clock
from drivers.lora_sx1301.steps import Steps, Wait
from drivers.transport.spi import Spi

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A sequence's result."""

    value: T


class Bus:
    """One chip on its bus. The lock makes each sequence one logical operation, waits included."""

    def __init__(self, spi: Spi, clock: Clock) -> None:
        self.spi = spi
        self._clock = clock
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sx1301 spi")
        self._knock = threading.Event()  # somebody else wants the bus

    async def run(self, steps: Steps[T]) -> T:
        """Run a sequence to its end; its exceptions come through, OSError when the device is gone."""
        self._knock.set()
        async with self._lock:
            answer: bytes | None = None
            while True:
                outcome = await self.call(lambda answer=answer: _advance(self.spi, steps, answer))  # type: ignore[misc]
                if isinstance(outcome, Done):
                    return outcome.value
                await self._clock.sleep(outcome.seconds)
                answer = b""

    async def watch(self, look: Callable[[], Steps[list[T]]], interval_s: float, rounds: int) -> list[T]:
        """Run a sequence without waits again and again until it finds something, at most ``rounds`` times.

        It stays on the bus thread between looks, so that an idle radio does not wake the loop; whoever calls
        :meth:`run` meanwhile has the bus at once.
        """
        async with self._lock:
            self._knock.clear()
            return await self.call(lambda: self._watch(look, interval_s, rounds))

    def _watch(self, look: Callable[[], Steps[list[T]]], interval_s: float, rounds: int) -> list[T]:
        for _ in range(rounds):
            outcome = _advance(self.spi, look(), None)
            if isinstance(outcome, Wait):
                raise TypeError("a sequence that waits cannot be watched")
            if outcome.value or self._knock.wait(interval_s):
                return outcome.value
        return []

    async def call(self, function: Callable[[], T]) -> T:
        """Run a blocking function on the bus thread; cancelled, it is still waited for."""
        job = asyncio.get_running_loop().run_in_executor(self._thread, function)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            self._knock.set()
            await asyncio.wait([job])
            raise

    async def close(self) -> None:
        """Close the device on its own thread, then end the thread."""
        await self.call(self.spi.close)
        self._thread.shutdown(wait=False)


def _advance(spi: Spi, steps: Steps[T], answer: bytes | None) -> Done[T] | Wait:
    """On the bus thread: transfers up to the next wait or to the end."""
    try:
        while True:
            step = next(steps) if answer is None else steps.send(answer)
            if isinstance(step, Wait):
                return step
            answer = spi.transfer(step)
    except StopIteration as stop:
        return Done(stop.value)
