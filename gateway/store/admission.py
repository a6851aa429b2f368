"""What of a judged upload is new and goes into the log, and where the rest stands already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.conflict import MAX_CANDIDATES, key_number
from gateway.core.lists import MAX_CHAIN, MAX_LIST, Place, continuation, difference
from gateway.core.refusal import Refusal, Refused
from gateway.core.submission import (
    STATES,
    Appended,
    EncodedObject,
    HeldObject,
    HeldPlace,
    Item,
    ObjectState,
    SnapshotDraft,
    Submission,
)
from gateway.core.sync.messages import MAX_ENTRY_BYTES, MAX_ENTRY_OBJECTS
from gateway.core.wallet.objects import DeviceKeyObject, Kind, accepts, encode_object, object_hash
from gateway.model import EntryKind
from gateway.store.connection import Connection
from gateway.store.group import Group, NewObject
from gateway.store.keybook import KeyBook
from gateway.store.limits import Limits
from gateway.store.listbook import HeldList, ListBook
from gateway.store.lookup import ObjectRow
from gateway.store.spends import SpendKey
from gateway.store.waiting import RECEIPT_NONCE, count_waiting

_KEY_OBJECT_BYTES = 36

# A member is found slowly through its class.
_VERIFIED, _UNVERIFIED = ObjectState.VERIFIED, ObjectState.UNVERIFIED
_TRANSACTION, _RECEIPT, _RAW = int(Kind.TRANSACTION), int(Kind.RECEIPT), int(Kind.RAW)

Fresh = dict[bytes, list[ObjectRow]]
"""Objects logged since the submission's facts were read."""


@dataclass(slots=True)
class _Plan:
    """One item: its place in the list, what of it is new, what of it is held."""

    item: Item
    place: Place  # of a new object: its identity, until its ordinal is known
    transaction: EncodedObject | None = None
    receipt: EncodedObject | None = None
    held: HeldObject | None = None
    rises: bool = False  # held, and its signature verifies only now
    raised_receipt: HeldObject | None = None  # likewise
    receipt_place: int | None = None  # its ordinal, where it is new
    lacks_receipt: bool = False  # one came, and there was no room for it
    refusal: Refused | None = None


@dataclass(slots=True)
class _Listed:
    """How a list is kept: the base that is named, the ops, how many places are bare identities."""

    base: HeldList | None
    ops: bytes
    raws: int


