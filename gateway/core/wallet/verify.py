"""Whether an upload stands, and what each transaction in it is worth; the caller supplies what is known.

A snapshot stands on its own count, root and signature. Its transactions are judged one by one and cannot
bring it down: garbage that another wallet slipped into a ledger must not lock the honest owner out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.signature import verifies
from gateway.core.wallet.snapshot import device_id
from gateway.core.wallet.transaction import Receipt, Transaction
from gateway.core.wallet.tree import WalletFrontier
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload, TransactionsUpload

MAX_KEYS = 4
"""Keys tried for one device id: ids of 64 bits can be made to collide, and each try costs a verification."""


class Standing(Enum):
    """What a signature is worth here and now; a key proven later can raise any but VERIFIED."""

    VERIFIED = "verified"
    UNVERIFIED = "unverified"  # no proven key of the signer is known, and no candidate fits
    INVALID = "invalid"  # out of its grammar, or fits none of the signer's proven keys


_VERIFIED = Standing.VERIFIED  # a member is found slowly through its class


@dataclass(frozen=True, slots=True)
class DeviceKey:
    """A key that goes by a device id; proven once something it signed has verified."""

    key: bytes
    proven: bool


@dataclass(frozen=True, slots=True)
class Known:
    """A transaction verified before: under which key, and its receipts verified before."""

    key: bytes
    receipts: Collection[Receipt] = ()


@dataclass(frozen=True, slots=True)
class Base:
    """The first places of a device's ledger as held here."""

    frontier: WalletFrontier
    contains: Callable[[bytes], bool]
    """Whether an identity is among them."""


class Judged(NamedTuple):
    """One place of the upload; `key` verified it, `known`: before, and it was not checked again."""

    item: LedgerItem
    identity: bytes
    standing: Standing
    key: bytes | None = None
    known: bool = False
    receipt_standing: Standing | None = None
    receipt_known: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """An accepted upload.

    `proven` are the keys that were not proven before and now are. A transaction kept as unverified or
    invalid whose sender is one of their device ids deserves another look. `frontier` is the ledger's, for a
    snapshot.
    """

    items: tuple[Judged, ...]
    proven: frozenset[bytes]
    frontier: WalletFrontier | None = None


KnownTransactions = Callable[[bytes], Known | None]
"""identity → what is known of it, if it was verified before."""

KnownKeys = Callable[[str], Sequence[DeviceKey]]
"""device id → its keys, proven and candidates."""


def verify_snapshot(
    upload: SnapshotUpload,
    *,
    known: KnownTransactions,
    keys: KnownKeys,
    base: Base | None = None,
    identities: tuple[bytes, ...] | None = None,
) -> Verdict:
    """Judges a snapshot and its new transactions.

    `base` must hold the first `upload.base_count` places under `upload.base_root` (`ValueError` otherwise:
    without such a base the answer is RESUME, which is not decided here). `identities` are those of the
    items, where the caller has hashed them already. Raises `Refused` with COUNT, DUPLICATE, ROOT (or
    MALFORMED, where an item is out of its grammar besides) or SIGNATURE, in the order of their cost.
    """
    if identities is None:
        identities = tuple(item.transaction.identity for item in upload.items)
    frontier = _checked_list(upload, identities, base)
    if not verifies(upload.key, upload.snapshot.signature, upload.snapshot.signed_text):
        raise Refused(Refusal.SIGNATURE, "the snapshot's signature does not verify under the key")
    court = _Court(keys, upload.key, proves_itself=True)
    return Verdict(court.judge_all(upload.items, identities, known), court.newly_proven(), frontier)


def verify_transactions(upload: TransactionsUpload, *, known: KnownTransactions, keys: KnownKeys) -> Verdict:
    """Judges transactions that come without a snapshot; raises `Refused` with DUPLICATE.

    The uploader's key, where it says one, has signed nothing but perhaps these: it counts as a candidate.
    """
    identities = tuple(item.transaction.identity for item in upload.items)
    _refuse_duplicates(identities, None)
    court = _Court(keys, upload.key, proves_itself=False)
    return Verdict(court.judge_all(upload.items, identities, known), court.newly_proven())


