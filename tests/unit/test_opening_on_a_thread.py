"""Opening on a thread: what nobody takes is closed, whenever the taker goes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from drivers.transport.opening import open_on_thread


class Line:
    def __init__(self) -> None:
        self.closed = threading.Event()

    def close(self) -> None:
        self.closed.set()


async def test_what_opens_is_handed_over_open() -> None:
    line = await open_on_thread(Line)
    assert not line.closed.is_set()


async def test_what_does_not_open_says_why() -> None:
    def refused() -> Line:
        raise OSError("no such pin")

    with pytest.raises(OSError, match="no such pin"):
        await open_on_thread(refused)


async def test_what_opens_after_its_taker_was_cancelled_is_closed_again() -> None:
    line, begun, go_on = Line(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly() -> Line:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(60)
        return line

    taker = asyncio.create_task(open_on_thread(slowly))
    await begun.wait()
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    assert not line.closed.is_set()
    go_on.set()
    assert await asyncio.to_thread(line.closed.wait, 60)


async def test_what_fails_after_its_taker_was_cancelled_is_nobodys_trouble() -> None:
    begun, go_on, ended = asyncio.Event(), threading.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def slowly() -> Line:
        loop.call_soon_threadsafe(begun.set)
        assert go_on.wait(60)
        ended.set()
        raise OSError("too late")

    taker = asyncio.create_task(open_on_thread(slowly))
    await begun.wait()
    taker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await taker
    go_on.set()
    assert await asyncio.to_thread(ended.wait, 60)
