"""Evidence objects (kind 4): what verifies alone, whoever hands it over; docs/protocol/evidence.md.

[4, 1|2, key, nonce, payment, payment]                  DOUBLE_SPEND, DUPLICATE_NONCE: one key, one nonce
[4, 3, id, signed, signed]                              DUPLICATE_ID: one id, two texts
[4, 4, proven, proven]                                  KEY_COLLISION: two keys that share a device id
[4, 5, sender key, payment, receiver key, receipt]      RECEIPT: given for a payment that stands in conflict
[4, 6, key, checkpoint, checkpoint, root, [proof…]]     FORK: two heads of one log that cannot both be
[4, 7, key, checkpoint or null, size, root, checkpoint or null, why]    EPOCH: what a log begins again behind
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.core import cbor, merkle
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.checkpoint import Checkpoint, open_checkpoint
from gateway.core.note import NoteInvalid, VerifierKey, parse_note
from gateway.core.wallet.objects import (
    HASH_BYTES,
    Kind,
    read_receipt_fields,
    read_snapshot_fields,
    read_transaction_fields,
    receipt_fields,
    snapshot_fields,
    transaction_fields,
)
from gateway.core.wallet.signature import KEY_BYTES, verifies
from gateway.core.wallet.snapshot import Snapshot, device_id
from gateway.core.wallet.transaction import Receipt, Transaction

MAX_EVIDENCE_BYTES = 4096
"""Two notes and a proof of 62 hashes; payments with the longest names stay below 800."""

_MAX_PROOF = 128
_MAX_NOTE = 1024
_MAX_WHY = 32


class EvidenceKind(IntEnum):
    """Second element of an evidence object."""

    DOUBLE_SPEND = 1
    DUPLICATE_NONCE = 2
    DUPLICATE_ID = 3
    KEY_COLLISION = 4
    RECEIPT = 5
    FORK = 6
    EPOCH = 7


class EvidenceInvalid(ValueError):
    """These bytes prove nothing; the message says what does not hold."""


@dataclass(frozen=True, slots=True)
class Spent:
    """Two payments that ``key`` signed under one nonce, in the order of their identities."""

    key: bytes
    first: Transaction
    second: Transaction

    @property
    def kind(self) -> EvidenceKind:
        same = self.first.receiver == self.second.receiver
        return EvidenceKind.DUPLICATE_NONCE if same else EvidenceKind.DOUBLE_SPEND

    @property
    def nonce(self) -> int:
        return self.first.nonce

    @classmethod
    def of(cls, key: bytes, one: Transaction, other: Transaction) -> Spent:
        """The same bytes whichever came first, at every gateway."""
        first, second = sorted((one, other), key=lambda payment: payment.identity)
        return cls(key, first, second)


@dataclass(frozen=True, slots=True)
class Signed:
    """A payment and the key that its signature verifies under."""

    key: bytes
    payment: Transaction


@dataclass(frozen=True, slots=True)
class SameId:
    """Two texts under one id, in the order of their identities: no receipt tells which it is for."""

    first: Signed
    second: Signed

    @classmethod
    def of(cls, one: Signed, other: Signed) -> SameId:
        first, second = sorted((one, other), key=lambda signed: signed.payment.identity)
        return cls(first, second)

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.DUPLICATE_ID


@dataclass(frozen=True, slots=True)
class Proven:
    """A key and something that it has signed."""

    key: bytes
    statement: Transaction | Snapshot


@dataclass(frozen=True, slots=True)
class Collision:
    """Two keys that go by one device id, both in use; in the order of the keys."""

    first: Proven
    second: Proven

    @classmethod
    def of(cls, one: Proven, other: Proven) -> Collision:
        first, second = sorted((one, other), key=lambda proven: proven.key)
        return cls(first, second)

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.KEY_COLLISION


@dataclass(frozen=True, slots=True)
class Receipted:
    """A receiver's receipt for a payment that stands in conflict."""

    sent: Signed
    receiver: bytes
    receipt: Receipt

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.RECEIPT


@dataclass(frozen=True, slots=True)
class Forked:
    """Two heads that ``key`` signed of one origin: the second's tree had ``root`` at the first's size, which
    is not the first's root; ``proof`` is the consistency proof between them, empty at equal sizes."""

    key: bytes
    first: bytes
    second: bytes
    root: bytes
    proof: tuple[bytes, ...]

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.FORK


@dataclass(frozen=True, slots=True)
class EpochBegun:
    """Why a log goes on under another origin, first object of its first leaf.

    ``signed`` is its newest checkpoint; it stood at ``size`` with ``root``. ``seen`` is the checkpoint of its
    own key that it could not repeat.
    """

    key: bytes
    signed: bytes | None
    size: int
    root: bytes
    seen: bytes | None
    why: str

    @property
    def kind(self) -> EvidenceKind:
        return EvidenceKind.EPOCH


