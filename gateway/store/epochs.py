"""Where the leaves of each epoch stand: tables number leaves and ordinals through, an epoch counts from 0.

A log that begins again keeps its database. What the coordinator has of the old epoch stays in it; what it has
not (orphans) becomes the new one's, in place: only the numbers it goes by change. The entry that begins an
epoch, its index 0, came after them and stands apart, at leaf ``-epoch`` with ordinals from ``-2 * epoch``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.store.connection import Connection

MAX_EPOCH = 1024
"""A gateway that begins so often has a fault that no further epoch mends."""

_TILES_SHIFT = 52


@dataclass(frozen=True, slots=True)
class Epoch:
    """``first_leaf`` + index is the leaf of every entry but that of the beginning; objects of its own have
    ordinals from ``first_ordinal`` on, or negative ones."""

    number: int
    first_leaf: int = 0
    first_ordinal: int = 0

    @property
    def lowest(self) -> int:
        """The leaf of its first entry, beside that of the beginning."""
        return self.first_leaf + (self.number > 1)

    @property
    def tiles(self) -> int:
        """What is added to the ids of its tiles."""
        return (self.number - 1) << _TILES_SHIFT

    def leaf(self, index: int) -> int:
        return -self.number if index == 0 and self.number > 1 else self.first_leaf + index

    def index(self, leaf: int) -> int:
        return 0 if leaf < 0 else leaf - self.first_leaf


FIRST = Epoch(1)


def of_leaf(epochs: Sequence[Epoch], leaf: int) -> Epoch:
    """Of these, the one that the leaf is of; ``epochs`` are in their order."""
    if leaf < 0:
        return next(epoch for epoch in epochs if epoch.number == -leaf)
    return next(epoch for epoch in reversed(epochs) if epoch.lowest <= leaf)


def read_past(connection: Connection) -> tuple[Epoch, ...]:
    """Epochs that are over, the oldest first."""
    rows = connection.execute("SELECT epoch, first_leaf, first_ordinal FROM epochs ORDER BY epoch")
    return tuple([Epoch(*row) for row in rows])
