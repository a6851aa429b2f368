"""What was told by text message, over a restart: when, for the day's budget, and the newest checkpoint.

A file beside the database. A message is in it before the radio is asked to send it, so however the process
ends the day's budget is not exceeded; one that the radio refuses leaves its place to the next, so that a
modem that is gone does not wear the disk. The moments are the wall clock's: one that stands before them, as
on a Pi without a battery, has them all count as sent now.
"""

from __future__ import annotations

import asyncio
import json
import logging
from base64 import b64decode, b64encode
from pathlib import Path
from typing import Any

from gateway.clock import Clock
from gateway.core.last_way import DAY_S, Told
from gateway.keys import durable

log = logging.getLogger(__name__)


class LastWayBook:
    """Owned by the event loop; writes on a thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path, self._clock = path, clock
        self._sent: list[float] = []  # Unix seconds
        self._reserved = False  # the last of them was not sent yet
        self._told: Told | None = None
        self._read()

    def told(self) -> Told | None:
        """The newest checkpoint that was told."""
        return self._told

    def sent(self) -> list[float]:
        """When messages of the last day were sent, in monotonic seconds."""
        unix_s, now = self._unix_s(), self._clock.monotonic()
        return [now - max(0.0, unix_s - at) for at in self._sent if unix_s - at < DAY_S]

    async def reserve(self) -> None:
        """One message counts as sent from now on. Raises OSError where that cannot be kept."""
        if self._reserved:
            return
        before = self._sent
        self._sent = [at for at in before if self._unix_s() - at < DAY_S] + [self._unix_s()]
        try:
            await self._write()
        except OSError:
            self._sent = before
            raise
        self._reserved = True

    async def spend(self, told: Told | None) -> None:
        """The message reserved is sent; ``told`` where it is known that the network took it."""
        self._sent[-1] = self._unix_s()
        self._reserved = False
        self._told = told or self._told
        try:
            await self._write()
        except OSError as error:  # it counts all the same, as of when it was reserved
            log.warning("what was told cannot be kept", extra={"path": str(self._path), "reason": str(error)})

    async def _write(self) -> None:
        told = self._told
        kept: dict[str, Any] = {"sent": self._sent}
        if told is not None:
            kept["told"] = {
                "origin": told.origin,
                "size": told.size,
                "note": b64encode(told.note).decode(),
            }
        await asyncio.to_thread(durable.replace, self._path, json.dumps(kept).encode(), mode=0o640)

    def _read(self) -> None:
        try:
            kept = json.loads(self._path.read_bytes())
            self._sent = sorted(float(at) for at in kept["sent"])
            told = kept.get("told")
            if told is not None:
                note = b64decode(told["note"], validate=True)
                self._told = Told(str(told["origin"]), int(told["size"]), note)
        except FileNotFoundError:
            return
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            # A day's budget is spent twice at most; the modem's own holds all the same.
            log.warning("what was told is not known", extra={"path": str(self._path), "reason": str(error)})

    def _unix_s(self) -> float:
        return self._clock.unix_ns() / 1e9
