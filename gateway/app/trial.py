"""The coordinator's configuration: judged, put on trial, confirmed once link and health are back, or undone.

A trial is on disk before it is in force; what a start makes of it: gateway.app.starting.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from gateway.app.lifetime import Live
from gateway.app.starting import write
from gateway.clock import Clock
from gateway.config import Config, applied_beside, load
from gateway.config import applied as disk
from gateway.config.changes import changes
from gateway.core.applied import Applied, Trial, not_allowed
from gateway.core.vitals import Vitals
from gateway.errors import CommandError, ConfigError
from gateway.services.acts import Perform
from gateway.systemclock import SystemClock

log = logging.getLogger(__name__)

LOOK_S = 1.0
HOLDS_SHARE = 4
MAX_HOLDS_S = 15.0
"""Link and health must hold for a quarter of the trial's time, at most this long, before it is confirmed."""

Arguments = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Signs:
    """What a trial is judged by."""

    vitals: Callable[[], Awaitable[Vitals]]
    connected: Callable[[], bool]


class Configuration:
    """What of the coordinator's is in force. A service that ends trials; owned by the event loop.

    ``again`` is set to have the daemon start anew; ``perform`` writes the end of a trial down.
    """

    def __init__(
        self,
        live: Live,
        signs: Signs,
        clock: Clock,
        again: asyncio.Event,
        perform: Callable[[str, Perform, Arguments], Awaitable[object]],
    ) -> None:
        self._live, self._signs, self._clock, self._again = live, signs, clock, again
        self._perform = perform
        self._path = applied_beside(live.path)
        self._begun = asyncio.Event()

    def acts(self) -> Mapping[str, Perform]:
        """As the coordinator orders them."""
        return {"configure": self._configure, "configuration": self._tell}

    async def run(self) -> None:
        """Watch a trial, whenever there is one."""
        while True:
            self._begun.clear()
            trial = self._read().trial
            if trial is None or not trial.started:
                await self._begun.wait()
                continue
            why = await self._judged(trial)
            await self._end(trial, why)
            if why:
                self._take_up()

    async def _configure(self, arguments: Arguments) -> object:
        version, settings = _asked(arguments)
        applied = self._read()
        if applied.trial is not None:
            raise CommandError(
                f"version {applied.trial.version} is still on trial; come again when it is over"
            )
        if version <= applied.tried:
            raise CommandError(
                f"version {version} is not newer than {applied.tried}, which was tried already"
            )
        new = await asyncio.to_thread(_judge, self._live, settings)
        restart = bool(changes(self._live.config, self._live.started, new).waiting)
        score = (await self._signs.vitals()).health.score
        trial = Trial(version=version, settings=settings, score=score, started=not restart)
        await asyncio.to_thread(write, self._path, applied.begun(trial))
        log.warning("configuration on trial", extra={"version": version, "restart": restart})
        if not restart:
            self._live.reload()
            self._begun.set()
        else:
            self._again.set()
        seconds = new.remote.trial_seconds
        return {"version": version, "trial_seconds": seconds, "restarts": restart, "score": score}

    async def _tell(self, arguments: Arguments) -> object:
        return asdict(self._read())

    async def _judged(self, trial: Trial) -> str:
        """Nothing once link and health have held; else what was missing when the time was over."""
        bound_s = self._live.config.remote.trial_seconds
        deadline, held_since = self._clock.monotonic() + bound_s, None
        holds_s = min(MAX_HOLDS_S, bound_s / HOLDS_SHARE)
        while True:
            lacks, now = await self._lacks(trial), self._clock.monotonic()
            held_since = None if lacks else now if held_since is None else held_since
            if held_since is not None and now - held_since >= holds_s:
                return ""
            if now >= deadline:
                return f"after {bound_s} s {lacks or 'link and health had not held for long enough'}"
            await self._clock.sleep(min(LOOK_S, holds_s / 2))

    async def _lacks(self, trial: Trial) -> str:
        if not self._signs.connected():
            return "the coordinator was not reached"
        health = (await self._signs.vitals()).health
        if health.score >= trial.score:
            return ""
        return f"the score was {health.score}, {trial.score} before: {'; '.join(health.reasons)}"

    async def _end(self, trial: Trial, why: str) -> None:
        async def act(arguments: Arguments) -> object:
            now = self._read()
            ended = now.rolled_back(why) if why else now.confirmed()
            await asyncio.to_thread(write, self._path, ended)
            return ended.last

        name = "configuration rolled back" if why else "configuration confirmed"
        await self._perform(name, act, {"version": trial.version, "why": why})
        log.warning(name, extra={"version": trial.version, "reason": why})

    def _take_up(self) -> None:
        """What was before: at once where it can be, else by a start."""
        if self._live.reload()["waiting"]:
            self._again.set()

    def _read(self) -> Applied:
        return disk.read(self._path)


def _asked(arguments: Arguments) -> tuple[int, dict[str, Any]]:
    version, settings = arguments.get("version"), arguments.get("settings")
    if type(version) is not int or not 0 < version < 1 << 53 or not isinstance(settings, dict):
        raise CommandError(
            'expected: {"version": a number from 1, "settings": {sections of the configuration}}'
        )
    return version, settings


def _judge(live: Live, settings: Mapping[str, Any]) -> Config:
    """The whole configuration with these over it. Raises CommandError in the words of check-config."""
    try:
        barred = not_allowed(settings)
        if barred:
            raise CommandError(f"not for the coordinator to set: {', '.join(barred)}")
        own = load(live.path, applied={})
        absent = [name for name in settings if getattr(own, name) is None]
        if absent:
            raise CommandError(f"this gateway has no {', '.join(absent)}")
        return load(live.path, clock=SystemClock(), applied=settings)
    except ConfigError as error:
        raise CommandError("\n".join(map(str, error.problems))) from error
    except ValueError as error:
        raise CommandError(str(error)) from error
