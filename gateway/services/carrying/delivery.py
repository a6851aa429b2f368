"""Carried bundles on this gateway's own link: which one next, and what becomes of it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.carried import Carried
from gateway.core.sync import MAX_PIECE_BYTES, Parcel
from gateway.errors import CommandError

log = logging.getLogger(__name__)

NOT_TO_BE_HAD = frozenset({"invalid", "not_registered"})
"""Refusals after which a bundle is let go: it would only take the room of others."""


class Delivery:
    """A link's cargo. ``own`` is this gateway's key: its log goes as a log; ``take_ack`` keeps an ack."""

    def __init__(
        self, carried: Carried, own: bytes, take_ack: Callable[[bytes, bytes], Awaitable[object]]
    ) -> None:
        self.stirred = asyncio.Event()
        self._carried, self._own, self._take_ack = carried, own, take_ack

    async def parcel(
        self, content_id: bytes | None, offset: int, not_these: frozenset[bytes]
    ) -> Parcel | None:
        if content_id is not None:
            data = await asyncio.to_thread(self._carried.read, content_id, offset, MAX_PIECE_BYTES)
            return Parcel(content_id, offset, data) if data else None
        for held in self._carried.held:
            if held.key != self._own and held.content_id not in not_these:
                return Parcel(held.content_id, 0, b"")
        return None

    async def delivered(self, content_id: bytes, ack: bytes) -> None:
        held = next((one for one in self._carried.held if one.content_id == content_id), None)
        if held is None:
            return
        try:
            await self._take_ack(held.key, ack)
        except CommandError as error:
            log.warning("an ack for a carried bundle is not believed", extra={"reason": str(error)})
        else:
            log.info("a carried bundle is delivered", extra={"origin": held.origin, "size": held.size})

    async def undelivered(self, content_id: bytes, code: str) -> None:
        log.info("a carried bundle is not taken", extra={"id": content_id.hex()[:16], "code": code})
        if code in NOT_TO_BE_HAD:
            await asyncio.to_thread(self._carried.drop, content_id)
