"""Objects that wait for a key: when one is proven, what its device signed is looked at again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from gateway.core.conflict import key_number, spend_of
from gateway.core.submission import EncodedObject, ObjectState
from gateway.core.wallet.objects import (
    BoundReceipt,
    DeviceKeyObject,
    Kind,
    decode_object,
    encode_object,
    object_hash,
)
from gateway.core.wallet.signature import verifies
from gateway.core.wallet.snapshot import device_id
from gateway.core.wallet.transaction import Transaction
from gateway.model import EntryKind, Stamp, TimeQuality
from gateway.store.connection import Connection
from gateway.store.entries import read_entry, read_pack, unpack_bodies
from gateway.store.group import Group
from gateway.store.keybook import MAX_CANDIDATES, KeyBook, ProvenKey
from gateway.store.lookup import ObjectRow
from gateway.store.spends import SpendKey

RECEIPT_NONCE = -1
"""Stands for the nonce of a waiting receipt."""

_KEY_RADIO = "key"
"""What stands for the radio in the entry of a key that came by itself."""

ACCEPTED = "accepted"
"""The status of a receipt by which a payment stands."""

ROUND = 64
"""Objects looked at again in one commit: 64 verifications are about 3 ms."""


def count_waiting(connection: Connection, spend: SpendKey) -> int:
    """Unverified objects under one (sender, nonce)."""
    row = connection.execute("SELECT COUNT(*) FROM waiting WHERE signer = ? AND nonce = ?", spend).fetchone()
    count: int = row[0]
    return count


def read_body(connection: Connection, leaf: int, ordinal: int) -> bytes | None:
    """One object's bytes; None when its entry was pruned."""
    pack, found = read_pack(connection, leaf), read_entry(connection, leaf)
    if pack is None or found is None:
        return None
    entry, first = found
    return unpack_bodies(pack, entry.count)[ordinal - first]


