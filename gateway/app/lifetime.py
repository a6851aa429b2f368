"""What SIGTERM, Ctrl-C and SIGHUP do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from gateway.app import settings
from gateway.config import Config, load
from gateway.config.changes import changes
from gateway.core.admission import Admission
from gateway.errors import ConfigError
from gateway.services import logs, systemd

log = logging.getLogger(__name__)

DRAIN_S = 4.5
"""After SIGTERM: what is not done by then is left undone. Nothing promised can be lost by that."""

LAST_WORDS_S = 5.0

Task = asyncio.Future[None]


@dataclass(frozen=True, slots=True)
class Anew:
    """``asked`` is set to have the daemon start anew; ``first`` is awaited before, for at most 5 s."""

    first: Callable[[], Awaitable[None]]
    asked: asyncio.Event = field(default_factory=asyncio.Event)


async def until_told(
    running: Coroutine[None, None, None], reload: Callable[[], object], anew: Anew | None = None
) -> bool:
    """Let ``running`` run until SIGTERM, SIGINT or ``anew``, then cancel it and wait for its end.

    Whether it is to run again.
    """
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(running)
    leaving = None if anew is None else asyncio.ensure_future(_leave_when(anew.asked, anew.first, task))

    def stop(name: str) -> None:
        log.info("stopping", extra={"signal": name})
        systemd.notify("STOPPING=1")
        loop.call_later(DRAIN_S, _abandon)
        task.cancel()

    for stopping in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(stopping, stop, stopping.name)
    loop.add_signal_handler(signal.SIGHUP, reload)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})  # one that came earlier is taken now
    try:
        await task
    except asyncio.CancelledError:
        if not task.cancelled():
            raise
    finally:
        if leaving is not None:
            leaving.cancel()
    log.info("stopped")
    return anew is not None and anew.asked.is_set()


async def _leave_when(again: asyncio.Event, first: Callable[[], Awaitable[None]], task: Task) -> None:
    """systemd is told nothing: the same process goes on, and its watchdog sees it if it does not."""
    await again.wait()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LAST_WORDS_S):
            await first()
    log.info("starting anew")
    asyncio.get_running_loop().call_later(DRAIN_S, _abandon)
    task.cancel()


def _abandon() -> None:
    log.error("what still ran was left undone", extra={"after_s": DRAIN_S})
    os._exit(1)  # a crash at any moment is part of the design: the next start is the same as any


class Live:
    """The configuration as it is in force; SIGHUP and ``reload`` change what can be changed."""

    def __init__(self, path: Path, config: Config, admission: Admission) -> None:
        self.path = path
        self.started = config
        self._admission = admission
        self.config = config

    def reload(self) -> Mapping[str, object]:
        """Take what can be taken; says what was, what waits for a restart, and what is wrong."""
        try:
            new = load(self.path)
        except ConfigError as error:
            problems = [str(problem) for problem in error.problems]
            log.error("configuration not taken", extra={"problems": "; ".join(problems)})
            return {"taken": [], "waiting": [], "problems": problems}
        changed = changes(self.config, self.started, new)
        if settings.rates(new) != settings.rates(self.config):  # every bucket starts full then
            self._admission.limit(settings.rates(new))
        self._admission.block(new.limits.blocked_devices)
        logs.set_level(new.logging.level)
        self.config = new
        log.info(
            "configuration read again",
            extra={"taken": ", ".join(changed.taken), "waiting_for_restart": ", ".join(changed.waiting)},
        )
        return {"taken": list(changed.taken), "waiting": list(changed.waiting), "problems": []}
