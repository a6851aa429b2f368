"""What one commit will write: planned in memory first, then put down in few statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from gateway.core.conflict import key_number
from gateway.core.entry import Entry, objects_root
from gateway.core.submission import EncodedObject, HeldPlace, ObjectState
from gateway.core.wallet.objects import Kind
from gateway.model import EntryKind, Stamp
from gateway.store.connection import Connection, Row, insert_rows
from gateway.store.entries import pack_bodies, read_received, unpack_bodies
from gateway.store.keybook import ProvenKey
from gateway.store.lookup import Lookup, ObjectRow
from gateway.store.spends import SpendKey, Spends
from gateway.store.state import LogState
from gateway.store.tiles import append_leaves

NewObject = tuple[int, EncodedObject, int, bytes | None]
"""An object that an entry will cover: its kind, its bytes, its standing, a transaction's identity.

Both are plain ints: SQLite takes those as they are, and tries adapters on every IntEnum.
"""

_TRANSACTION, _RAW = int(Kind.TRANSACTION), int(Kind.RAW)
_VERIFIED, _UNVERIFIED = int(ObjectState.VERIFIED), int(ObjectState.UNVERIFIED)


@dataclass(slots=True)
class Group:
    """The rows of one commit; ``state`` runs ahead of the database until :meth:`write` has returned."""

    state: LogState
    lookup: Lookup
    spends: Spends
    leaves: list[bytes] = field(default_factory=list)
    entries: list[Row] = field(default_factory=list)
    bodies: list[Row] = field(default_factory=list)
    objects: list[ObjectRow] = field(default_factory=list)
    lists: list[Row] = field(default_factory=list)
    keys: list[ProvenKey] = field(default_factory=list)
    logged_keys: list[tuple[int, int]] = field(default_factory=list)
    waiting: dict[int, tuple[int, int, int]] = field(default_factory=dict)
    waiting_texts: dict[SpendKey, int] = field(default_factory=dict)
    overtaken: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    """By the id of a proven key, which comes along: the first object that was judged before it was proven."""
    changed: dict[int, ObjectState] = field(default_factory=dict)
    rejudged: list[tuple[int | None, int]] = field(default_factory=list)
    receipts: list[tuple[int, int, bytes, int]] = field(default_factory=list)
    """That verified: ordinals of payment and receipt, the payment's identity, the entry that settled it."""

    @property
    def next_leaf(self) -> int:
        """Where the next entry goes, counted through all epochs."""
        return self.state.first_leaf + self.size

    @property
    def size(self) -> int:
        """Leaves of the log, this group's included."""
        return self.state.size + len(self.leaves)

    def place(self, connection: Connection, leaf: int) -> HeldPlace:
        """When and where an entry was logged, be it in this group."""
        if leaf < self.state.next_leaf:
            return self.state.placed(leaf, *read_received(connection, leaf))
        row = self.entries[leaf - self.state.next_leaf]
        return self.state.placed(leaf, row[5], row[6])

    @property
    def is_empty(self) -> bool:
        return not (self.entries or self.changed or self.keys or self.rejudged)

    def log(
        self,
        kind: EntryKind,
        radio: str,
        stamp: Stamp,
        objects: Sequence[NewObject],
        message: bytes | None = None,
    ) -> None:
        """One more entry, covering these objects; their ordinals follow on. ``message``: what brought it."""
        state, leaf = self.state, self.next_leaf
        bodies = [item[1].body for item in objects]
        root = objects_root([item[1].hash for item in objects])
        entry = Entry(kind, root, len(objects), stamp.unix_ms, stamp.quality, radio)
        first = state.next_ordinal
        rows: list[ObjectRow] = [
            (ordinal, leaf, object_kind, standing, encoded.hash, identity)
            for ordinal, (object_kind, encoded, standing, identity) in enumerate(objects, first)
        ]
        self.leaves.append(entry.leaf_hash())
        received = stamp.unix_ms, int(stamp.quality)
        self.entries.append((leaf, int(kind), root, first, len(objects), *received, radio, message))
        self.bodies.append((leaf, pack_bodies(bodies)))
        self.objects += rows
        self.lookup.add(rows)
        state.next_ordinal += len(objects)
        state.body_bytes += sum(map(len, bodies))
        for object_kind, encoded, standing, _ in objects:
            if standing != _VERIFIED:
                state.unproven_bytes += len(encoded.body)
                self._tally(standing, object_kind in (_TRANSACTION, _RAW))
            elif object_kind == _TRANSACTION:
                state.verified += 1

    def signed_by(self, key_id: int) -> int | None:
        """The ordinal of a snapshot or a payment of this key that the group adds or settles."""
        for row in self.lists:
            if row[1] == key_id:
                first: int = self.entries[row[0] - self.entries[0][0]][3]
                return first
        return self.spends.signed_by(key_id)

    def fresh_body(self, ordinal: int) -> bytes | None:
        """The body of an object that this group adds; None for every other."""
        if not self.objects or ordinal < self.objects[0][0]:
            return None
        leaf = self.objects[ordinal - self.objects[0][0]][1]
        at = leaf - self.entries[0][0]
        first, count, pack = self.entries[at][3], self.entries[at][4], self.bodies[at][1]
        body: bytes = unpack_bodies(pack, count)[ordinal - first]
        return body

    def wait(self, ordinal: int, signer: int, nonce: int) -> None:
        """An object that a key proven later may verify."""
        self.waiting[ordinal] = (signer, ordinal, nonce)
        if nonce >= 0:
            self.waiting_texts[signer, nonce] = self.waiting_texts.get((signer, nonce), 0) + 1

    def find(self, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """Objects by hash or identity, each as it stands with this group."""
        return self._current(self.lookup.find(values)) if values else {}

    def find_since(self, horizon: int, values: Sequence[bytes]) -> dict[bytes, list[ObjectRow]]:
        """:meth:`find`, where objects below ordinal ``horizon`` may be left out."""
        return self._current(self.lookup.find_since(horizon, values))

    def _current(self, found: dict[bytes, list[ObjectRow]]) -> dict[bytes, list[ObjectRow]]:
        if not self.changed:
            return found
        return {
            value: [(*row[:3], self.changed.get(row[0], row[3]), *row[4:]) for row in rows]
            for value, rows in found.items()
        }

    def change(self, row: ObjectRow, state: ObjectState, body_bytes: int) -> None:
        """A held object that was not verified turns out otherwise; ``row`` is as it stands now."""
        ordinal, leaf, kind, before, object_hash, identity = row
        self.lookup.replace(row, (ordinal, leaf, kind, int(state), object_hash, identity))
        self.changed[ordinal] = state
        if state == ObjectState.VERIFIED and leaf >= self.state.pruned_size:
            self.state.unproven_bytes -= body_bytes
        if kind == Kind.TRANSACTION:
            self._tally(before, -1)
            self._tally(state, 1)

    def write(self, connection: Connection) -> None:
        """Inside a transaction: everything, the row of the log last."""
        many = connection.executemany
        many("INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", self.entries)
        many("INSERT INTO bodies VALUES (?, ?)", self.bodies)
        insert_rows(connection, "objects", self.objects)
        if self.keys:
            rows = [(row.id, key_number(row.key), row.key) for row in self.keys]
            many("INSERT INTO keys (id, device, key) VALUES (?, ?, ?)", rows)
        if self.logged_keys:
            many("UPDATE keys SET ordinal = ? WHERE id = ?", self.logged_keys)
        if self.lists:
            many("INSERT INTO lists VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.lists)
        if self.waiting:
            many("INSERT INTO waiting (signer, ordinal, nonce) VALUES (?, ?, ?)", list(self.waiting.values()))
        if self.changed:
            self._write_changes(connection)
        if self.rejudged:
            many("UPDATE keys SET rejudged = ? WHERE id = ?", self.rejudged)
        self.spends.write()
        state = self.state
        state.frontier = append_leaves(connection, state.numbers, state.frontier, self.leaves)
        self.leaves = []

    def _write_changes(self, connection: Connection) -> None:
        connection.executemany(
            "UPDATE objects SET state = ? WHERE ordinal = ?",
            [(int(state), ordinal) for ordinal, state in self.changed.items()],
        )
        connection.executemany(
            "DELETE FROM waiting WHERE ordinal = ?",
            [(ordinal,) for ordinal, state in self.changed.items() if state == ObjectState.VERIFIED],
        )

    def _tally(self, state: int, change: int) -> None:
        if state == _VERIFIED:
            self.state.verified += change
        elif state == _UNVERIFIED:
            self.state.unverified += change
        else:
            self.state.invalid += change