Evidence = Spent | SameId | Collision | Receipted | Forked | EpochBegun


def encode_evidence(evidence: Evidence) -> bytes:
    return cbor.encode([Kind.EVIDENCE, evidence.kind, *_fields(evidence)])


def read_evidence(data: bytes) -> Evidence:
    """What these bytes say, signatures unchecked. Raises EvidenceInvalid."""
    try:
        if len(data) > MAX_EVIDENCE_BYTES:
            raise CborError(f"{len(data)} bytes, evidence has at most {MAX_EVIDENCE_BYTES}")
        array = as_array(cbor.decode(data))
        if len(array) < 2 or as_uint(array[0]) != Kind.EVIDENCE:
            raise CborError("not an evidence object")
        number = as_uint(array[1])
        evidence = _read(number, array[2:])
    except CborError as error:
        raise EvidenceInvalid(str(error)) from None
    if int(evidence.kind) != number or encode_evidence(evidence) != data:
        raise EvidenceInvalid("not what it says it is, or not in its one order")
    return evidence


def verify_evidence(data: bytes) -> Evidence:
    """What these bytes prove, to anyone. Raises EvidenceInvalid."""
    evidence = read_evidence(data)
    match evidence:
        case Spent(key, first, second):
            _require_payments(Signed(key, first), Signed(key, second))
            if first.nonce != second.nonce:
                raise EvidenceInvalid("two payments with different nonces")
        case SameId(first, second):
            _require_payments(first, second)
            if first.payment.id != second.payment.id:
                raise EvidenceInvalid("two payments with different ids")
        case Collision(first, second):
            _require_statement(first)
            _require_statement(second)
            if first.key >= second.key or device_id(first.key) != device_id(second.key):
                raise EvidenceInvalid("not two keys with one device id, in their order")
        case Receipted(sent, receiver, receipt):
            _require_signed(sent)
            if sent.payment.receiver != device_id(receiver):
                raise EvidenceInvalid("a receipt of somebody else")
            if not verifies(receiver, receipt.signature, receipt.signed_text(sent.payment.id)):
                raise EvidenceInvalid("the receipt's signature does not verify")
        case Forked():
            _require_fork(evidence)
        case EpochBegun():
            _require_epoch(evidence)
    return evidence


def _require_payments(one: Signed, other: Signed) -> None:
    _require_signed(one)
    _require_signed(other)
    if one.payment.identity >= other.payment.identity:
        raise EvidenceInvalid("one text twice, or not in the order of their identities")


def _require_signed(signed: Signed) -> None:
    payment = signed.payment
    if payment.sender != device_id(signed.key):
        raise EvidenceInvalid("a payment of another device")
    if not verifies(signed.key, payment.signature, payment.signed_text):
        raise EvidenceInvalid("a payment's signature does not verify")


def _require_statement(proven: Proven) -> None:
    if isinstance(proven.statement, Transaction):
        _require_signed(Signed(proven.key, proven.statement))
    elif not verifies(proven.key, proven.statement.signature, proven.statement.signed_text):
        raise EvidenceInvalid("a snapshot's signature does not verify")


def _require_fork(forked: Forked) -> None:
    first, second = opened(forked.key, forked.first), opened(forked.key, forked.second)
    if first.origin != second.origin or not 0 < first.size <= second.size:
        raise EvidenceInvalid("not two heads of one log, the shorter first")
    if first.root == forked.root:
        raise EvidenceInvalid("both heads can be")
    try:
        merkle.verify_consistency(first.size, second.size, forked.proof, forked.root, second.root)
    except merkle.ProofInvalid as error:
        raise EvidenceInvalid(str(error)) from None


def _require_epoch(epoch: EpochBegun) -> None:
    for note in (epoch.signed, epoch.seen):
        if note is not None:
            opened(epoch.key, note)


def opened(key: bytes, note: bytes) -> Checkpoint:
    """A checkpoint that this gateway's key has signed under its origin's name. Raises EvidenceInvalid."""
    try:
        parsed = parse_note(note)
        origin = parsed.text.partition("\n")[0]
        return open_checkpoint(parsed, [VerifierKey(origin, key)], origin)[0]
    except NoteInvalid as error:
        raise EvidenceInvalid(f"a checkpoint that this key has not signed: {error}") from None


def _fields(evidence: Evidence) -> list[object]:
    match evidence:
        case Spent(key, first, second):
            return [key, first.nonce, _under_nonce(first), _under_nonce(second)]
        case SameId(first, second):
            return [_packed(first.payment)[0], _under_id(first), _under_id(second)]
        case Collision(first, second):
            return [_proven(first), _proven(second)]
        case Receipted(sent, receiver, receipt):
            return [sent.key, _to_known(sent.payment), receiver, receipt_fields(receipt)]
        case Forked(key, one, other, root, proof):
            return [key, one, other, root, list(proof)]
        case EpochBegun(key, signed, size, root, seen, why):
            return [key, signed, size, root, seen, why]


