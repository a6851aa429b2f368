"""What only opens blocking, opened on a thread; what nobody waits for any more is closed again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol, TypeVar


class Closable(Protocol):
    def close(self) -> object: ...


T = TypeVar("T", bound=Closable)


async def open_on_thread(opening: Callable[[], T]) -> T:
    """What ``opening`` returns; its errors pass through.

    A thread cannot be cancelled: it goes on, and closes what it opened too late. Else a serial
    port would stay locked, or a pin taken, by a driver that is gone.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="opening")
    opened = thread.submit(opening)
    thread.shutdown(wait=False)  # it ends after this one call
    try:
        return await asyncio.wrap_future(opened)
    except asyncio.CancelledError:
        opened.add_done_callback(_close)
        raise


def _close(opened: Future[T]) -> None:
    if not opened.cancelled() and opened.exception() is None:
        opened.result().close()
