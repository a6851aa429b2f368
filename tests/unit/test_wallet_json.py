"""The wallet's own JSON: literals kept, renderings as JavaScript's, everything else refused."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256

import pytest

from gateway.core.message.wallet_json import decode_snapshot, decode_transactions
from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.transaction import OversizeTransaction, RawTransaction, Receipt, Transaction
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload

SIGNATURE = bytes(range(64))
S = b64encode(SIGNATURE).decode()
KEY = b64encode(bytes(32)).decode()
ROOT = "ab" * 32
SNAPSHOT = f'{{"root":"{ROOT}","timestamp":7,"signature":"{S}","txCount":1}}'
PAYMENT = f'"id":"a","from":"b","to":"c","amount":5,"nonce":0,"timestamp":9,"signature":"{S}"'
RECEIPT = f'"txId":"a","receiverSignature":"{S}","timestamp":11,"status":"accepted"'


def envelope(transactions: str = "[]", *, key: str = KEY, snapshot: str = SNAPSHOT, more: str = "") -> bytes:
    return f'{{"publicKey":"{key}","snapshot":{snapshot},"transactions":{transactions}{more}}}'.encode()


def read(body: bytes) -> SnapshotUpload:
    return decode_snapshot(body, max_bytes=1 << 20)


def only_item(fields: str) -> LedgerItem:
    [item] = read(envelope(f"[{{{fields}}}]")).items
    return item


def refusal_of(body: bytes) -> Refusal:
    with pytest.raises(Refused) as caught:
        read(body)
    return caught.value.code


def test_a_whole_upload_is_read() -> None:
    upload = read(envelope(f"[{{{PAYMENT}}}]"))
    assert upload.items == (LedgerItem(Transaction("a", "b", "c", "5", 0, 9, SIGNATURE)),)
    assert (upload.key, upload.snapshot.root.hex(), upload.snapshot.count) == (bytes(32), ROOT, 1)
    assert (upload.base_count, upload.base_root) == (0, None)


def test_an_incremental_upload_names_its_base() -> None:
    upload = read(envelope(more=f',"base":{{"count":3,"root":"{ROOT}"}}'))
    assert (upload.base_count, upload.base_root) == (3, bytes.fromhex(ROOT))


@pytest.mark.parametrize("literal", ["1e-7", "1e+21", "0.30000000000000004", "123456789012345680000", "12.5"])
def test_an_amounts_literal_is_kept(literal: str) -> None:
    transaction = only_item(PAYMENT.replace('"amount":5', f'"amount":{literal}')).transaction
    assert isinstance(transaction, Transaction)
    assert (transaction.amount, type(transaction.amount)) == (literal, str)


@pytest.mark.parametrize(
    ("seen", "text"),
    [
        ('"amount":5.0', "a:b:c:5.0:0:9"),
        ('"amount":1e3', "a:b:c:1e3:0:9"),
        ('"amount":null', "a:b:c:null:0:9"),
        ('"amount":true', "a:b:c:true:0:9"),
        ('"amount":false', "a:b:c:false:0:9"),
        ('"amounts":5', "a:b:c:undefined:0:9"),
        ('"amount":"a:b"', "a:b:c:a:b:0:9"),
    ],
)
def test_a_field_out_of_its_grammar_stands_as_javascript_renders_it(seen: str, text: str) -> None:
    assert only_item(PAYMENT.replace('"amount":5', seen)).transaction == RawTransaction(text, S)


def test_the_type_of_a_field_is_not_signed_and_does_not_count() -> None:
    assert only_item(PAYMENT.replace(":5", ':"5"').replace(":9", ':"9"')) == only_item(PAYMENT)


@pytest.mark.parametrize("signature", ["null", "7", '""', "[]", '"' + "A" * 129 + '"'])
def test_a_signature_that_is_none_leaves_a_raw_transaction(signature: str) -> None:
    item = only_item(PAYMENT.replace(f'"{S}"', signature))
    assert item.transaction == RawTransaction("a:b:c:5:0:9", "")


def test_an_overlong_field_leaves_the_leaf_only() -> None:
    item = only_item(PAYMENT.replace('"id":"a"', '"id":"' + "x" * 600 + '"'))
    assert item.transaction == OversizeTransaction(sha256(b"x" * 600 + b":b:c:5:0:9").digest())


def test_a_receipt_is_read_with_its_transaction() -> None:
    item = only_item(f'{PAYMENT},"receipt":{{{RECEIPT}}},"metadata":{{"transport":"BLE"}}')
    assert item.receipt == Receipt("accepted", 11, SIGNATURE)


@pytest.mark.parametrize(
    "receipt",
    [
        "null",
        "[]",
        "{}",
        *(
            "{" + RECEIPT.replace(*change) + "}"
            for change in [('"a"', '"other"'), ("11", "1.5"), ("11", '"11"')]
        ),
        *(
            "{" + RECEIPT.replace(*change) + "}"
            for change in [("accepted", "a:b"), (S, S[:-4]), ('"a"', "1")]
        ),
    ],
)
def test_a_receipt_that_binds_nobody_is_not_kept(receipt: str) -> None:
    item = only_item(f'{PAYMENT},"receipt":{receipt}')
    assert isinstance(item.transaction, Transaction)
    assert item.receipt is None


MALFORMED = {
    "nothing": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "not UTF-8": b'{"publicKey":"\xff"}',
    "UTF-16": envelope().decode().encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf" + envelope(),
    "two documents": envelope() + b"{}",
    "NaN": envelope(snapshot=SNAPSHOT.replace(":7", ":NaN")),
    "infinity": envelope(snapshot=SNAPSHOT.replace(":7", ":-Infinity")),
    "nested too deep": b'{"a":' * 100_000,
    "lists nested too deep": envelope("[" * 100_000),
    "a name twice": envelope(more=',"publicKey":1'),
    "a name twice inside": envelope(f'[{{{PAYMENT},"id":"z"}}]'),
    "no key": envelope(key=""),
    "a short key": envelope(key=b64encode(bytes(31)).decode()),
    "a key in another spelling": envelope(key=KEY[:-2] + "B="),
    "a key that is no base64": envelope(key="%" * 44),
    "no snapshot": envelope(snapshot="null"),
    "a root in upper case": envelope(snapshot=SNAPSHOT.replace("ab", "AB")),
    "a short root": envelope(snapshot=SNAPSHOT.replace(ROOT, ROOT[2:])),
    "a negative time": envelope(snapshot=SNAPSHOT.replace(":7", ":-7")),
    "a time as text": envelope(snapshot=SNAPSHOT.replace(":7", ':"7"')),
    "a count with a fraction": envelope(snapshot=SNAPSHOT.replace(":1}", ":1.0}")),
    "a huge count": envelope(snapshot=SNAPSHOT.replace(":1}", ":" + "9" * 5000 + "}")),
    "a cut signature": envelope(snapshot=SNAPSHOT.replace(S, S[:-4])),
    "no list": envelope("null"),
    "a transaction that is a text": envelope('["x"]'),
    "a structure in a field": envelope("[{" + PAYMENT.replace(":5", ":{}") + "}]"),
    "a list in a field": envelope("[{" + PAYMENT.replace(":5", ":[5]") + "}]"),
    "a lone surrogate": envelope("[{" + PAYMENT.replace('"a"', r'"\ud800"') + "}]"),
    "a base of nothing": envelope(more=f',"base":{{"count":0,"root":"{ROOT}"}}'),
    "a base without a root": envelope(more=',"base":{"count":1}'),
    "a base that is a number": envelope(more=',"base":1'),
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
def test_what_is_no_upload_is_malformed(body: bytes) -> None:
    assert refusal_of(body) is Refusal.MALFORMED


def test_a_body_above_the_limit_is_too_large() -> None:
    with pytest.raises(Refused) as caught:
        decode_snapshot(envelope(), max_bytes=len(envelope()) - 1)
    assert caught.value.code is Refusal.TOO_LARGE


def loose(*transactions: str) -> bytes:
    return f'{{"publicKey":"{KEY}","transactions":[{",".join(transactions)}]}}'.encode()


def test_loose_transactions_are_read() -> None:
    upload = decode_transactions(loose(f"{{{PAYMENT}}}"), max_bytes=1 << 20)
    assert (upload.key, len(upload.items)) == (bytes(32), 1)


OVERLONG = json.dumps({"id": "x" * 600})


@pytest.mark.parametrize(
    "body", [loose(), loose(*["{}"] * 65), loose(OVERLONG)], ids=["none", "65", "overlong"]
)
def test_loose_transactions_are_bounded_in_number_and_form(body: bytes) -> None:
    with pytest.raises(Refused) as caught:
        decode_transactions(body, max_bytes=1 << 20)
    assert caught.value.code is Refusal.MALFORMED