class Admission:
    """Plans submissions into a group; owned by the store's thread, writes nothing."""

    def __init__(self, connection: Connection, keys: KeyBook, lists: ListBook, limits: Limits) -> None:
        self._connection = connection
        self._keys = keys
        self._lists = lists
        self._limits = limits

    def admit(self, group: Group, submission: Submission) -> Appended:
        """Stage what is new of it. Raises Refused, and then has staged nothing.

        Loose transactions stand or fall together, since one promise answers them; a snapshot stands without
        those of its transactions that are beyond a bound.
        """
        items = [item for item in submission.items if isinstance(item, Item)]
        fresh = group.find_since(submission.horizon, _hashes_of(submission, items))
        fresh |= group.find(_unsettled(items))
        unheard = [key_number(key) for key in submission.proven if not self._keys.has_proven(key)]
        group.spends.load([item.spend.key for item in items if item.spend and _rises(item)], unheard)
        plans = self._plan_all(group, items, fresh, loose=submission.snapshot is None)
        held = self._held_header(group, submission, fresh)
        listed = None
        if submission.snapshot is not None and held is None:
            listed = self._list(submission, submission.snapshot, plans, group.state.next_ordinal)
        _require_fits(submission, plans, listed)
        leaf = self._stage(group, submission, plans, listed)
        return Appended(self._contents(group, submission, plans, held), leaf)

    def _held_header(self, group: Group, submission: Submission, fresh: Fresh) -> HeldPlace | None:
        draft = submission.snapshot
        if draft is None or draft.held is not None:
            return None if draft is None else draft.held
        rows = fresh.get(draft.header.hash)
        return None if rows is None else group.place(self._connection, rows[0][1])

    # Planning: nothing is staged yet.

    def _plan_all(self, group: Group, items: Sequence[Item], fresh: Fresh, *, loose: bool) -> list[_Plan]:
        bounds = _Bounds(self._connection, group, self._limits)
        plans = []
        for item in items:
            plan = _plan(item, _held(item, fresh), bounds)
            if plan.refusal is None:
                if item.receipt is not None:
                    _plan_receipt(plan, item.receipt, fresh, bounds)
            elif loose:
                raise plan.refusal
            plans.append(plan)
        return plans

    def _list(
        self, submission: Submission, draft: SnapshotDraft, plans: Sequence[_Plan], first: int
    ) -> _Listed:
        """How the list will be kept; ``first`` stands for every ordinal that its new objects will get."""
        places = _places(submission, [first if plan.transaction else plan.place for plan in plans])
        places = self._lists.own(places)
        raws = sum(isinstance(place, bytes) for place in places)
        row = self._keys.find(submission.key)
        base = self._base(row.id, draft) if row is not None and row.logged else None
        if draft.base is not None and base is not None:
            raws += self._lists.raws(base)
        base, ops = self._difference(draft, places, base, first)
        return _Listed(base, ops, raws)

    # Staging: the group grows.

    def _stage(
        self, group: Group, submission: Submission, plans: Sequence[_Plan], listed: _Listed | None
    ) -> int | None:
        self._prove(group, submission)
        first, leaf = group.state.next_ordinal, group.next_leaf
        objects = self._head_objects(group, submission, plans, is_snapshot=listed is not None)
        for plan in plans:
            self._stage_item(group, plan, objects, first)
        if objects:
            kind = EntryKind.TRANSACTIONS if listed is None else EntryKind.SNAPSHOT
            message = submission.fingerprint if listed is not None and _is_whole(plans) else None
            group.log(kind, submission.radio, submission.stamp, objects, message)
        for plan in plans:
            self._stage_standing(group, plan, leaf)
        if submission.snapshot is not None and listed is not None:
            self._stage_list(group, submission, submission.snapshot, plans, listed)
        return leaf if objects else None

    def _prove(self, group: Group, submission: Submission) -> None:
        for key in submission.proven:
            if self._keys.find(key) is None:
                group.keys.append(self._keys.stage(key, logged=False))

    def _head_objects(
        self, group: Group, submission: Submission, plans: Sequence[_Plan], *, is_snapshot: bool
    ) -> list[NewObject]:
        """The header, and the uploader's key where this entry is the first to cover something of it, or where
        the key settles what came before it: the coordinator has to learn it too."""
        objects: list[NewObject] = []
        if submission.snapshot is not None and is_snapshot:
            objects.append((int(Kind.SNAPSHOT), submission.snapshot.header, int(ObjectState.VERIFIED), None))
        row = self._keys.find(submission.key)
        if row is None or row.logged or submission.key is None:
            return objects
        settles = any(plan.rises and plan.item.key == submission.key for plan in plans)
        if objects or settles or any(plan.transaction or plan.receipt for plan in plans):
            body = encode_object(DeviceKeyObject(submission.key))
            group.logged_keys.append((group.state.next_ordinal + len(objects), row.id))
            self._keys.stage(submission.key, logged=True)
            encoded = EncodedObject(object_hash(body), body)
            objects.append((int(Kind.KEY), encoded, int(ObjectState.VERIFIED), None))
        return objects

    def _stage_item(self, group: Group, plan: _Plan, objects: list[NewObject], first: int) -> None:
        """Its new objects, and their place among those that wait for a key."""
        item = plan.item
        if plan.transaction is not None:
            plan.place = first + len(objects)
            kind = _RAW if item.raw else _TRANSACTION
            objects.append((kind, plan.transaction, int(item.state), item.identity))
            if item.state is not _VERIFIED and item.spend is not None:
                self._wait(group, plan.place, *item.spend.key, item.state)
        if plan.receipt is not None:
            if item.receipt_state is not _VERIFIED and item.receipt_signer is not None:
                ordinal = first + len(objects)
                self._wait(group, ordinal, item.receipt_signer, RECEIPT_NONCE, item.receipt_state)
            plan.receipt_place = first + len(objects)
            objects.append((_RECEIPT, plan.receipt, int(item.receipt_state), None))

    def _wait(self, group: Group, ordinal: int, signer: int, nonce: int, state: ObjectState) -> None:
        group.wait(ordinal, signer, nonce)
        if state is _UNVERIFIED:  # there was no proven key when it was judged; there may be one by now
            for row in self._keys.proven_by(signer):
                group.overtaken.setdefault(row.id, (row.key, ordinal))

    def _stage_standing(self, group: Group, plan: _Plan, leaf: int) -> None:
        """What a verified signature settles: the conflict index, and whatever waited for it."""
        item = plan.item
        if plan.rises and plan.held is not None and item.transaction is not None:
            _raise(group, plan.held, Kind.TRANSACTION, item.transaction, item.identity)
        rises = plan.rises or (plan.transaction is not None and item.state is _VERIFIED)
        if rises and item.spend is not None and item.key is not None and isinstance(plan.place, int):
            ordinal = plan.place if plan.held is None else plan.held.ordinal
            group.spends.stage(item.spend, ordinal, self._keys.id_of(item.key), leaf)
        if plan.raised_receipt is not None and item.receipt is not None:
            _raise(group, plan.raised_receipt, Kind.RECEIPT, item.receipt, None)
        if item.receipt is not None and item.receipt_state is _VERIFIED:
            _stage_receipt(group, plan, item.receipt, leaf)

    def _base(self, key_id: int, draft: SnapshotDraft) -> HeldList | None:
        """The list that the upload builds on, or the one that this whole list is likely to resemble."""
        if draft.base is not None:
            return self._lists.held(draft.base.index)
        return self._lists.newest(key_id)

    def _stage_list(
        self,
        group: Group,
        submission: Submission,
        draft: SnapshotDraft,
        plans: Sequence[_Plan],
        listed: _Listed,
    ) -> None:
        assert submission.key is not None  # noqa: S101 - a snapshot has one
        key_id, leaf, base = self._keys.id_of(submission.key), group.next_leaf - 1, listed.base
        held = HeldList(leaf, 1 if base is None else base.depth + 1, listed.raws)
        if draft.base is None:
            places = _places(submission, [plan.place for plan in plans])
            self._lists.stage(key_id, held, self._lists.own(places))
        trees = draft.wallet.to_bytes(), draft.identities.to_bytes()
        base_leaf = None if base is None else base.leaf
        size = draft.count, draft.root, draft.timestamp_ms
        group.lists.append((leaf, key_id, *size, held.depth, base_leaf, listed.raws, listed.ops, *trees))

    def _difference(
        self, draft: SnapshotDraft, places: list[Place], base: HeldList | None, first: int
    ) -> tuple[HeldList | None, bytes]:
        """The base that is named, and the ops.

        None where the chain would be too long, or the base is of an epoch that is over.
        """
        if base is None:
            return None, difference(places, (), first)
        is_longest = base.depth >= MAX_CHAIN or not self._lists.is_own(base.leaf)
        if draft.base is None:
            known = () if is_longest else self._lists.expanded(base.leaf)
            return None if is_longest else base, difference(places, known, first)
        if is_longest:
            return None, difference(self._lists.own([*self._lists.expanded(base.leaf), *places]), (), first)
        return base, continuation(draft.base.wallet.count, places, first)

    def _contents(
        self, group: Group, submission: Submission, plans: Sequence[_Plan], held: HeldPlace | None
    ) -> tuple[HeldPlace, ...]:
        """Where each content H of the submission stands."""
        stamp = submission.stamp
        new = HeldPlace(group.size - 1, stamp.unix_ms, stamp.quality, group.state.epoch)
        if submission.snapshot is not None:
            return (new if held is None else held,)
        return tuple(
            new if plan.held is None else group.place(self._connection, plan.held.leaf) for plan in plans
        )


