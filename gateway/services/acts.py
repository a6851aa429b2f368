"""Acts on the running gateway: whoever asks, by whatever way, each is written down before and after."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.audit import AuditLog, AuditUnwritten
from gateway.core.audit import Act, State
from gateway.errors import CommandError, GatewayError
from gateway.model import Stamp

REFUSALS_EVERY_S = 600.0
"""Of one actor's refusals the first is written down, and the next one that comes this much later: a stranger
who guesses must not push what was done out of the files."""
MAX_ACTORS = 256

Perform = Callable[[Mapping[str, Any]], Awaitable[object]]


class Acts:
    """Performs acts by name. Owned by the event loop; writes on a thread."""

    def __init__(
        self,
        log: AuditLog,
        acts: Mapping[str, Perform],
        now: Callable[[], Stamp],
        monotonic: Callable[[], float],
    ) -> None:
        self._log, self._acts, self._now, self._monotonic = log, acts, now, monotonic
        self._refused: dict[str, tuple[float, int]] = {}  # actor → when one was written, how many came since

    @property
    def names(self) -> frozenset[str]:
        """What there is to do."""
        return frozenset(self._acts)

    async def perform(self, actor: str, name: str, arguments: Mapping[str, Any]) -> object:
        """What the act answers. Raises CommandError where there is none of this name or nobody could know of
        it, and whatever the act raises."""
        if name not in self._acts:
            raise CommandError(f"no act {name!r}; there are: {', '.join(sorted(self._acts))}")
        await self._write(actor, name, State.BEGUN, arguments)
        try:
            result = await self._acts[name](arguments)
        except BaseException as error:
            await self._write(actor, name, State.FAILED, arguments, _words(error))
            raise
        await self._write(actor, name, State.DONE, arguments)
        return result

    async def refused(self, actor: str, name: str, why: str) -> None:
        """Somebody was not allowed to."""
        now = self._monotonic()
        since, unwritten = self._refused.get(actor, (now - REFUSALS_EVERY_S, 0))
        if now - since < REFUSALS_EVERY_S:
            self._refused[actor] = since, unwritten + 1
            return
        while len(self._refused) >= MAX_ACTORS:
            del self._refused[next(iter(self._refused))]
        self._refused[actor] = now, 0
        more = f" ({unwritten} more since the last line)" if unwritten else ""
        await self._write(actor, name, State.REFUSED, {}, why + more)

    async def _write(
        self, actor: str, name: str, state: State, arguments: Mapping[str, Any], detail: str = ""
    ) -> None:
        said = {key: str(value) for key, value in arguments.items()}
        act = Act(at=self._now(), actor=actor, act=name, state=state, arguments=said, detail=detail)
        try:
            await asyncio.shield(asyncio.to_thread(self._log.append, act))
        except AuditUnwritten as error:
            raise CommandError(str(error)) from error


def _words(error: BaseException) -> str:
    return str(error) if isinstance(error, GatewayError) else type(error).__name__
