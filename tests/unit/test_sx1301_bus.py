"""The concentrator's bus: whoever watches it gives it up, whoever opens it can be called off."""

from __future__ import annotations

import asyncio
import threading

import pytest

from drivers.lora_sx1301.bus import Bus
from drivers.lora_sx1301.steps import Steps, Wait


class Wire:
    """Says back what it was told."""

    def __init__(self) -> None:
        self.closed = 0

    def transfer(self, mosi: bytes) -> bytes:
        return mosi

    def set_clock(self, clock_hz: int) -> None: ...

    def close(self) -> None:
        self.closed += 1


class Turned:
    """A clock whose sleeps end when the test says so."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def monotonic(self) -> float:
        return 0.0

    def unix_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        await self.over.wait()


def waits() -> Steps[str]:
    yield Wait(1.0)
    return "waited"


def nothing() -> Steps[list[int]]:
    yield b"\0\0"
    return []


def asks() -> Steps[bytes]:
    return (yield b"\1\2")


async def test_who_came_to_watch_before_another_wants_the_bus_gives_it_up_at_once() -> None:
    """Both wait for the same sequence to end; the watcher's turn comes first, for an hour if it were let."""
    clock, wire = Turned(), Wire()
    bus = Bus(lambda: wire, clock)
    await bus.open()
    first = asyncio.create_task(bus.run(waits()))
    await asyncio.sleep(0)
    watching = asyncio.create_task(bus.watch(nothing, 60.0, 60))
    await asyncio.sleep(0)
    wanted = asyncio.create_task(bus.run(asks()))
    await asyncio.sleep(0)
    clock.over.set()
    assert await first == "waited"
    assert await wanted == b"\1\2"
    assert await watching == []
    await bus.close()
    await bus.close()
    assert wire.closed == 1


async def test_what_is_opened_for_someone_who_has_gone_is_still_there_to_be_closed() -> None:
    may_open, wire = threading.Event(), Wire()

    def opening() -> Wire:
        may_open.wait()
        return wire

    bus = Bus(opening, Turned())
    task = asyncio.create_task(bus.open())
    await asyncio.sleep(0)
    for _ in range(3):  # however often
        task.cancel()
        await asyncio.sleep(0)
    assert not task.done()
    may_open.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bus.is_open
    await bus.close()
    assert wire.closed == 1


async def test_a_closed_bus_is_a_device_that_is_gone() -> None:
    bus = Bus(Wire, Turned())
    with pytest.raises(OSError, match="the bus is closed"):
        await bus.run(asks())
    await bus.close()
