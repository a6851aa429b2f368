"""Hand-overs as messages: CBOR for the radios, the wallet's own JSON for HTTP."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence

from simulators.textbook.cbor import encode
from simulators.textbook.objects import object_hash
from simulators.wallets.wallet import HandOver, Payment

HELLO, SNAPSHOT, TRANSACTIONS, STATUS = range(1, 5)


def hello(key: bytes) -> bytes:
    return encode([HELLO, key])


def snapshot_cbor(over: HandOver, base: int = 0) -> bytes:
    """SNAPSHOT: the whole ledger, or what follows its first `base` transactions."""
    rest = [_transaction(payment) for payment in over.payments[base:]]
    base_root = over.prefix_root(base) if base else None
    return encode([SNAPSHOT, over.header.key, over.header.fields(), base, base_root, rest])


def transactions_cbor(key: bytes, payments: Sequence[Payment]) -> bytes:
    """TRANSACTIONS: 1 to 64 of them."""
    return encode([TRANSACTIONS, key, [_transaction(payment) for payment in payments]])


def status(content: bytes) -> bytes:
    return encode([STATUS, content])


def contents(payments: Sequence[Payment]) -> list[bytes]:
    """H of each transaction in a TRANSACTIONS."""
    return [object_hash(payment.transaction.encode()) for payment in payments]


def snapshot_json(over: HandOver, base: int = 0) -> str:
    """The body of POST /v1/snapshots."""
    header = over.header
    snapshot = {
        "root": header.root.hex(),
        "timestamp": header.timestamp,
        "signature": _base64(header.signature),
        "txCount": header.count,
    }
    parts = [f'"publicKey":"{_base64(header.key)}"', f'"snapshot":{json.dumps(snapshot)}']
    if base:
        parts.append(f'"base":{{"count":{base},"root":"{over.prefix_root(base).hex()}"}}')
    return f"{{{','.join(parts)},{_list(over.payments[base:])}}}"


def transactions_json(key: bytes, payments: Sequence[Payment]) -> str:
    """The body of POST /v1/transactions."""
    return f'{{"publicKey":"{_base64(key)}",{_list(payments)}}}'


def _transaction(payment: Payment) -> list[object]:
    fields = payment.transaction.fields()
    return [*fields, payment.receipt.fields()] if payment.receipt else fields


def _list(payments: Sequence[Payment]) -> str:
    return f'"transactions":[{",".join(map(_transaction_json, payments))}]'


def _transaction_json(payment: Payment) -> str:
    one, receipt = payment.transaction, payment.receipt
    rest: dict[str, object] = {
        "id": one.id,
        "from": one.sender,
        "to": one.receiver,
        "nonce": one.nonce,
        "timestamp": one.timestamp,
        "signature": _base64(one.signature),
    }
    if payment.metadata:
        rest["metadata"] = dict(payment.metadata)
    if receipt:
        rest["receipt"] = {
            "txId": one.id,
            "receiverSignature": _base64(receipt.signature),
            "timestamp": receipt.timestamp,
            "status": receipt.status,
        }
    # The amount stands as JavaScript prints it, which Python would not always do (1e-07).
    return f'{{"amount":{one.amount},{json.dumps(rest)[1:]}'


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
