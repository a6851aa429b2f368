"""From an upload and what is known of it to what is to be logged; no clock, no store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gateway.core.conflict import device_number, spend_of
from gateway.core.entry import extend_list
from gateway.core.merkle import Frontier
from gateway.core.message.answer_json import Tally
from gateway.core.message.downlink import Resume
from gateway.core.refusal import Refusal, Refused
from gateway.core.submission import (
    EncodedObject,
    Facts,
    HeldObject,
    HeldPlace,
    Item,
    ObjectState,
    Question,
    SnapshotDraft,
    Submission,
)
from gateway.core.wallet.objects import BoundReceipt, SnapshotHeader, WalletObject, encode_object, object_hash
from gateway.core.wallet.snapshot import device_id
from gateway.core.wallet.transaction import OversizeTransaction, Receipt, Transaction
from gateway.core.wallet.tree import WalletFrontier
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload, TransactionsUpload
from gateway.core.wallet.verify import (
    Base,
    DeviceKey,
    Judged,
    Known,
    Standing,
    Verdict,
    verify_snapshot,
    verify_transactions,
)
from gateway.model import EntryKind, KnownConflict, Stamp

_STANDS, _VERIFIED = Standing.VERIFIED, ObjectState.VERIFIED  # a member is found slowly through its class


class Prepared(NamedTuple):
    """An upload with its hashes: identities in order, receipts as objects (None where an item has none)."""

    message: SnapshotUpload | TransactionsUpload
    identities: tuple[bytes, ...]
    receipts: tuple[EncodedObject | None, ...]
    question: Question


@dataclass(frozen=True, slots=True)
class Judgement:
    """An upload that stands. ``contents`` are its H in order.

    ``submission`` is None where this very content is held with all that came with it: at ``held``, found
    without checking any signature. ``conflicts`` are those known before about its payments.
    """

    contents: tuple[bytes, ...]
    tally: Tally
    submission: Submission | None
    held: tuple[HeldPlace, ...] = ()
    conflicts: tuple[KnownConflict, ...] = ()


def prepare(message: SnapshotUpload | TransactionsUpload) -> Prepared:
    """Hash what was sent, and say what must be known to judge it."""
    identities = tuple([item.transaction.identity for item in message.items])
    receipts = tuple(
        [
            None if item.receipt is None else encoded(BoundReceipt(identity, item.receipt))
            for item, identity in zip(message.items, identities, strict=True)
        ]
    )
    question = Question(
        key=message.key,
        identities=identities,
        receipts=tuple([receipt.hash for receipt in receipts if receipt is not None]),
        signers=_signers(message.key, message.items),
        base=_base_of(message),
        snapshot=_snapshot_of(message),
    )
    return Prepared(message, identities, receipts, question)


def judge(
    prepared: Prepared, facts: Facts, radio: str, stamp: Stamp, fingerprint: bytes | None = None
) -> Judgement | Resume:
    """Raises Refused where the upload does not stand. Resume where its base is not held.

    ``fingerprint`` is that of the bytes it came in, where they shall be recognised after a restart.
    """
    message = prepared.message
    if isinstance(message, TransactionsUpload):
        return _judge_loose(prepared, message, facts, radio, stamp)
    if message.base_count and facts.base is None:
        return Resume(facts.resume)
    return _judge_snapshot(prepared, message, facts, radio, stamp, fingerprint)


def encoded(value: WalletObject) -> EncodedObject:
    body = encode_object(value)
    return EncodedObject(object_hash(body), body)


def _judge_snapshot(
    prepared: Prepared,
    message: SnapshotUpload,
    facts: Facts,
    radio: str,
    stamp: Stamp,
    fingerprint: bytes | None,
) -> Judgement:
    before = Frontier() if facts.base is None else facts.base.identities
    tree = extend_list(before, prepared.identities)
    header = encoded(SnapshotHeader(message.key, message.snapshot, tree.root()))
    held = facts.snapshots.get(header.hash)
    if held is not None and _all_held(prepared, facts):
        return Judgement(
            (header.hash,), Tally(known=len(prepared.identities)), None, (held,), facts.conflicts
        )
    base = None if facts.base is None else Base(facts.base.wallet, facts.in_base.__contains__)
    verdict = verify_snapshot(
        message,
        known=_KnownTransactions(prepared, facts),
        keys=_Keys(facts),
        base=base,
        identities=prepared.identities,
    )
    draft = SnapshotDraft(
        header=header,
        count=message.snapshot.count,
        root=message.snapshot.root,
        timestamp_ms=message.snapshot.timestamp_ms,
        base=facts.base,
        wallet=verdict.frontier or WalletFrontier(),
        identities=tree,
        held=held,
    )
    objects = message.objects or (None,) * len(message.items)
    items = tuple(
        [
            _item(judged, body, receipt, facts)
            for judged, body, receipt in zip(verdict.items, objects, prepared.receipts, strict=True)
        ]
    )
    submission = Submission(
        kind=EntryKind.SNAPSHOT,
        radio=radio,
        stamp=stamp,
        key=message.key,
        proven=verdict.proven,
        items=items,
        snapshot=draft,
        horizon=facts.horizon,
        fingerprint=None if facts.conflicts else fingerprint,  # who brings that again is told what came since
    )
    return Judgement((header.hash,), _tally(verdict), submission, conflicts=facts.conflicts)


def _judge_loose(
    prepared: Prepared, message: TransactionsUpload, facts: Facts, radio: str, stamp: Stamp
) -> Judgement:
    verdict = verify_transactions(message, known=_KnownTransactions(prepared, facts), keys=_Keys(facts))
    key = _vouching(verdict) if message.key is None else message.key
    items = tuple(
        [
            _full_item(judged, None, receipt, facts)
            for judged, receipt in zip(verdict.items, prepared.receipts, strict=True)
        ]
    )
    contents = tuple([item.transaction.hash for item in items if item.transaction is not None])
    submission = Submission(
        kind=EntryKind.TRANSACTIONS,
        radio=radio,
        stamp=stamp,
        key=key,
        proven=verdict.proven,
        items=items,
        snapshot=None,
        horizon=facts.horizon,
    )
    return Judgement(contents, _tally(verdict), submission, conflicts=facts.conflicts)


def _vouching(verdict: Verdict) -> bytes | None:
    """The key that loose transactions without one stand under. Raises Refused for what cannot stand: there
    is no uploader whose ledger would lack it."""
    invalid = Standing.INVALID
    if any(invalid in (judged.standing, judged.receipt_standing) for judged in verdict.items):
        raise Refused(Refusal.SIGNATURE, "no key of its signer verifies it")
    return next((judged.key for judged in verdict.items if judged.key), None)


def _item(judged: Judged, body: bytes | None, receipt: EncodedObject | None, facts: Facts) -> Item | int:
    if judged.known and (receipt is None or judged.receipt_known):
        return facts.known[judged.identity][0].ordinal
    return _full_item(judged, body, receipt, facts)


def _full_item(judged: Judged, body: bytes | None, receipt: EncodedObject | None, facts: Facts) -> Item:
    """``body`` is the transaction's object, where it is encoded already."""
    transaction, identity = judged.item.transaction, judged.identity
    if not isinstance(transaction, Transaction):
        whole = None if isinstance(transaction, OversizeTransaction) else encoded(transaction)
        return Item(identity, whole, True, _state(judged.standing), None, held=facts.known.get(identity, ()))
    item = Item(
        identity,
        encoded(transaction) if body is None else EncodedObject(object_hash(body), body),
        False,
        _state(judged.standing),
        spend_of(transaction),
        judged.key,
        facts.known.get(identity, ()),
    )
    if receipt is None or judged.receipt_standing is None:
        return item
    return item._replace(
        receipt=receipt,
        receipt_state=_state(judged.receipt_standing),
        receipt_signer=device_number(transaction.receiver),
        receipt_held=facts.receipts.get(receipt.hash),
    )


