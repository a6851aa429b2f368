"""Evidence: made of what a group completes, kept for ever, and what the coordinator makes of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.core.conflict import ConflictKind, KnownTexts, Text, device_number, key_number, suggest
from gateway.core.evidence import (
    Collision,
    Evidence,
    EvidenceKind,
    Proven,
    Receipted,
    SameId,
    Signed,
    Spent,
    encode_evidence,
    read_evidence,
)
from gateway.core.lists import Place
from gateway.core.notice import Decision, Notice, read_decision
from gateway.core.submission import EncodedObject, ObjectState
from gateway.core.wallet.objects import (
    BoundReceipt,
    Kind,
    SnapshotHeader,
    WalletObject,
    decode_object,
    object_hash,
)
from gateway.core.wallet.signature import verifies
from gateway.core.wallet.snapshot import Snapshot
from gateway.core.wallet.transaction import Receipt, Transaction
from gateway.model import EntryKind, KnownConflict, Stamp, TimeQuality
from gateway.store.connection import Connection
from gateway.store.group import Group
from gateway.store.spends import Pair, SpendKey
from gateway.store.waiting import read_body

MAX_REMEMBERED = 4096
"""Evidence, the newest, whose payments are known in memory: a wallet that brings one of them is told."""

MAX_SEARCHED = 256
"""Payments in conflict, the newest, that are looked for in a list when its receipt is asked for."""

MAX_OF_DEVICE = 256
"""Evidence made of one device: more prove nothing more. Its further conflicts are counted all the same."""

MAX_TOLD = 4096
"""Evidence kept that the coordinator told and this log holds no part of; the newest."""

MAX_FETCHED = 32
"""Bodies asked of the coordinator at a time: a payment's are below 400 bytes, and its answers have 32 KiB."""

_RADIO = "conflict"
"""What stands for the radio in the entry of evidence."""

_VERIFIED = int(ObjectState.VERIFIED)
_COLUMNS = "kind, first, first_key, second, second_key, leaf"


@dataclass(slots=True)
class _Staged:
    """What the group in hand adds."""

    rows: list[tuple[bytes, int, int | None, int | None, bytes, int, int | None]] = field(
        default_factory=list
    )
    awaiting: list[Pair] = field(default_factory=list)
    done: list[Pair] = field(default_factory=list)
    conflicts: set[SpendKey] = field(default_factory=set)


