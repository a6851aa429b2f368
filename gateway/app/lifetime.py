"""What SIGTERM, Ctrl-C and SIGHUP do."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine, Mapping
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


async def until_told(running: Coroutine[None, None, None], reload: Callable[[], object]) -> None:
    """Let ``running`` run until SIGTERM or SIGINT, then cancel it and wait for its end."""
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(running)

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
    log.info("stopped")


def _abandon() -> None:
    log.error("what still ran was left undone", extra={"after_s": DRAIN_S})
    os._exit(1)  # a crash at any moment is part of the design: the next start is the same as any


class Live:
    """The configuration as it is in force; SIGHUP and ``reload`` change what can be changed."""

    def __init__(self, path: Path, config: Config, admission: Admission) -> None:
        self.path = path
        self._started = config
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
        changed = changes(self.config, self._started, new)
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
