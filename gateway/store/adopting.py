"""Entries of our own log that come back from the coordinator: logged as they were, judged anew."""

from __future__ import annotations

from collections.abc import Sequence

from gateway.core import merkle
from gateway.core.cbor import CborError
from gateway.core.conflict import device_number, spend_of
from gateway.core.entry import Entry, extend_list, objects_root
from gateway.core.evidence import EvidenceInvalid
from gateway.core.lists import ListInvalid, Place, expand
from gateway.core.merkle import Frontier
from gateway.core.submission import EncodedObject, ObjectState
from gateway.core.sync.pulled import Pulled, PulledEntry
from gateway.core.wallet.objects import (
    BoundReceipt,
    DeviceKeyObject,
    Kind,
    SnapshotHeader,
    WalletObject,
    decode_object,
    object_hash,
)
from gateway.core.wallet.signature import verifies
from gateway.core.wallet.transaction import RawTransaction, Transaction
from gateway.core.wallet.tree import WalletFrontier
from gateway.model import EntryKind, Stamp
from gateway.store.connection import Connection
from gateway.store.evidence import EvidenceBook
from gateway.store.group import Group, NewObject
from gateway.store.keybook import KeyBook
from gateway.store.listbook import HeldList, ListBook
from gateway.store.waiting import RECEIPT_NONCE

_VERIFIED, _UNVERIFIED, _INVALID = map(
    int, (ObjectState.VERIFIED, ObjectState.UNVERIFIED, ObjectState.INVALID)
)


class NotOurs(ValueError):
    """What came leads to our own checkpoint, and yet is out of the rules that our log keeps."""


def leads_to(frontier: Frontier, pulled: Pulled, size: int, root: bytes) -> bool:
    """Whether our log and these entries are the beginning of the tree with that root."""
    grown = frontier.extend([_leaf_hash(entry) for entry in pulled.entries])
    if grown.size == size:
        return grown.root() == root
    try:
        merkle.verify_consistency(grown.size, size, pulled.proof, grown.root(), root)
    except merkle.ProofInvalid:
        return False
    return True


def _leaf_hash(entry: PulledEntry) -> bytes:
    root = objects_root([object_hash(body) for body in entry.objects])
    received = entry.received_at_ms, entry.quality
    return Entry(entry.kind, root, len(entry.objects), *received, entry.radio).leaf_hash()


