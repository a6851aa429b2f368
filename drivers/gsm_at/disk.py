"""The spool from the event loop: its blocking calls on a thread, one at a time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from hashlib import sha256
from typing import TypeVar

from drivers.gsm_at.records import BadRecord
from drivers.gsm_at.spool import ASIDE, STATE, Spool

log = logging.getLogger(__name__)

MAX_ASIDE = 200  # what was set aside for a person; above it the newest is only counted
PIN_RECORD = "pin-refused"
T = TypeVar("T")


class Disk:
    """Everything here is on disk when it returns. OSError where the disk refuses."""

    def __init__(self, spool: Spool, pin: str) -> None:
        self._spool = spool
        self._turn = asyncio.Lock()
        self._pin_mark = sha256(f"gsm pin {pin}".encode()).hexdigest().encode()
        self.aside = 0

    async def load(self, box: str, decode: Callable[[bytes], T]) -> dict[str, T]:
        """All readable records of a box; the others are set aside."""
        records: dict[str, T] = {}
        async with self._turn:
            raw = await asyncio.to_thread(self._spool.read, box)
        for name, record in raw.items():
            try:
                records[name] = decode(record)
            except BadRecord as error:
                log.warning(
                    "unreadable record set aside", extra={"box": box, "record": name, "seen": str(error)}
                )
                await self.set_aside(f"{box}-{name}"[:80], record)
                await self.remove(box, name)
        return records

    async def put(self, box: str, name: str, record: bytes) -> None:
        async with self._turn:
            await asyncio.to_thread(self._spool.put, box, name, record)

    async def remove(self, box: str, name: str) -> None:
        async with self._turn:
            await asyncio.to_thread(self._spool.remove, box, name)

    async def set_aside(self, name: str, record: bytes) -> None:
        """Keep for a person what must not block the others."""
        async with self._turn:
            kept = await asyncio.to_thread(self._spool.read, ASIDE)
            if name in kept or len(kept) < MAX_ASIDE:
                await asyncio.to_thread(self._spool.put, ASIDE, name, record)
            self.aside = len(kept) + (name not in kept)

    async def state(self, name: str) -> bytes | None:
        async with self._turn:
            return (await asyncio.to_thread(self._spool.read, STATE)).get(name)

    # PinMemory (drivers.gsm_at.bringup)

    async def pin_spent(self) -> bool:
        return await self.state(PIN_RECORD) == self._pin_mark

    async def spend_pin(self) -> None:
        await self.put(STATE, PIN_RECORD, self._pin_mark)

    async def pin_accepted(self) -> None:
        await self.remove(STATE, PIN_RECORD)
