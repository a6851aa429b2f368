"""Evidence objects (kind 4), docs/protocol/evidence.md: read, verified and made by their definition."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.ledger import device_id, receipt_text, snapshot_text
from simulators.textbook.merkle import proves_consistency
from simulators.textbook.notes import NoteKey, parse, verified
from simulators.textbook.objects import (
    EVIDENCE,
    RECEIPT,
    SNAPSHOT,
    TRANSACTION,
    Transaction,
    parse_object,
)
from simulators.textbook.signing import verifies

DOUBLE_SPEND, DUPLICATE_NONCE, DUPLICATE_ID, KEY_COLLISION, RECEIPTED, FORK, EPOCH = range(1, 8)
MAX_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Evidence:
    """`key` signed the `payments` (of two keys in DUPLICATE_ID, where it is None)."""

    kind: int
    key: bytes | None = None
    payments: tuple[Transaction, ...] = ()


def spent(key: bytes, one: Transaction, other: Transaction) -> bytes:
    """The object of two payments under one nonce."""
    first, second = sorted((one, other), key=lambda payment: payment.identity)
    kind = DUPLICATE_NONCE if first.receiver == second.receiver else DOUBLE_SPEND
    return encode([EVIDENCE, kind, key, first.nonce, _under_nonce(first), _under_nonce(second)])


def same_id(one: tuple[bytes, Transaction], other: tuple[bytes, Transaction]) -> bytes:
    """The object of two texts under one id, each with the key that signed it."""
    first, second = sorted((one, other), key=lambda signed: signed[1].identity)
    rows = [[key, *payment.fields()[2:]] for key, payment in (first, second)]
    return encode([EVIDENCE, DUPLICATE_ID, first[1].fields()[0], *rows])


def verify(data: bytes) -> Evidence:
    """Raises `Malformed` where these bytes prove nothing."""
    if len(data) > MAX_BYTES:
        raise Malformed("evidence that is too long")
    whole = array(decode(data))
    kind, number, *fields = whole if len(whole) > 1 else [None, None]
    if kind != EVIDENCE or type(number) is not int or number not in _READERS:
        raise Malformed("no evidence")
    length, reader = _READERS[number]
    if len(fields) != length:
        raise Malformed(f"evidence {number} has {length} fields")
    return reader(number, fields)


def _spent(number: int, fields: Sequence[object]) -> Evidence:
    key, nonce = octets(fields[0], 32), integer(fields[1])
    payments = []
    for row in fields[2:]:
        name, to, amount, time, signature = array(row, 5)
        payments.append(_payment(key, name, to, amount, nonce, time, signature))
    first, second = payments
    _require(first.identity < second.identity, "two payments, in the order of their identities")
    same = first.receiver == second.receiver
    _require(same == (number == DUPLICATE_NONCE), "receivers that fit the kind")
    return Evidence(number, key, (first, second))


def _same_id(number: int, fields: Sequence[object]) -> Evidence:
    payments = []
    for row in fields[1:]:
        key, *rest = array(row, 6)
        payments.append(_payment(octets(key, 32), fields[0], *rest))
    first, second = payments
    _require(first.identity < second.identity, "two payments, in the order of their identities")
    return Evidence(number, None, (first, second))


def _collision(number: int, fields: Sequence[object]) -> Evidence:
    one, other = (_proven(row) for row in fields)
    _require(one < other and device_id(one) == device_id(other), "two keys of one device id, in order")
    return Evidence(number, one)


def _proven(row: object) -> bytes:
    said, statement = array(row, 2)
    key = octets(said, 32)
    kind, *rest = array(statement)
    if kind == TRANSACTION and len(rest) == 6:
        _payment(key, *rest)
    elif kind == SNAPSHOT and len(rest) == 4:
        root, time, count, signature = rest
        signed = snapshot_text(octets(root, 32), integer(time), integer(count))
        _require(verifies(key, signed, octets(signature, 64)), "a snapshot that verifies")
    else:
        raise Malformed("a key is proven by a payment or a snapshot")
    return key


def _receipted(number: int, fields: Sequence[object]) -> Evidence:
    sender, receiver = octets(fields[0], 32), octets(fields[2], 32)
    name, amount, nonce, time, signature = array(fields[1], 5)
    to = bytes.fromhex(device_id(receiver))
    payment = _payment(sender, name, to, amount, nonce, time, signature)
    receipt = parse_object(encode([RECEIPT, payment.identity, *array(fields[3], 3)]))
    status, at, proof = array(fields[3], 3)
    signed = receipt_text(payment.id, text(status, 32), integer(at))
    _require(bool(receipt) and verifies(receiver, signed, octets(proof, 64)), "a receipt that verifies")
    return Evidence(number, sender, (payment,))


def _fork(number: int, fields: Sequence[object]) -> Evidence:
    key, root = octets(fields[0], 32), octets(fields[3], 32)
    heads = []
    for field in fields[1:3]:
        note = octets(field)
        heads.append(verified(note, NoteKey(parse(note)[0].origin, key)))
    first, second = heads
    _require(
        first.origin == second.origin and 0 < first.size <= second.size, "two heads of one log, in order"
    )
    proof = [octets(node, 32) for node in array(fields[4])]
    _require(root != first.root, "heads that cannot both be")
    _require(
        proves_consistency(first.size, second.size, proof, root, second.root), "a proof that leads there"
    )
    return Evidence(number, key)


def _epoch(number: int, fields: Sequence[object]) -> Evidence:
    key = octets(fields[0], 32)
    for field in (fields[1], fields[4]):
        if field is not None:
            note = octets(field)
            verified(note, NoteKey(parse(note)[0].origin, key))
    integer(fields[2])
    octets(fields[3], 32)
    text(fields[5], 32)
    return Evidence(number, key)


def _payment(key: bytes, name: object, to: object, *rest: object) -> Transaction:
    sender = bytes.fromhex(device_id(key))
    payment = parse_object(encode([TRANSACTION, name, sender, to, *rest]))
    if not isinstance(payment, Transaction) or not verifies(key, payment.text(), payment.signature):
        raise Malformed("a payment that verifies expected")
    return payment


def _under_nonce(payment: Transaction) -> list[object]:
    name, _, to, amount, _, time, signature = payment.fields()
    return [name, to, amount, time, signature]


def _require(true: bool, what: str) -> None:
    if not true:
        raise Malformed(f"{what} expected")


_READERS = {
    DOUBLE_SPEND: (4, _spent),
    DUPLICATE_NONCE: (4, _spent),
    DUPLICATE_ID: (3, _same_id),
    KEY_COLLISION: (2, _collision),
    RECEIPTED: (4, _receipted),
    FORK: (5, _fork),
    EPOCH: (6, _epoch),
}