class EvidenceBook:
    """Evidence by the payments in it; owned by the store's thread."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._staged = _Staged()
        self._fetched: dict[bytes, bytes] = {}
        self._by_identity: OrderedDict[bytes, bytes] = OrderedDict()
        self._ids: dict[bytes, bytes] = {}
        rows = connection.execute("SELECT body FROM evidence ORDER BY id DESC LIMIT ?", (MAX_REMEMBERED,))
        for (body,) in reversed(rows.fetchall()):
            self._remember(body)
        self.version = 0
        """Grows whenever an answer given before may lack evidence."""

    # Of payments.

    @property
    def is_any(self) -> bool:
        return bool(self._by_identity)

    def about(self, identities: Iterable[bytes]) -> tuple[KnownConflict, ...]:
        """Evidence that holds one of these payments, each once, with the newest decision."""
        if not self._by_identity:
            return ()
        found = [self._by_identity[one] for one in identities if one in self._by_identity]
        return tuple([self._known(body) for body in dict.fromkeys(found)])

    def about_places(self, places: Iterable[Place]) -> tuple[KnownConflict, ...]:
        """The same for the places of a list: payments by their ordinals."""
        if not self._by_identity:
            return ()
        among = {*places}
        newest = [*self._by_identity][-MAX_SEARCHED:]
        return self.about([one for one in newest if among & {one, *self._ordinals(one)}])

    def _ordinals(self, identity: bytes) -> list[int]:
        subject = subject_of(read_evidence(self._by_identity[identity]))
        rows = self._connection.execute(
            "SELECT s.ordinal FROM spends s JOIN objects o USING (ordinal) "
            "WHERE sender = ? AND nonce = ? AND identity = ?",
            (*subject, identity),
        )
        return [row[0] for row in rows]

    def _known(self, body: bytes) -> KnownConflict:
        device, nonce = subject_of(read_evidence(body))
        decision = None if device is None or nonce is None else self.decision(device, nonce)
        return KnownConflict(body, decision)

    def stage(self, group: Group) -> None:
        """Evidence of what the group completed, as entries of the same group."""
        self._staged.conflicts.update(group.spends.conflicted)
        for pair in (*group.spends.pairs, *self._collisions(group), *self._receipts(group)):
            self._stage_pair(group, pair)

    def _collisions(self, group: Group) -> list[Pair]:
        """Keys that this group proves beside another of the same device id."""
        pairs = []
        for row in group.keys:
            others = self._connection.execute(
                "SELECT id FROM keys WHERE device = ? AND id <> ?", (key_number(row.key), row.id)
            ).fetchall()
            for (other,) in others[:1]:
                said = [self._said_by(group, key_id, key_number(row.key)) for key_id in (other, row.id)]
                if None not in said:
                    first, second = (ordinal for ordinal in said if ordinal is not None)
                    kind = EvidenceKind.KEY_COLLISION
                    pairs.append(Pair(kind, first, other, second, row.id, group.next_leaf - 1))
        return pairs

    def _said_by(self, group: Group, key_id: int, device: int) -> int | None:
        """The ordinal of a payment or a snapshot that this key has signed."""
        fresh = group.signed_by(key_id)
        if fresh is not None:
            return fresh
        row = self._connection.execute(
            "SELECT ordinal FROM spends WHERE sender = ? AND key = ? "
            "UNION ALL SELECT first_ordinal FROM lists JOIN entries USING (leaf) WHERE lists.key = ? LIMIT 1",
            (device, key_id, key_id),
        ).fetchone()
        return None if row is None else row[0]

    def _receipts(self, group: Group) -> list[Pair]:
        """Receipts that verified for payments known to be in conflict."""
        pairs = []
        for payment, receipt, identity, leaf in group.receipts if self.is_any else ():
            row = (
                self._connection.execute(
                    "SELECT s.key FROM objects o JOIN spends s ON s.ordinal = o.ordinal WHERE o.ordinal = ?",
                    (payment,),
                ).fetchone()
                if identity in self._by_identity
                else None
            )
            if row is not None:
                pairs.append(Pair(EvidenceKind.RECEIPT, payment, row[0], receipt, 0, leaf))
        return pairs

    def _stage_pair(self, group: Group, pair: Pair) -> None:
        first, second = (self._object(group, ordinal) for ordinal in (pair.first, pair.second))
        if first is None or second is None:
            self._staged.awaiting.append(pair)
            return
        self._staged.done.append(pair)
        evidence = self._made(group, pair, first, second)
        if evidence is not None:
            self._log(group, evidence, pair.leaf)

    def _made(self, group: Group, pair: Pair, first: WalletObject, second: WalletObject) -> Evidence | None:
        one = self._key(group, pair.first_key)
        other = self._key(group, pair.second_key) if pair.second_key else b""
        match pair.kind, first, second:
            case EvidenceKind.DOUBLE_SPEND | EvidenceKind.DUPLICATE_NONCE, Transaction(), Transaction():
                return Spent.of(one, first, second)
            case EvidenceKind.DUPLICATE_ID, Transaction(), Transaction():
                return None if first.id != second.id else SameId.of(Signed(one, first), Signed(other, second))
            case EvidenceKind.KEY_COLLISION, _, _:
                return Collision.of(Proven(one, _statement(first)), Proven(other, _statement(second)))
            case EvidenceKind.RECEIPT, Transaction(), BoundReceipt(_, receipt):
                receiver = self._signer(group, first, receipt)
                return None if receiver is None else Receipted(Signed(one, first), receiver, receipt)
        raise ValueError(f"{pair.kind.name} of {type(first).__name__} and {type(second).__name__}")

    def _log(self, group: Group, evidence: Evidence, leaf: int) -> None:
        body = encode_evidence(evidence)
        encoded = EncodedObject(object_hash(body), body)
        row = self._connection.execute("SELECT leaf FROM evidence WHERE hash = ?", (encoded.hash,)).fetchone()
        if (row is not None and row[0] is not None) or any(
            row[0] == encoded.hash for row in self._staged.rows
        ):
            return
        device, nonce = subject_of(evidence)
        if device is not None and self._count_of(device) >= MAX_OF_DEVICE:
            return
        place = group.place(self._connection, leaf)
        at = Stamp(place.received_at_ms, TimeQuality(place.quality))
        priority = int(row is None and (device is None or not self._count_of(device)))
        self._staged.rows.append(
            (encoded.hash, int(evidence.kind), device, nonce, body, priority, group.next_leaf)
        )
        group.log(EntryKind.EVIDENCE, _RADIO, at, [(int(Kind.EVIDENCE), encoded, _VERIFIED, None)])

    def adopt(self, bodies: Sequence[bytes], leaf: int) -> None:
        """Evidence in an entry that comes back: the coordinator has it. Raises EvidenceInvalid."""
        for body in bodies:
            evidence = read_evidence(body)
            self._staged.rows.append(
                (object_hash(body), int(evidence.kind), *subject_of(evidence), body, 0, leaf)
            )

    def body_of(self, ordinal: int) -> bytes | None:
        """An object's bytes; None when its entry was pruned."""
        return self._body(ordinal)

    def _count_of(self, device: int) -> int:
        held: int = self._connection.execute(
            "SELECT COUNT(*) FROM evidence WHERE device = ?", (device,)
        ).fetchone()[0]
        return held + sum(row[2] == device for row in self._staged.rows)

    def conflicts(self, most: int) -> list[KnownTexts]:
        """Conflicts, the newest first."""
        rows = self._connection.execute(
            "SELECT sender, nonce, kind, texts, decided FROM conflicts ORDER BY leaf DESC, nonce LIMIT ?",
            (most,),
        ).fetchall()
        return [self._conflict(*row) for row in rows]

    def _conflict(self, sender: int, nonce: int, kind: int, texts: int, decided: int) -> KnownTexts:
        bodies = self._connection.execute(
            "SELECT body FROM evidence WHERE device = ? AND nonce = ? ORDER BY id", (sender, nonce)
        ).fetchall()
        spent = [found for (body,) in bodies if isinstance(found := read_evidence(body), Spent)]
        payments = {one.identity: one for found in spent for one in (found.first, found.second)}
        accepted = self._accepted(sender, nonce)
        known = [Text(value, one.id, one.timestamp_ms, value in accepted) for value, one in payments.items()]
        return KnownTexts(
            device=sender.to_bytes(8, "big", signed=True).hex(),
            nonce=nonce,
            kind=ConflictKind(kind),
            texts=texts,
            decided=bool(decided),
            evidence=bodies[0][0] if bodies else None,
            decision=self.decision(sender, nonce),
            suggestion=suggest(known, ambiguous=self._shares_ids(known)) if known else None,
        )

    def _shares_ids(self, texts: Sequence[Text]) -> bool:
        """Whether there is evidence that the id of one of them stands under two texts."""
        bodies = [self._ids.get(text.identity) for text in texts]
        return any(body is not None for body in bodies)

    def _accepted(self, sender: int, nonce: int) -> set[bytes]:
        rows = self._connection.execute(
            "SELECT identity FROM spends JOIN objects USING (ordinal) "
            "WHERE sender = ? AND nonce = ? AND accepted = 1",
            (sender, nonce),
        )
        return {row[0] for row in rows}

    # Commits.

    def write(self) -> int:
        """Inside a transaction: what was staged. Returns how many conflicts a known decision closed."""
        staged = self._staged
        self._connection.executemany(
            "INSERT INTO evidence (hash, kind, device, nonce, body, priority, leaf) VALUES (?,?,?,?,?,?,?) "
            "ON CONFLICT (hash) DO UPDATE SET leaf = excluded.leaf",
            staged.rows,
        )
        self._connection.executemany(
            f"INSERT OR IGNORE INTO awaiting ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own names
            [(int(pair.kind), *pair[1:]) for pair in staged.awaiting],
        )
        self._connection.executemany(
            "DELETE FROM awaiting WHERE first = ? AND second = ?",
            [(pair.first, pair.second) for pair in staged.done],
        )
        return sum([self._close(*spend) for spend in staged.conflicts])

    def committed(self) -> None:
        """What was staged is in the database now."""
        staged, self._staged = self._staged, _Staged()
        for row in staged.rows:
            self._remember(row[4])
        self.version += bool(staged.rows)

    # The coordinator.

    def to_tell(self, most: int) -> list[bytes]:
        """Evidence that goes ahead of the backlog, oldest first."""
        rows = self._connection.execute(
            "SELECT body FROM evidence WHERE priority = 1 ORDER BY id LIMIT ?", (most,)
        )
        return [row[0] for row in rows]

    def told(self, hashes: Sequence[bytes]) -> None:
        """Inside a transaction: the coordinator has these."""
        self._connection.executemany(
            "UPDATE evidence SET priority = 0 WHERE hash = ?", [(value,) for value in hashes]
        )

    def hear(self, body: bytes) -> None:
        """Inside a transaction: evidence that the coordinator told, verified before."""
        evidence = read_evidence(body)
        device, nonce = subject_of(evidence)
        self._connection.execute(
            "INSERT OR IGNORE INTO evidence (hash, kind, device, nonce, body, priority, leaf) "
            "VALUES (?, ?, ?, ?, ?, 0, NULL)",
            (object_hash(body), int(evidence.kind), device, nonce, body),
        )
        self._connection.execute(
            "DELETE FROM evidence WHERE leaf IS NULL AND id <= (SELECT id FROM evidence WHERE leaf IS NULL "
            "ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (MAX_TOLD,),
        )
        if isinstance(evidence, Spent) and self._holds(device, nonce):
            self._connection.execute(
                "INSERT OR IGNORE INTO conflicts VALUES (?, ?, ?, 2, -1, 0)",
                (device, nonce, int(evidence.kind)),
            )
        self._remember(body)
        self.version += 1

    def decide(self, decision: Decision, notice: bytes) -> int:
        """Inside a transaction: the newest decision of its conflict; returns 1 where that closed it."""
        sender, nonce = key_number(decision.key), decision.nonce
        self._connection.execute("INSERT OR REPLACE INTO decisions VALUES (?, ?, ?)", (sender, nonce, notice))
        self.version += 1
        return self._close(sender, nonce)

    def decision(self, sender: int, nonce: int) -> bytes | None:
        """The newest signed decision."""
        row = self._connection.execute(
            "SELECT notice FROM decisions WHERE sender = ? AND nonce = ?", (sender, nonce)
        ).fetchone()
        return None if row is None else row[0]

    def _close(self, sender: int, nonce: int) -> int:
        """A decision closes a conflict where it knew of every text held of it; 1 where it did so now."""
        notice = self.decision(sender, nonce)
        if notice is None:
            return 0
        decision = read_decision(Notice.read(notice).body)
        if not self._texts(sender, nonce, decision.key) <= {*decision.texts}:
            return 0
        changed = self._connection.execute(
            "UPDATE conflicts SET decided = 1 WHERE sender = ? AND nonce = ? AND decided = 0 RETURNING 1",
            (sender, nonce),
        ).fetchall()
        return len(changed)

    def _holds(self, device: int | None, nonce: int | None) -> bool:
        row = self._connection.execute(
            "SELECT 1 FROM spends WHERE sender = ? AND nonce = ? LIMIT 1", (device, nonce)
        ).fetchone()
        return row is not None

    def _texts(self, sender: int, nonce: int, key: bytes) -> set[bytes]:
        """Identities held of what this key signed under the nonce."""
        rows = self._connection.execute(
            "SELECT o.identity FROM spends s JOIN objects o USING (ordinal) JOIN keys k ON k.id = s.key "
            "WHERE sender = ? AND nonce = ? AND k.key = ?",
            (sender, nonce, key),
        )
        return {row[0] for row in rows}

    # Bodies that were pruned.

    def awaited(self) -> list[bytes]:
        """Hashes of objects without whose bodies evidence cannot be made; at most :data:`MAX_FETCHED`."""
        wanted = []
        for pair in self._awaiting():
            for ordinal in (pair.first, pair.second):
                row = self._row(ordinal)
                if row is not None and row[1] not in self._fetched and self._body(ordinal) is None:
                    wanted.append(row[1])
        return list(dict.fromkeys(wanted))[:MAX_FETCHED]

    def supply(self, group: Group, bodies: Iterable[bytes]) -> None:
        """Bodies that were awaited: what they complete is staged."""
        self._fetched.update((object_hash(body), body) for body in bodies)
        for pair in self._awaiting():
            self._stage_pair(group, pair)
        self._staged.awaiting.clear()
        self._fetched.clear()

    def _awaiting(self) -> list[Pair]:
        rows = self._connection.execute(
            f"SELECT {_COLUMNS} FROM awaiting ORDER BY second LIMIT ?",  # noqa: S608 - our own names
            (MAX_FETCHED,),
        ).fetchall()
        return [Pair(EvidenceKind(row[0]), *row[1:]) for row in rows]

    # What these use.

    def _object(self, group: Group, ordinal: int) -> WalletObject | None:
        body = group.fresh_body(ordinal)
        if body is None:
            row = self._row(ordinal)
            body = self._body(ordinal) or (None if row is None else self._fetched.get(row[1]))
        return None if body is None else decode_object(body)

    def _row(self, ordinal: int) -> tuple[int, bytes] | None:
        row: tuple[int, bytes] | None = self._connection.execute(
            "SELECT leaf, hash FROM objects WHERE ordinal = ?", (ordinal,)
        ).fetchone()
        return row

    def _body(self, ordinal: int) -> bytes | None:
        row = self._row(ordinal)
        return None if row is None else read_body(self._connection, row[0], ordinal)

    def _signer(self, group: Group, payment: Transaction, receipt: Receipt) -> bytes | None:
        """Which key of the receiver's id has signed the receipt."""
        device, text = device_number(payment.receiver), receipt.signed_text(payment.id)
        rows = self._connection.execute("SELECT key FROM keys WHERE device = ?", (device,)).fetchall()
        keys = [*(row[0] for row in rows), *(row.key for row in group.keys if key_number(row.key) == device)]
        return next((key for key in keys if verifies(key, receipt.signature, text)), None)

    def _key(self, group: Group, key_id: int) -> bytes:
        staged = next((row.key for row in group.keys if row.id == key_id), None)
        if staged is not None:
            return staged
        key: bytes = self._connection.execute("SELECT key FROM keys WHERE id = ?", (key_id,)).fetchone()[0]
        return key

    def _remember(self, body: bytes) -> None:
        evidence = read_evidence(body)
        for identity in identities_of(evidence):
            if isinstance(evidence, SameId):
                self._ids[identity] = body
                if identity in self._by_identity:
                    continue
            self._by_identity[identity] = body
            self._by_identity.move_to_end(identity)
        while len(self._by_identity) > 2 * MAX_REMEMBERED:
            self._ids.pop(self._by_identity.popitem(last=False)[0], None)


def subject_of(evidence: Evidence) -> tuple[int | None, int | None]:
    """The device number that evidence is about, and a nonce; None for what a gateway did."""
    match evidence:
        case Spent(key):
            return key_number(key), evidence.nonce
        case SameId(first):
            return device_number(first.payment.sender), None
        case Collision(first):
            return key_number(first.key), None
        case Receipted(_, receiver):
            return key_number(receiver), None
    return None, None


def identities_of(evidence: Evidence) -> tuple[bytes, ...]:
    """Of the payments in conflict."""
    match evidence:
        case Spent(_, first, second):
            return first.identity, second.identity
        case SameId(first, second):
            return first.payment.identity, second.payment.identity
    return ()


def _statement(value: WalletObject) -> Transaction | Snapshot:
    match value:
        case Transaction():
            return value
        case SnapshotHeader(_, snapshot):
            return snapshot
    raise ValueError(f"a {type(value).__name__} proves no key")