class _Bounds:
    """How much more may be kept during one submission."""

    def __init__(self, connection: Connection, group: Group, limits: Limits) -> None:
        self._connection = connection
        self._group = group
        self._room = limits.unproven_bytes - group.state.unproven_bytes
        self._most = limits.texts_per_nonce
        self._verified: dict[SpendKey, int] = {}
        self._waiting: dict[SpendKey, int] = {}

    def take_verified(self, item: Item) -> Refused | None:
        """One more verified text under its (sender, nonce)."""
        if item.spend is None:
            return None
        spend = item.spend.key
        texts = self._verified.get(spend)
        if texts is None:
            texts = self._group.spends.texts(spend)
        if texts >= self._most:
            return Refused(Refusal.QUOTA, "too many texts under one nonce")
        self._verified[spend] = texts + 1
        return None

    def take_unproven(self, item: Item, candidates: int, size: int) -> Refused | None:
        """One more object of ``size`` bytes that nothing vouches for, beside those of the same identity."""
        if size > self._room:
            return Refused(Refusal.QUOTA, "the share of unverified texts is used up")
        if candidates >= MAX_CANDIDATES:
            return Refused(Refusal.QUOTA, "too many signatures for one text")
        if item.spend is not None:
            spend = item.spend.key
            texts = self._waiting.get(spend)
            if texts is None:
                texts = count_waiting(self._connection, spend) + self._group.waiting_texts.get(spend, 0)
            if texts >= self._most:
                return Refused(Refusal.QUOTA, "too many unverified texts under one nonce")
            self._waiting[spend] = texts + 1
        self._room -= size
        return None

    def take_unproven_receipt(self, size: int) -> bool:
        if size > self._room:
            return False
        self._room -= size
        return True


