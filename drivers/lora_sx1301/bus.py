"""Carry out sequences on one SPI bus: one thread, one sequence at a time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
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

    def __init__(self, opening: Callable[[], Spi], clock: Clock) -> None:
        self._opening = opening
        self._spi: Spi | None = None
        self._clock = clock
        self._lock = asyncio.Lock()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sx1301 spi")
        self._waiting = 0  # sequences that want the bus; owned by the loop
        self._knock = threading.Event()  # set while there are any

    @property
    def is_open(self) -> bool:
        """Whether there is a device to talk to."""
        return self._spi is not None

    async def open(self) -> None:
        """Open the device; cancelled, :meth:`close` still finds it. Raises what opening it raises."""
        await self.call(self._open)

    def _open(self) -> None:
        self._spi = self._opening()

    async def set_clock(self, clock_hz: int) -> None:
        """From the next transfer on."""
        await self.call(lambda: self._device.set_clock(clock_hz))

    @property
    def _device(self) -> Spi:
        if self._spi is None:
            raise OSError("the bus is closed")
        return self._spi

    async def run(self, steps: Steps[T]) -> T:
        """Run a sequence to its end; its exceptions come through, OSError when the device is gone."""
        async with self._turn():
            answer: bytes | None = None
            while True:
                outcome = await self.call(partial(_advance, self._device, steps, answer))
                if isinstance(outcome, Done):
                    return outcome.value
                await self._clock.sleep(outcome.seconds)
                answer = b""

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """The bus, as soon as it is free; whoever watches it gives it up at once."""
        self._waiting += 1
        self._knock.set()
        try:
            await self._lock.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._lock.release()

    async def watch(self, look: Callable[[], Steps[list[T]]], interval_s: float, rounds: int) -> list[T]:
        """Run a sequence without waits again and again until it finds something, at most ``rounds`` times.

        It stays on the bus thread between looks, so that an idle radio does not wake the loop; whoever calls
        :meth:`run` meanwhile has the bus at once.
        """
        async with self._lock:
            if not self._waiting:
                self._knock.clear()
            return await self.call(lambda: self._watch(look, interval_s, rounds))

    def _watch(self, look: Callable[[], Steps[list[T]]], interval_s: float, rounds: int) -> list[T]:
        for _ in range(rounds):
            outcome = _advance(self._device, look(), None)
            if isinstance(outcome, Wait):
                raise TypeError("a sequence that waits cannot be watched")
            if outcome.value or self._knock.wait(interval_s):
                return outcome.value
        return []

    async def call(self, function: Callable[[], T]) -> T:
        """Run a blocking function on the bus thread; cancelled, however often, it is still waited for."""
        job = asyncio.get_running_loop().run_in_executor(self._thread, function)
        try:
            return await asyncio.shield(job)
        except asyncio.CancelledError:
            self._knock.set()
            while not job.done():
                with suppress(asyncio.CancelledError):  # the one that is raised below speaks for all
                    await asyncio.wait([job])
            raise

    async def close(self) -> None:
        """Close the device on its own thread, then end the thread; closing twice is harmless."""
        spi, self._spi = self._spi, None
        try:
            if spi is not None:
                await self.call(spi.close)
        finally:
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
