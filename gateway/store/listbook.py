"""Devices' lists: which are held, and what stands in them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.lists import Place, expand
from gateway.core.merkle import Frontier
from gateway.core.submission import HeldBase, HeldPlace
from gateway.core.wallet.objects import Kind
from gateway.core.wallet.tree import WalletFrontier
from gateway.store.connection import Connection, Row
from gateway.store.epochs import Epoch

MAX_PLACES = 100_000
"""Places of expanded lists kept in memory, about 4 MB; the list longest not asked for makes room."""

MAX_RESUME = 3
"""Prefixes named in a RESUME."""

_MAX_COUNT = 1 << 53
"""Above every count that a snapshot can state."""


@dataclass(frozen=True, slots=True)
class HeldList:
    """A list that can be a base: its leaf, the length of its chain, its places that are bare identities."""

    leaf: int
    depth: int
    raws: int


class ListBook:
    """Lists by key; owned by the store's thread."""

    def __init__(self, connection: Connection, numbers: Epoch) -> None:
        self._connection = connection
        self._numbers = numbers
        self._expanded: OrderedDict[int, list[Place]] = OrderedDict()
        self._places = 0
        self._staged: dict[int, HeldList] = {}
        self._staged_places: dict[int, list[Place]] = {}

    def base(self, key: int, count: int, root: bytes) -> HeldBase | None:
        """The device's list of this length and wallet root."""
        row = self._connection.execute(
            "SELECT leaf, wallet, identities FROM lists WHERE key = ? AND count = ? AND root = ? "
            "ORDER BY timestamp DESC LIMIT 1",
            (key, count, root),
        ).fetchone()
        if row is None:
            return None
        return HeldBase(row[0], WalletFrontier.from_bytes(row[1]), Frontier.from_bytes(row[2]))

    def resume(self, key: int) -> tuple[tuple[int, bytes], ...]:
        """The longest lists held, as (count, wallet root)."""
        found: list[tuple[int, bytes]] = []
        last: tuple[int, bytes] | None = (_MAX_COUNT, b"")
        while last is not None and len(found) < MAX_RESUME:
            last = self._before(key, *last)
            if last is not None:
                found.append(last)
        return tuple(found)

    def is_own(self, leaf: int) -> bool:
        """Whether it is of the present epoch, whose lists alone can be named as a base."""
        return leaf >= self._numbers.lowest

    def own(self, places: list[Place]) -> list[Place]:
        """The places as this epoch can name them: what an earlier one logged goes by its identity."""
        first = self._numbers.first_ordinal
        if not first or all(isinstance(place, bytes) or place >= first for place in places):
            return places
        older = [place for place in places if isinstance(place, int) and place < first]
        known = {ordinal: self._identity(ordinal) for ordinal in dict.fromkeys(older)}
        return [place if isinstance(place, bytes) else known.get(place, place) for place in places]

    def raws(self, held: HeldList) -> int:
        """Places of a held list that are bare identities in this epoch."""
        if self.is_own(held.leaf):
            return held.raws
        return sum(isinstance(place, bytes) for place in self.own([*self.expanded(held.leaf)]))

    def _identity(self, ordinal: int) -> bytes:
        row = self._connection.execute(
            "SELECT identity FROM objects WHERE ordinal = ?", (ordinal,)
        ).fetchone()
        identity: bytes = row[0]
        return identity

    def same_snapshots(
        self, key: int, count: int, root: bytes, timestamp: int, placed: Callable[[int, int, int], HeldPlace]
    ) -> dict[bytes, HeldPlace]:
        """Held snapshots with the same signed text, by header hash: of a hostile device perhaps several."""
        rows = self._connection.execute(
            "SELECT o.hash, l.leaf, received_at, quality FROM lists l JOIN entries USING (leaf) "
            "JOIN objects o ON o.ordinal = first_ordinal "
            "WHERE key = ? AND l.count = ? AND root = ? AND timestamp = ? LIMIT 64",
            (key, count, root, timestamp),
        )
        return {row[0]: placed(*row[1:]) for row in rows}

    def newest(self, key: int) -> HeldList | None:
        """The longest list of a device: what the next whole list is a difference to."""
        if key in self._staged:
            return self._staged[key]
        row = self._connection.execute(
            "SELECT leaf, depth, raws FROM lists WHERE key = ? "
            "ORDER BY count DESC, root DESC, timestamp DESC LIMIT 1",
            (key,),
        ).fetchone()
        return None if row is None else HeldList(*row)

    def held(self, leaf: int) -> HeldList:
        """The list at ``leaf``, which is a snapshot's; one that this group adds too."""
        staged = next((held for held in self._staged.values() if held.leaf == leaf), None)
        if staged is not None:
            return staged
        row = self._connection.execute("SELECT depth, raws FROM lists WHERE leaf = ?", (leaf,)).fetchone()
        return HeldList(leaf, *row)

    def expanded(self, leaf: int) -> Sequence[Place]:
        """Every place of the list at ``leaf``; not to be changed."""
        if leaf in self._staged_places:
            return self._staged_places[leaf]
        chain: list[Row] = []
        at: int | None = leaf
        while at is not None and at not in self._expanded:
            row = self._connection.execute(
                "SELECT leaf, base, ops, first_ordinal, e.count FROM lists JOIN entries e USING (leaf) "
                "WHERE leaf = ?",
                (at,),
            ).fetchone()
            chain.append(row)
            at = row[1]
        places = [] if at is None else self._expanded[at]
        for _, _, ops, first, count in reversed(chain):
            places = expand(ops, places, self._new_ordinals(first, count), first)
        self._keep(leaf, places)
        return places

    def stage(self, key: int, held: HeldList, places: list[Place]) -> None:
        """A whole list that this group logs; later ones of the group may build on it."""
        self._staged[key] = held
        self._staged_places[held.leaf] = places

    def committed(self) -> None:
        """What was staged is in the database now."""
        for leaf, places in self._staged_places.items():
            self._keep(leaf, places)
        self._staged.clear()
        self._staged_places.clear()

    def _before(self, key: int, count: int, root: bytes) -> tuple[int, bytes] | None:
        """The next shorter list, or another of this length; DISTINCT would read all repetitions between."""
        same = (
            "SELECT count, root FROM lists WHERE key = ? AND count = ? AND root < ? "
            "ORDER BY root DESC LIMIT 1"
        )
        shorter = (
            "SELECT count, root FROM lists WHERE key = ? AND count < ? AND count > 0 "
            "ORDER BY count DESC, root DESC LIMIT 1"
        )
        row = self._connection.execute(same, (key, count, root)).fetchone()
        if row is None:
            row = self._connection.execute(shorter, (key, count)).fetchone()
        return None if row is None else (row[0], row[1])

    def _new_ordinals(self, first: int, count: int) -> list[int]:
        rows = self._connection.execute(
            "SELECT ordinal FROM objects WHERE ordinal >= ? AND ordinal < ? AND kind IN (?, ?) "
            "ORDER BY ordinal",
            (first, first + count, int(Kind.TRANSACTION), int(Kind.RAW)),
        )
        return [row[0] for row in rows]

    def _keep(self, leaf: int, places: list[Place]) -> None:
        if leaf in self._expanded:
            self._expanded.move_to_end(leaf)
            return
        self._expanded[leaf] = places
        self._places += len(places)
        while self._places > MAX_PLACES and len(self._expanded) > 1:
            self._places -= len(self._expanded.popitem(last=False)[1])
