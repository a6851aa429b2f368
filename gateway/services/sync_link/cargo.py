"""What a link is given to bring to the coordinator beside the own log."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.core.sync import Parcel


class Cargo(Protocol):
    """Bundles of other gateways. ``stirred`` is set when there may be more."""

    stirred: asyncio.Event

    async def parcel(
        self, content_id: bytes | None, offset: int, not_these: frozenset[bytes]
    ) -> Parcel | None:
        """Bytes of that bundle, or (None) the next one of which none are read yet; None: there is none."""
        ...

    async def delivered(self, content_id: bytes, ack: bytes) -> None:
        """The coordinator has it; ``ack`` as it came."""
        ...

    async def undelivered(self, content_id: bytes, code: str) -> None:
        """The coordinator does not take it."""
        ...
