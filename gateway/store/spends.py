"""The conflict index: every verified payment by (sender, nonce), and what waits for a key to be proven."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import NamedTuple

from gateway.core.conflict import ConflictKind, Spend, conflict_of
from gateway.core.evidence import EvidenceKind
from gateway.store.connection import Connection, insert_rows

SpendKey = tuple[int, int]
"""Device number of the sender, and nonce."""

_LOT = 16
_NO_SPEND = (0, -1)
_TEXTS = (
    f"WITH asked (sender, nonce) AS (VALUES (?, ?){', (?, ?)' * (_LOT - 1)}) "  # noqa: S608 - our own names
    "SELECT s.sender, s.nonce, s.receiver, s.ordinal, s.key FROM asked JOIN spends s USING (sender, nonce)"
)


class Pair(NamedTuple):
    """Two objects that make evidence: their ordinals, and the ids of the keys that verified them.

    ``leaf`` is the entry that completed it.
    """

    kind: EvidenceKind
    first: int
    first_key: int
    second: int
    second_key: int
    leaf: int


class _Text(NamedTuple):
    receiver: bytes | str
    ordinal: int
    key: int


class Spends:
    """The index, and what the group in hand adds to it; owned by the store's thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._texts: dict[SpendKey, list[_Text]] = {}
        self._rows: dict[int, tuple[int, int, int, bytes | str, int, int]] = {}
        self._accepted: list[tuple[int, int, int]] = []
        self._conflicts: dict[SpendKey, tuple[ConflictKind, int, int]] = {}
        self.pairs: list[Pair] = []
        """Conflicts that the group in hand completed."""

    def load(self, spends: Iterable[SpendKey], unheard: Collection[int] = ()) -> None:
        """Read what is held under these, so that :meth:`texts` knows.

        ``unheard`` are device numbers without any proven key so far, hence without a verified text.
        """
        missing = []
        for spend in dict.fromkeys(spends):
            if spend not in self._texts:
                if spend[0] in unheard:
                    self._texts[spend] = []
                else:
                    missing.append(spend)
        for start in range(0, len(missing), _LOT):
            lot = missing[start : start + _LOT]
            self._texts.update((spend, []) for spend in lot)
            lot += [_NO_SPEND] * (_LOT - len(lot))
            asked = [number for spend in lot for number in spend]
            for sender, nonce, *text in self._connection.execute(_TEXTS, asked):
                self._texts[sender, nonce].append(_Text(*text))

    def texts(self, spend: SpendKey) -> int:
        """Verified texts under a loaded (sender, nonce), those of this group included."""
        return len(self._texts[spend])

    def stage(self, spend: Spend, ordinal: int, key: int, leaf: int) -> None:
        """One more verified text under a loaded (sender, nonce); ``leaf`` is the entry that settled it.

        Texts of another key with the same device id are another device's: no conflict with them.
        """
        texts = self._texts[spend.key]
        same = [text for text in texts if text.key == key] if texts else ()
        texts.append(_Text(spend.receiver, ordinal, key))
        self._rows[ordinal] = (*spend.key, ordinal, spend.receiver, key, 0)
        if not same:
            return
        kind = conflict_of([spend.receiver, *[text.receiver for text in same]])
        if kind is None:
            return
        self._conflicts[spend.key] = (kind, len(same) + 1, leaf)
        first = min(same, key=lambda text: text.ordinal)
        of_pair = conflict_of([first.receiver, spend.receiver]) or kind
        self.pairs.append(Pair(EvidenceKind(of_pair), first.ordinal, key, ordinal, key, leaf))

    @property
    def conflicted(self) -> Collection[SpendKey]:
        """Under which the group in hand completed a conflict."""
        return self._conflicts.keys()

    def signed_by(self, key: int) -> int | None:
        """The ordinal of a payment of this key that the group in hand settles."""
        return next((row[2] for row in self._rows.values() if row[4] == key), None)

    def accept(self, spend: SpendKey, ordinal: int) -> None:
        """The receiver's receipt says that it accepted this verified payment."""
        row = self._rows.get(ordinal)
        if row is None:
            self._accepted.append((*spend, ordinal))
        else:
            self._rows[ordinal] = (*row[:5], 1)

    def write(self) -> None:
        """Inside a transaction: what was staged."""
        self._accept_early()
        insert_rows(self._connection, "spends", [*self._rows.values()])
        for accepted in self._accepted:
            self._accept_held(*accepted)
        if self._conflicts:
            # A further text reopens what was decided: the decision did not know of it.
            self._connection.executemany(
                "INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (sender, nonce) DO UPDATE SET "
                "kind = excluded.kind, texts = excluded.texts, leaf = excluded.leaf, decided = 0",
                [(*spend, int(kind), texts, leaf) for spend, (kind, texts, leaf) in self._conflicts.items()],
            )
        self.forget()

    def _accept_early(self) -> None:
        """Of what verifies only now: whether its receipt was here before."""
        if not self._rows:
            return
        early = self._connection.execute(
            "SELECT ordinal FROM accepted_early WHERE ordinal BETWEEN ? AND ?",
            (min(self._rows), max(self._rows)),
        ).fetchall()
        for (ordinal,) in early:
            if ordinal in self._rows:
                self._rows[ordinal] = (*self._rows[ordinal][:5], 1)
                self._connection.execute("DELETE FROM accepted_early WHERE ordinal = ?", (ordinal,))

    def _accept_held(self, sender: int, nonce: int, ordinal: int) -> None:
        found = self._connection.execute(
            "UPDATE spends SET accepted = 1 WHERE sender = ? AND nonce = ? AND ordinal = ? RETURNING 1",
            (sender, nonce, ordinal),
        ).fetchall()
        if not found:
            self._connection.execute("INSERT OR IGNORE INTO accepted_early VALUES (?)", (ordinal,))

    def forget(self) -> None:
        """The group is over."""
        self._texts.clear()
        self._rows.clear()
        self._accepted.clear()
        self._conflicts.clear()
        self.pairs.clear()