class Adopting:
    """Stages entries into a group; owned by the store's thread. Raises NotOurs."""

    def __init__(
        self, connection: Connection, group: Group, keys: KeyBook, lists: ListBook, evidence: EvidenceBook
    ) -> None:
        self._connection = connection
        self._group = group
        self._keys = keys
        self._lists = lists
        self._evidence = evidence
        self._identities: dict[int, bytes] = {}
        self.candidates: list[bytes] = []
        """Keys that were logged and that nothing has proven yet."""

    def stage(self, entries: Sequence[PulledEntry]) -> None:
        for entry in entries:
            try:
                self._stage(entry)
            except (CborError, ListInvalid, EvidenceInvalid) as error:
                raise NotOurs(str(error)) from None

    def _stage(self, entry: PulledEntry) -> None:
        group, stamp = self._group, Stamp(entry.received_at_ms, entry.quality)
        first, leaf = group.state.next_ordinal, group.next_leaf
        if entry.kind in (EntryKind.EVIDENCE, EntryKind.EPOCH):
            objects: list[NewObject] = [
                (int(Kind.EVIDENCE), _encoded(body), _VERIFIED, None) for body in entry.objects
            ]
            self._evidence.adopt(entry.objects, leaf)
            group.log(entry.kind, entry.radio, stamp, objects)
            return
        values = [decode_object(body) for body in entry.objects]
        objects = [_object(value, body) for value, body in zip(values, entry.objects, strict=True)]
        group.log(entry.kind, entry.radio, stamp, objects)
        for ordinal, value in enumerate(values, first):
            self._take(ordinal, value)
        if entry.kind is EntryKind.SNAPSHOT:
            self._list(entry, values, leaf, first)

    def _take(self, ordinal: int, value: WalletObject) -> None:
        """Everything waits for a key once more; the rounds that follow find what verifies, and conflicts."""
        match value:
            case Transaction():
                self._identities[ordinal] = value.identity
                spend = spend_of(value)
                if spend is not None:
                    self._wait(ordinal, *spend.key)
            case RawTransaction():
                self._identities[ordinal] = value.identity
            case BoundReceipt(identity):
                signer = self._receiver(identity)
                if signer is not None:
                    self._wait(ordinal, signer, RECEIPT_NONCE)
            case DeviceKeyObject(key):
                self._logged_key(key, ordinal)
            case SnapshotHeader(key, snapshot):
                if not verifies(key, snapshot.signature, snapshot.signed_text):
                    raise NotOurs("a snapshot's signature does not verify")
                self._proven_key(key)

    def _wait(self, ordinal: int, signer: int, nonce: int) -> None:
        self._group.wait(ordinal, signer, nonce)
        for row in self._keys.proven_by(signer):
            self._group.overtaken.setdefault(row.id, (row.key, ordinal))

    def _receiver(self, identity: bytes) -> int | None:
        for row in self._group.find([identity]).get(identity, ()):
            body = self._group.fresh_body(row[0])
            body = self._evidence.body_of(row[0]) if body is None else body
            value = None if body is None else decode_object(body)
            if isinstance(value, Transaction):
                return device_number(value.receiver)
        return None

    def _logged_key(self, key: bytes, ordinal: int) -> None:
        row = self._keys.find(key)
        if row is None:
            self.candidates.append(key)
        else:
            self._keys.stage(key, logged=True)
            self._group.logged_keys.append((ordinal, row.id))

    def _proven_key(self, key: bytes) -> int:
        row = self._keys.find(key)
        if row is None:
            row = self._keys.stage(key, logged=False)
            self._group.keys.append(row)
        return row.id

    def _list(self, entry: PulledEntry, values: Sequence[WalletObject], leaf: int, first: int) -> None:
        header, difference = values[0] if values else None, entry.list
        if not isinstance(header, SnapshotHeader) or difference is None:
            raise NotOurs("a snapshot's entry begins with its header and has a list")
        numbers = self._group.state.numbers
        base = None if difference.base is None else numbers.leaf(difference.base)
        before = () if base is None else self._lists.expanded(base)
        new = [first + n for n, value in enumerate(values) if isinstance(value, Transaction | RawTransaction)]
        places = expand(difference.ops, before, new, first)
        identities = [place if isinstance(place, bytes) else self._identity(place) for place in places]
        listed, wallet = extend_list(Frontier(), identities), WalletFrontier().extended(identities)
        if (listed.root(), wallet.root()) != (header.list_root, header.snapshot.root):
            raise NotOurs("a list does not give its roots")
        self._stage_list(header, leaf, base, difference.ops, places, wallet.to_bytes(), listed.to_bytes())

    def _stage_list(
        self,
        header: SnapshotHeader,
        leaf: int,
        base: int | None,
        ops: bytes,
        places: list[Place],
        wallet: bytes,
        listed: bytes,
    ) -> None:
        key, snapshot = self._proven_key(header.key), header.snapshot
        depth = 1 if base is None else self._lists.held(base).depth + 1
        raws = sum(isinstance(place, bytes) for place in places)
        self._lists.stage(key, HeldList(leaf, depth, raws), places)
        size = snapshot.count, snapshot.root, snapshot.timestamp_ms
        self._group.lists.append((leaf, key, *size, depth, base, raws, ops, wallet, listed))

    def _identity(self, ordinal: int) -> bytes:
        known = self._identities.get(ordinal)
        if known is None:
            row = self._connection.execute(
                "SELECT identity FROM objects WHERE ordinal = ?", (ordinal,)
            ).fetchone()
            if row is None or row[0] is None:
                raise NotOurs(f"ordinal {ordinal} is no transaction")
            known = self._identities[ordinal] = row[0]
        return known


def _object(value: WalletObject, body: bytes) -> NewObject:
    encoded = _encoded(body)
    match value:
        case Transaction():
            return int(Kind.TRANSACTION), encoded, _UNVERIFIED, value.identity
        case RawTransaction():
            return int(Kind.RAW), encoded, _INVALID, value.identity
        case BoundReceipt():
            return int(Kind.RECEIPT), encoded, _UNVERIFIED, None
        case SnapshotHeader():
            return int(Kind.SNAPSHOT), encoded, _VERIFIED, None
        case DeviceKeyObject():
            return int(Kind.KEY), encoded, _VERIFIED, None


def _encoded(body: bytes) -> EncodedObject:
    return EncodedObject(object_hash(body), body)