def _checked_list(upload: SnapshotUpload, identities: Sequence[bytes], base: Base | None) -> WalletFrontier:
    before = base.frontier if base else WalletFrontier()
    if before.count != upload.base_count or (upload.base_root and before.root() != upload.base_root):
        raise ValueError("this base is not the one the upload names")
    count = upload.base_count + len(identities)
    if count != upload.snapshot.count:
        raise Refused(Refusal.COUNT, f"{count} transactions seen, txCount {upload.snapshot.count}")
    _refuse_duplicates(identities, base)
    frontier = before.extended(identities)
    if frontier.root() != upload.snapshot.root:
        raise _other_root(upload)
    return frontier


def _other_root(upload: SnapshotUpload) -> Refused:
    """Garbage may stand in an honest ledger, under its root; under another root it is the likely cause."""
    for place, item in enumerate(upload.items, upload.base_count):
        if not isinstance(item.transaction, Transaction):
            return Refused(
                Refusal.MALFORMED,
                f"transaction {place} is out of its grammar, and the list's root is not the snapshot's",
            )
    return Refused(Refusal.ROOT, "the list's root is not the snapshot's")


def _refuse_duplicates(identities: Sequence[bytes], base: Base | None) -> None:
    repeated = len(set(identities)) != len(identities)
    if repeated or (base and any(base.contains(identity) for identity in identities)):
        raise Refused(Refusal.DUPLICATE, "one signed text stands twice in the list")


class _Court:
    """The keys in question during one upload; owned by the thread that verifies it."""

    def __init__(self, keys: KnownKeys, uploader: bytes | None, *, proves_itself: bool) -> None:
        self._lookup = keys
        self._uploader = uploader
        self._keys: dict[str, list[bytes]] = {}
        self._proven: set[bytes] = set()
        self._newly_proven: set[bytes] = set()
        if uploader is None:
            return
        self._keys_of(device_id(uploader))
        if proves_itself:
            self._prove(uploader)

    def judge_all(
        self, items: Sequence[LedgerItem], identities: Sequence[bytes], known: KnownTransactions
    ) -> tuple[Judged, ...]:
        places = zip(items, identities, strict=True)
        return tuple([self._judge(item, identity, known(identity)) for item, identity in places])

    def newly_proven(self) -> frozenset[bytes]:
        return frozenset(self._newly_proven)

    def _judge(self, item: LedgerItem, identity: bytes, known: Known | None) -> Judged:
        transaction, receipt = item
        key = None
        if known is not None:
            standing, key = _VERIFIED, known.key
        elif isinstance(transaction, Transaction):
            standing, key = self._weigh(transaction.sender, transaction.signature, transaction.signed_text)
        else:
            standing = Standing.INVALID
        if receipt is None or not isinstance(transaction, Transaction):
            return Judged(item, identity, standing, key, known is not None)
        receipt_known = known is not None and receipt in known.receipts
        receipt_standing = Standing.VERIFIED if receipt_known else self._judge_receipt(transaction, receipt)
        return Judged(item, identity, standing, key, known is not None, receipt_standing, receipt_known)

    def _judge_receipt(self, transaction: Transaction, receipt: Receipt) -> Standing:
        text = receipt.signed_text(transaction.id)
        return self._weigh(transaction.receiver, receipt.signature, text)[0]

    def _weigh(self, signer: str, signature: bytes, text: bytes) -> tuple[Standing, bytes | None]:
        keys = self._keys_of(signer)
        for key in keys:
            if verifies(key, signature, text):
                if key not in self._proven:
                    self._prove(key)
                return _VERIFIED, key
        return (Standing.UNVERIFIED if self._proven.isdisjoint(keys) else Standing.INVALID), None

    def _prove(self, key: bytes) -> None:
        if key not in self._proven:
            self._proven.add(key)
            self._newly_proven.add(key)

    def _keys_of(self, signer: str) -> list[bytes]:
        """At most `MAX_KEYS` keys: the uploader's own first, then proven ones, then candidates."""
        if signer not in self._keys:
            found = self._lookup(signer)
            proven = [entry.key for entry in found if entry.proven]
            self._proven.update(proven)
            uploader = self._uploader
            own = [uploader] if uploader is not None and signer == device_id(uploader) else []
            ranked = [*own, *proven, *(entry.key for entry in found)]
            self._keys[signer] = list(dict.fromkeys(ranked))[:MAX_KEYS]
        return self._keys[signer]