class Rejudge:
    """Tries newly proven keys on what waited for them; owned by the store's thread.

    Where it stands is on disk with each key, so a crash costs one round.
    """

    def __init__(self, connection: Connection, book: KeyBook) -> None:
        self._connection = connection
        self._book = book
        self._candidates: OrderedDict[bytes, int] = OrderedDict()
        rows = connection.execute("SELECT id, key, rejudged FROM keys WHERE rejudged IS NOT NULL ORDER BY id")
        self._keys: dict[int, tuple[bytes, int]] = {row[0]: (row[1], row[2]) for row in rows}

    @property
    def is_due(self) -> bool:
        return bool(self._keys or self._candidates)

    def try_candidate(self, key: bytes) -> None:
        """A key that nothing has proven: what waits for its device id may prove it. In memory only."""
        if self._book.find(key) is None and self._waits(key):
            self._candidates[key] = -1
            if len(self._candidates) > MAX_CANDIDATES:
                self._candidates.popitem(last=False)

    def queue(self, proven: Sequence[ProvenKey]) -> None:
        """Inside the transaction that proves these keys: remember those for which something waits."""
        if not proven or self._connection.execute("SELECT 1 FROM waiting LIMIT 1").fetchone() is None:
            return
        for row in proven:
            if self._waits(row.key):
                self._connection.execute("UPDATE keys SET rejudged = -1 WHERE id = ?", (row.id,))
                self._keys[row.id] = (row.key, -1)

    def queue_overtaken(self, overtaken: Mapping[int, tuple[bytes, int]]) -> None:
        """Inside the transaction that logs them: objects whose key was proven since they were judged."""
        for key_id, (key, first) in overtaken.items():
            if key_id not in self._keys:  # who is due comes by there anyway
                self._connection.execute("UPDATE keys SET rejudged = ? WHERE id = ?", (first - 1, key_id))
                self._keys[key_id] = (key, first - 1)

    def plan(self, group: Group) -> None:
        """Stage the next round of the key proven longest ago; where none is due, of a candidate."""
        if not self._keys:
            return self._plan_candidate(group)
        key_id, (key, done) = next(iter(self._keys.items()))
        rows = self._connection.execute(
            "SELECT ordinal FROM waiting WHERE signer = ? AND ordinal > ? ORDER BY ordinal LIMIT ?",
            (key_number(key), done, ROUND),
        ).fetchall()
        for (ordinal,) in rows:
            self._try(group, key_id, key, ordinal)
        if len(rows) < ROUND:
            del self._keys[key_id]
            group.rejudged.append((None, key_id))
        else:
            self._keys[key_id] = (key, rows[-1][0])
            group.rejudged.append((rows[-1][0], key_id))

    def _plan_candidate(self, group: Group) -> None:
        key, done = self._candidates.popitem(last=False)
        rows = self._connection.execute(
            "SELECT ordinal FROM waiting WHERE signer = ? AND ordinal > ? AND nonce >= 0 "
            "ORDER BY ordinal LIMIT ?",
            (key_number(key), done, ROUND),
        ).fetchall()
        for (ordinal,) in rows if self._book.find(key) is None else ():
            if self._proves(key, ordinal):
                return self._prove(group, key, ordinal)
        if len(rows) == ROUND:
            self._candidates[key] = rows[-1][0]

    def _proves(self, key: bytes, ordinal: int) -> bool:
        body = read_body(self._connection, self._leaf_of(ordinal), ordinal)
        value = None if body is None else decode_object(body)
        return isinstance(value, Transaction) and verifies(key, value.signature, value.signed_text)

    def _prove(self, group: Group, key: bytes, ordinal: int) -> None:
        """The key is logged, for the coordinator has to learn it too, with the time of what it settles.

        The rounds of a proven key do the rest.
        """
        place = group.place(self._connection, self._leaf_of(ordinal))
        row = self._book.stage(key, logged=True)
        group.keys.append(row)
        body = encode_object(DeviceKeyObject(key))
        logged = group.find([object_hash(body)])
        if logged:  # in a log that came back from the coordinator
            group.logged_keys.append((logged[object_hash(body)][0][0], row.id))
            return
        group.logged_keys.append((group.state.next_ordinal, row.id))
        entry = [(int(Kind.KEY), EncodedObject(object_hash(body), body), int(ObjectState.VERIFIED), None)]
        at = Stamp(place.received_at_ms, TimeQuality(place.quality))
        group.log(EntryKind.TRANSACTIONS, _KEY_RADIO, at, entry)

    def _leaf_of(self, ordinal: int) -> int:
        row = self._connection.execute("SELECT leaf FROM objects WHERE ordinal = ?", (ordinal,)).fetchone()
        leaf: int = row[0]
        return leaf

    def _waits(self, key: bytes) -> bool:
        sql = "SELECT 1 FROM waiting WHERE signer = ? LIMIT 1"
        return self._connection.execute(sql, (key_number(key),)).fetchone() is not None

    def _try(self, group: Group, key_id: int, key: bytes, ordinal: int) -> None:
        row: ObjectRow = self._connection.execute(
            "SELECT ordinal, leaf, kind, state, hash, identity FROM objects WHERE ordinal = ?", (ordinal,)
        ).fetchone()
        body = read_body(self._connection, row[1], ordinal)
        if body is None:
            return  # pruned: it stays as it was judged
        value = decode_object(body)
        if isinstance(value, Transaction):
            self._try_transaction(group, key_id, key, row, value, len(body))
        elif isinstance(value, BoundReceipt):
            self._try_receipt(group, key, row, value, len(body))

    def _try_transaction(
        self, group: Group, key_id: int, key: bytes, row: ObjectRow, value: Transaction, size: int
    ) -> None:
        spend = spend_of(value)
        others = group.find([value.identity])[value.identity]
        if spend is None or any(other[3] == ObjectState.VERIFIED for other in others):
            return
        if verifies(key, value.signature, value.signed_text):
            group.change(row, ObjectState.VERIFIED, size)
            group.spends.load([spend.key])
            group.spends.stage(spend, row[0], key_id, row[1])
        elif row[3] == ObjectState.UNVERIFIED:
            group.change(row, ObjectState.INVALID, size)

    def _try_receipt(self, group: Group, key: bytes, row: ObjectRow, value: BoundReceipt, size: int) -> None:
        for other in group.find([value.identity]).get(value.identity, ()):
            body = read_body(self._connection, other[1], other[0])
            transaction = decode_object(body) if body is not None and other[2] == Kind.TRANSACTION else None
            if not isinstance(transaction, Transaction) or transaction.receiver != device_id(key):
                continue
            text = value.receipt.signed_text(transaction.id)
            stands = verifies(key, value.receipt.signature, text)
            if stands or row[3] == ObjectState.UNVERIFIED:
                group.change(row, ObjectState.VERIFIED if stands else ObjectState.INVALID, size)
            spend = spend_of(transaction)
            if stands and spend is not None:
                if value.receipt.status == ACCEPTED:
                    group.spends.accept(spend.key, other[0])
                group.receipts.append((other[0], row[0], value.identity, row[1]))
            return