def _plan(item: Item, held: Sequence[HeldObject], bounds: _Bounds) -> _Plan:
    place: Place = held[0].ordinal if held else item.identity
    if item.transaction is None:
        return _Plan(item, place, refusal=Refused(Refusal.MALFORMED, "too long to keep"))
    stands = _stands(held)
    for other in held:
        if other.hash == item.transaction.hash:
            rises = item.state is _VERIFIED and not stands and bounds.take_verified(item) is None
            return _Plan(item, place, held=other, rises=rises)
    if stands:
        return _Plan(item, place, refusal=Refused(Refusal.DUPLICATE, "held under another signature"))
    if item.state is _VERIFIED:
        refusal = bounds.take_verified(item)
    else:
        refusal = bounds.take_unproven(item, len(held), len(item.transaction.body))
    if refusal is not None:
        return _Plan(item, place, refusal=refusal)
    return _Plan(item, place, transaction=item.transaction)


def _plan_receipt(plan: _Plan, receipt: EncodedObject, fresh: Fresh, bounds: _Bounds) -> None:
    item = plan.item
    verified = item.receipt_state is _VERIFIED
    rows = fresh.get(receipt.hash)
    if rows is not None:
        held = _held_object(rows[0])
        plan.raised_receipt = held if verified and held.state is not _VERIFIED else None
    elif item.receipt_held is None:
        if verified or bounds.take_unproven_receipt(len(receipt.body)):
            plan.receipt = receipt
        else:
            plan.lacks_receipt = True


def _is_whole(plans: Sequence[_Plan]) -> bool:
    """Whether all that came is kept: what was left out may find room when the same message comes again."""
    return not any(plan.refusal or plan.lacks_receipt for plan in plans)


def _places(submission: Submission, of_items: Sequence[Place]) -> list[Place]:
    """The places of what was sent, those of its full items being ``of_items``."""
    rest = iter(of_items)
    return [item if isinstance(item, int) else next(rest) for item in submission.items]


def _require_fits(submission: Submission, plans: Sequence[_Plan], listed: _Listed | None) -> None:
    """Raises Refused for what could never be synced: more than one entry, or one list, may hold."""
    new = [new for plan in plans for new in (plan.transaction, plan.receipt) if new is not None]
    size = sum([len(one.body) for one in new]) + _KEY_OBJECT_BYTES
    if submission.snapshot is not None and listed is not None:
        size += len(submission.snapshot.header.body) + len(listed.ops)
        if submission.snapshot.count > MAX_LIST:
            raise Refused(Refusal.TOO_LARGE, f"a ledger of at most {MAX_LIST} transactions is taken")
    if size > MAX_ENTRY_BYTES or len(new) + 2 > MAX_ENTRY_OBJECTS:
        raise Refused(
            Refusal.TOO_LARGE, f"{size} new bytes at once, at most {MAX_ENTRY_BYTES}; send in parts"
        )


def _stage_receipt(group: Group, plan: _Plan, receipt: EncodedObject, leaf: int) -> None:
    """A receipt that is new, or verified only now, beside the payment it is for."""
    held, item = plan.raised_receipt, plan.item
    at = plan.receipt_place if held is None else held.ordinal
    if at is None or item.spend is None or not isinstance(plan.place, int):
        return
    if accepts(receipt.body):
        group.spends.accept(item.spend.key, plan.place)
    group.receipts.append((plan.place, at, item.identity, leaf))


def _raise(
    group: Group, held: HeldObject, kind: Kind, encoded: EncodedObject, identity: bytes | None
) -> None:
    row = (held.ordinal, held.leaf, int(kind), int(held.state), held.hash, identity)
    group.change(row, ObjectState.VERIFIED, len(encoded.body))


def _held(item: Item, fresh: Fresh) -> Sequence[HeldObject]:
    """Every object of the item's identity, oldest first, each as it stands now."""
    rows = fresh.get(item.identity)
    if rows is None:
        return item.held
    first = rows[0][0]
    return (*(held for held in item.held if held.ordinal < first), *map(_held_object, rows))


def _held_object(row: ObjectRow) -> HeldObject:
    return HeldObject(row[0], row[4], STATES[row[3]], row[1])


def _rises(item: Item) -> bool:
    """Whether the item may enter the conflict index."""
    return item.state is _VERIFIED and not _stands(item.held)


def _stands(held: Sequence[HeldObject]) -> bool:
    for other in held:
        if other.state is _VERIFIED:
            return True
    return False


def _unsettled(items: Sequence[Item]) -> list[bytes]:
    """What was held unverified when the facts were read: since then a key may have been proven."""
    hashes = [item.identity for item in items if item.held and not _stands(item.held)]
    receipts = [item.receipt_held for item in items if item.receipt_held is not None]
    return hashes + [held.hash for held in receipts if held.state is not _VERIFIED]


def _hashes_of(submission: Submission, items: Sequence[Item]) -> list[bytes]:
    hashes = [item.identity for item in items]
    hashes += [item.receipt.hash for item in items if item.receipt]
    if submission.snapshot is not None:
        hashes.append(submission.snapshot.header.hash)
    return hashes
