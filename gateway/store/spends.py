"""The conflict index: every verified payment by (sender, nonce), and what waits for a key to be proven."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from gateway.core.conflict import ConflictKind, Spend, conflict_of
from gateway.store.connection import Connection, insert_rows

SpendKey = tuple[int, int]
"""Device number of the sender, and nonce."""

_LOT = 16
_NO_SPEND = (0, -1)
_TEXTS = (
    f"WITH asked (sender, nonce) AS (VALUES (?, ?){', (?, ?)' * (_LOT - 1)}) "  # noqa: S608 - our own names
    "SELECT s.sender, s.nonce, s.receiver FROM asked JOIN spends s USING (sender, nonce)"
)


class Spends:
    """The index, and what the group in hand adds to it; owned by the store's thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._texts: dict[SpendKey, list[bytes | str]] = {}
        self._rows: list[tuple[int, int, int, bytes | str, int]] = []
        self._conflicts: dict[SpendKey, tuple[ConflictKind, int, int]] = {}

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
            for sender, nonce, receiver in self._connection.execute(_TEXTS, asked):
                self._texts[sender, nonce].append(receiver)

    def texts(self, spend: SpendKey) -> int:
        """Verified texts under a loaded (sender, nonce), those of this group included."""
        return len(self._texts[spend])

    def stage(self, spend: Spend, ordinal: int, key: int, leaf: int) -> None:
        """One more verified text under a loaded (sender, nonce); ``leaf`` is the entry that settled it."""
        receivers = self._texts[spend.key]
        receivers.append(spend.receiver)
        self._rows.append((*spend.key, ordinal, spend.receiver, key))
        if len(receivers) > 1:
            kind = conflict_of(receivers)
            if kind is not None:
                self._conflicts[spend.key] = (kind, len(receivers), leaf)

    def write(self) -> None:
        """Inside a transaction: what was staged."""
        insert_rows(self._connection, "spends", self._rows)
        if self._conflicts:
            # A further text reopens what was decided: the decision did not know of it.
            self._connection.executemany(
                "INSERT INTO conflicts VALUES (?, ?, ?, ?, ?, 0) ON CONFLICT (sender, nonce) DO UPDATE SET "
                "kind = excluded.kind, texts = excluded.texts, leaf = excluded.leaf, decided = 0",
                [(*spend, int(kind), texts, leaf) for spend, (kind, texts, leaf) in self._conflicts.items()],
            )
        self.forget()

    def forget(self) -> None:
        """The group is over."""
        self._texts.clear()
        self._rows.clear()
        self._conflicts.clear()
