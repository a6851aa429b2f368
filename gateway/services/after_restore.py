"""Between a restore and the coordinator's word: the log stands still, or goes on under the next epoch.

A restored log may lack what was promised last. Signed on in the old epoch, its next leaf would be a second
one in the same place. So nothing is logged before the coordinator has answered and the log has caught up;
where it does not answer, a new epoch begins. A mark beside the database says so over any crash.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from gateway.clock import Clock
from gateway.model import Beginning, Halt, Stamp
from gateway.store import Store

log = logging.getLogger(__name__)

PATIENCE_S = 120.0
"""How long the coordinator is waited for; uploads are answered BUSY meanwhile."""

_LOOK_S = 0.5
_WHO = "restore"
_WHY = "restore"


class AfterRestore:
    """``answered`` says whether the coordinator has spoken on a link that is open now."""

    def __init__(
        self,
        mark: Path,
        store: Store,
        key: bytes,
        answered: Callable[[], bool],
        now: Callable[[], Stamp],
        clock: Clock,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._mark = mark
        self._store = store
        self._key = key
        self._answered = answered
        self._now = now
        self._clock = clock
        self._patience_s = patience_s

    async def hold(self) -> bool:
        """Before anything is taken in: whether this log was restored and waits."""
        waits = self._mark.exists()
        if waits:
            await self._store.hold(_WHO, held=True)
            log.warning("restored from a backup: uploads wait for the coordinator's word")
        return waits

    async def run(self) -> None:
        """As a service: settles it once, and then only waits to be cancelled."""
        if self._mark.exists():
            await self._settle()
        await asyncio.Event().wait()

    async def _settle(self) -> None:
        until = self._clock.monotonic() + self._patience_s
        while not await self._agreed():
            if self._clock.monotonic() >= until:
                await self._begin()
                break
            await self._clock.sleep(_LOOK_S)
        self._mark.unlink(missing_ok=True)
        await self._store.hold(_WHO, held=False)
        head = await self._store.head()
        log.info("the restored log goes on", extra={"origin": head.origin, "leaves": head.size})

    async def _agreed(self) -> bool:
        """The link holds the log itself while it catches up."""
        return self._answered() and await self._store.holders() <= {_WHO}

    async def _begin(self) -> None:
        told = Halt(
            what="this log was restored from a backup while the coordinator was out of reach; it goes on "
            "under a new epoch, for what was accepted last may be lost",
            fix="if wallets showed promises that are gone, have them hand over again; then run: "
            "offgrid-gateway log resume",
        )
        await self._store.begin_epoch(Beginning(key=self._key, why=_WHY, told=told, at=self._now()))
