"""Frees what is acked and old, and on a disk that runs full everything that is acked; nothing else, ever."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from gateway.clock import Clock
from gateway.model import Freed, RetentionPolicy

log = logging.getLogger(__name__)

PERIOD_S = 60.0


class Prunes(Protocol):
    """What retention asks of the store."""

    async def prune(self, policy: RetentionPolicy) -> Freed: ...


async def keep(
    store: Prunes,
    policy: Callable[[], RetentionPolicy],
    *,
    free_bytes: Callable[[], int],
    disk_floor: int,
    clock: Clock,
) -> None:
    """Prune once a minute until cancelled. ``policy`` is asked each time: it may change while we run.

    Under twice the floor of free disk (bytes) every acked body goes, backed up or not, so that what is not
    acked finds room.
    """
    tight = False
    while True:
        free = free_bytes()
        tight = _told(tight, free, disk_floor)
        await _prune(store, replace(policy(), max_snapshots=0, backed_up=None) if tight else policy(), clock)
        await clock.sleep(PERIOD_S)


def _told(was_tight: bool, free: int, disk_floor: int) -> bool:
    tight = free < 2 * disk_floor
    if tight != was_tight:
        log.log(
            logging.WARNING if tight else logging.INFO,
            "disk runs full, all that is acked will go" if tight else "disk has room again",
            extra={"free_mib": free >> 20, "floor_mib": disk_floor >> 20},
        )
    return tight


async def _prune(store: Prunes, policy: RetentionPolicy, clock: Clock) -> None:
    entries = body_bytes = file_bytes = 0
    more = True
    while more:
        freed = await store.prune(policy)
        entries += freed.entries
        body_bytes += freed.body_bytes
        file_bytes += freed.file_bytes
        more = freed.more
        await clock.sleep(0)  # uploads come between two rounds
    if entries:
        log.info(
            "retention",
            extra={"entries": entries, "body_bytes": body_bytes, "file_bytes": file_bytes},
        )
