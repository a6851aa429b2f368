"""The one row that says how far the log stands."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Self

from gateway.core.entry import origin_of
from gateway.core.merkle import Frontier
from gateway.core.submission import HeldPlace
from gateway.errors import FatalError
from gateway.model import Halt, Head
from gateway.store.connection import Connection
from gateway.store.epochs import Epoch, of_leaf, read_past


@dataclass(slots=True, kw_only=True)
class LogState:
    """The row of table ``log`` in memory; owned by the store's thread, written by every commit."""

    gateway_id: str
    epoch: int = 1
    frontier: Frontier = field(default_factory=Frontier)
    next_ordinal: int = 0
    indexed_ordinal: int = 0
    pruned_size: int = 0
    signed_size: int = 0
    signed_note: bytes | None = None
    acked_size: int = 0
    cosigned_note: bytes | None = None
    halted_what: str | None = None
    halted_fix: str | None = None
    verified: int = 0
    unverified: int = 0
    invalid: int = 0
    body_bytes: int = 0
    unproven_bytes: int = 0
    first_leaf: int = 0
    """Leaves of earlier epochs: those in tables are numbered through, an epoch's own from here."""
    first_ordinal: int = 0
    notices: int = 0
    resolved: int = 0
    lost: int = 0
    past: tuple[Epoch, ...] = field(default=(), metadata={"is_column": False})

    @property
    def size(self) -> int:
        return self.frontier.size

    @property
    def numbers(self) -> Epoch:
        """Of the present epoch."""
        return Epoch(self.epoch, self.first_leaf, self.first_ordinal)

    @property
    def next_leaf(self) -> int:
        return self.first_leaf + self.size

    @property
    def acked_leaf(self) -> int:
        """Leaves below it are acked; the coordinator has those of earlier epochs."""
        return max(self.numbers.lowest, self.first_leaf + min(self.acked_size, self.size))

    def epoch_of(self, leaf: int) -> Epoch:
        return of_leaf((*self.past, self.numbers), leaf)

    def placed(self, leaf: int, received_at_ms: int, quality: int) -> HeldPlace:
        """What a promise states of an entry."""
        epoch = self.epoch_of(leaf)
        return HeldPlace(epoch.index(leaf), received_at_ms, quality, epoch.number)

    @property
    def origin(self) -> str:
        return origin_of(self.gateway_id, self.epoch)

    @property
    def halted(self) -> Halt | None:
        if self.halted_what is None:
            return None
        return Halt(what=self.halted_what, fix=self.halted_fix or "")

    def head(self) -> Head:
        return Head(
            epoch=self.epoch,
            origin=self.origin,
            size=self.size,
            root=self.frontier.root(),
            signed_size=self.signed_size,
            signed_note=self.signed_note,
            acked_size=self.acked_size,
            cosigned_note=self.cosigned_note,
            halted=self.halted,
            notices=self.notices,
        )

    def keep_marks(self, other: Self) -> None:
        """Take over what ``other`` was told and had not yet committed."""
        if other.signed_size >= self.signed_size:
            self.signed_size, self.signed_note = other.signed_size, other.signed_note
        if other.acked_size >= self.acked_size:
            self.acked_size, self.cosigned_note = other.acked_size, other.cosigned_note
        if other.halted_what is not None:
            self.halted_what, self.halted_fix = other.halted_what, other.halted_fix

    def write(self, connection: Connection) -> None:
        connection.execute(_UPDATE, (*self._values(),))

    def create(self, connection: Connection) -> None:
        connection.execute(_INSERT, (*self._values(),))

    def _values(self) -> list[object]:
        values: list[object] = [getattr(self, name) for name in _COLUMNS]
        values[_FRONTIER] = self.frontier.to_bytes()
        return values

    @classmethod
    def read(cls, connection: Connection) -> Self | None:
        """None for a database that was never written to. Raises FatalError for a row that makes no sense."""
        row = connection.execute(_SELECT).fetchone()
        if row is None:
            return None
        values = dict(zip(_COLUMNS, row, strict=True))
        try:
            values["frontier"] = Frontier.from_bytes(values["frontier"])
        except ValueError as error:
            raise FatalError(f"the log's frontier is damaged: {error}") from error
        return cls(**values, past=read_past(connection))


_COLUMNS = tuple(column.name for column in fields(LogState) if column.metadata.get("is_column", True))
_FRONTIER = _COLUMNS.index("frontier")
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM log"  # noqa: S608 - our own column names
_INSERT = f"INSERT INTO log (id, {', '.join(_COLUMNS)}) VALUES (1{', ?' * len(_COLUMNS)})"  # noqa: S608 - our own
_UPDATE = f"UPDATE log SET ({', '.join(_COLUMNS)}) = (?{', ?' * (len(_COLUMNS) - 1)})"  # noqa: S608 - our own