def _state(standing: Standing) -> ObjectState:
    if standing is _STANDS:
        return _VERIFIED
    return ObjectState.INVALID if standing is Standing.INVALID else ObjectState.UNVERIFIED


def _all_held(prepared: Prepared, facts: Facts) -> bool:
    """Whether every transaction is held, verified or with this signature, and every receipt."""
    return all(
        _is_held(item, facts.known.get(identity, ())) and (receipt is None or receipt.hash in facts.receipts)
        for item, identity, receipt in zip(
            prepared.message.items, prepared.identities, prepared.receipts, strict=True
        )
    )


def _is_held(item: LedgerItem, held: Sequence[HeldObject]) -> bool:
    if isinstance(item.transaction, OversizeTransaction):
        return True
    if any(other.state is _VERIFIED for other in held):
        return True
    return bool(held) and encoded(item.transaction).hash in {other.hash for other in held}


class _KnownTransactions:
    """identity → what was verified of it before."""

    def __init__(self, prepared: Prepared, facts: Facts) -> None:
        self._facts = facts
        self._receipts: dict[bytes, Receipt] = {}
        for item, identity, receipt in zip(
            prepared.message.items, prepared.identities, prepared.receipts, strict=True
        ):
            held = None if receipt is None else facts.receipts.get(receipt.hash)
            if item.receipt is not None and held is not None and held.state is _VERIFIED:
                self._receipts[identity] = item.receipt

    def __call__(self, identity: bytes) -> Known | None:
        held = self._facts.known.get(identity)
        if held is None or all(other.state is not _VERIFIED for other in held):
            return None
        receipt = self._receipts.get(identity)
        return Known(b"", () if receipt is None else (receipt,))


class _Keys:
    """device id → its keys."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts

    def __call__(self, signer: str) -> Sequence[DeviceKey]:
        return self._facts.keys.get(signer, ())


def _signers(key: bytes | None, items: Sequence[LedgerItem]) -> frozenset[str]:
    """Device ids whose keys may be needed: of senders, and of receivers that sent a receipt."""
    signers = set() if key is None else {device_id(key)}
    for item in items:
        if isinstance(item.transaction, Transaction):
            signers.add(item.transaction.sender)
            if item.receipt is not None:
                signers.add(item.transaction.receiver)
    return frozenset(signers)


def _base_of(message: SnapshotUpload | TransactionsUpload) -> tuple[int, bytes] | None:
    if isinstance(message, TransactionsUpload) or message.base_root is None:
        return None
    return message.base_count, message.base_root


def _snapshot_of(message: SnapshotUpload | TransactionsUpload) -> tuple[int, bytes, int] | None:
    if isinstance(message, TransactionsUpload):
        return None
    snapshot = message.snapshot
    return snapshot.count, snapshot.root, snapshot.timestamp_ms


def _tally(verdict: Verdict) -> Tally:
    standings = [judged.standing for judged in verdict.items if not judged.known]
    return Tally(
        verified=standings.count(_STANDS),
        unverified=standings.count(Standing.UNVERIFIED),
        invalid=standings.count(Standing.INVALID),
        known=len(verdict.items) - len(standings),
    )