def _packed(payment: Transaction) -> list[object]:
    return transaction_fields(payment)


def _under_nonce(payment: Transaction) -> list[object]:
    """``[id, to, amount, timestamp, signature]``: key and nonce stand beside it."""
    name, _, to, amount, _, timestamp, signature = _packed(payment)
    return [name, to, amount, timestamp, signature]


def _under_id(signed: Signed) -> list[object]:
    """``[key, to, amount, nonce, timestamp, signature]``"""
    return [signed.key, *_packed(signed.payment)[2:]]


def _to_known(payment: Transaction) -> list[object]:
    """``[id, amount, nonce, timestamp, signature]``"""
    name, _, _, *rest = _packed(payment)
    return [name, *rest]


def _proven(proven: Proven) -> list[object]:
    """``[key, [1, id, to, amount, nonce, time, signature]]``; of a snapshot ``[3, root, time, count, …]``"""
    if isinstance(proven.statement, Snapshot):
        return [proven.key, [Kind.SNAPSHOT, *snapshot_fields(proven.statement)]]
    name, _, *rest = _packed(proven.statement)
    return [proven.key, [Kind.TRANSACTION, name, *rest]]


def _read(number: int, fields: list[object]) -> Evidence:
    match number, fields:
        case EvidenceKind.DOUBLE_SPEND | EvidenceKind.DUPLICATE_NONCE, [key, nonce, first, second]:
            said = _key(key)
            return Spent(said, _spent(said, nonce, first), _spent(said, nonce, second))
        case EvidenceKind.DUPLICATE_ID, [name, first, second]:
            return SameId(_same_id(name, first), _same_id(name, second))
        case EvidenceKind.KEY_COLLISION, [first, second]:
            return Collision(_read_proven(first), _read_proven(second))
        case EvidenceKind.RECEIPT, [sender, payment, receiver, receipt]:
            return _read_receipted(_key(sender), payment, _key(receiver), receipt)
        case EvidenceKind.FORK, [key, first, second, root, proof]:
            return _read_fork(key, first, second, root, proof)
        case EvidenceKind.EPOCH, [key, signed, size, root, seen, why]:
            note, other = _note_or_none(signed), _note_or_none(seen)
            return EpochBegun(_key(key), note, as_uint(size), _hash(root), other, as_text(why, _MAX_WHY))
    raise CborError(f"no evidence of kind {number} with {len(fields)} fields")


def _spent(key: bytes, nonce: object, fields: object) -> Transaction:
    name, to, amount, timestamp, signature = as_array(fields, 5)
    return read_transaction_fields([name, _device(key), to, amount, nonce, timestamp, signature])


def _same_id(name: object, fields: object) -> Signed:
    said, *rest = as_array(fields, 6)
    key = _key(said)
    return Signed(key, read_transaction_fields([name, _device(key), *rest]))


def _read_proven(fields: object) -> Proven:
    said, statement = as_array(fields, 2)
    key = _key(said)
    kind, *rest = as_array(statement, 5, 7)
    if as_uint(kind) == Kind.SNAPSHOT:
        return Proven(key, read_snapshot_fields(rest))
    if kind != Kind.TRANSACTION or len(rest) != 6:
        raise CborError("a key is proven by a transaction or a snapshot")
    return Proven(key, read_transaction_fields([rest[0], _device(key), *rest[1:]]))


def _read_receipted(sender: bytes, payment: object, receiver: bytes, receipt: object) -> Receipted:
    name, *rest = as_array(payment, 5)
    sent = read_transaction_fields([name, _device(sender), _device(receiver), *rest])
    return Receipted(Signed(sender, sent), receiver, read_receipt_fields(receipt))


def _read_fork(key: object, first: object, second: object, root: object, proof: object) -> Forked:
    path = as_array(proof)
    if len(path) > _MAX_PROOF:
        raise CborError(f"a proof of at most {_MAX_PROOF} hashes expected")
    return Forked(_key(key), _note(first), _note(second), _hash(root), tuple([_hash(node) for node in path]))


def _device(key: bytes) -> bytes:
    return bytes.fromhex(device_id(key))


def _key(value: object) -> bytes:
    return as_bytes(value, KEY_BYTES)


def _hash(value: object) -> bytes:
    return as_bytes(value, HASH_BYTES)


def _note(value: object) -> bytes:
    return as_bytes(value, limit=_MAX_NOTE)


def _note_or_none(value: object) -> bytes | None:
    return None if value is None else _note(value)
