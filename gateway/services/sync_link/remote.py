"""What a link hands the coordinator's orders to, and takes the answers from."""

from __future__ import annotations

from typing import Protocol

from gateway.core.remote import Order, Piece


class Remote(Protocol):
    """Judges and carries out; answers wait for the link, over its ends too."""

    async def take(self, order: Order) -> None:
        """As it came: whoever is on the line may have made it up. Returns at once."""
        ...

    async def piece(self) -> Piece:
        """The next part of an answer, as soon as there is one; the one before is on its way."""
        ...
