"""Packed text messages against their golden bytes, and every payment of the wallets' own ledgers."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.gsm_at.alphabet import encode_text
from gateway.core.message.uplink import decode_uplink
from gateway.core.sms.packed import PackedReceipt
from gateway.core.sms.reading import Carried, read, transactions_message
from gateway.core.wallet.signature import verifies
from gateway.core.wallet.transaction import Transaction
from gateway.core.wallet.upload import TransactionsUpload
from simulators.textbook.objects import Transaction as Signed
from simulators.textbook.objects import transaction_of
from simulators.wallets.sms import (
    as_data,
    as_text,
    checkpoint_note,
    opened,
    payment_body,
    payment_of,
    promise_of,
)

HERE = Path(__file__).parent
GOLDEN: dict[str, Any] = json.loads((HERE / "sms_wallet/messages.json").read_text())
LEDGERS = (HERE / "wallet/wallet.jsonl").read_text().splitlines()
MAX_LITERAL = 12


def payments() -> Iterator[tuple[Signed, bytes]]:
    """Every payment in its grammar and its usual names, once, with its sender's key."""
    keys = {
        one["device_id"]: bytes.fromhex(one["public_key_hex"]) for one in json.loads(LEDGERS[0])["devices"]
    }
    seen = set()
    for line in LEDGERS[1:]:
        for row in json.loads(line, parse_int=str, parse_float=str)["transactions"]:
            texts = [str(row[name]) for name in ("id", "from", "to", "amount", "nonce", "timestamp")]
            one = transaction_of(texts, row["signature"])
            usual = isinstance(one, Signed) and (len(one.id), len(one.sender), len(one.receiver)) == (
                32,
                16,
                16,
            )
            if isinstance(one, Signed) and usual and one not in seen:
                seen.add(one)
                yield one, keys.get(one.sender, b"")


def test_every_payment_with_a_literal_of_twelve_characters_fits_one_message_with_its_signature() -> None:
    fitting = [(one, key) for one, key in payments() if len(one.amount) <= MAX_LITERAL]
    assert len(fitting) > 100
    verified = 0
    for one, key in fitting:
        body = payment_body(one)
        assert len(body) <= 118
        data, text = as_data("P1", body), as_text("P1", body)
        assert len(data) <= 140
        assert len(encode_text(text)) <= 160
        for payload in (data, text.encode()):
            back = read(payload)
            assert isinstance(back, Transaction)
            assert (back.signed_text, back.signature) == (one.text(), one.signature)
            long = decode_uplink(transactions_message(back), max_bytes=1 << 10)
            assert isinstance(long, TransactionsUpload)
            assert long.items[0].transaction == back
        assert payment_of(body) == one
        verified += bool(key) and verifies(key, one.signature, one.text())
    assert verified > 100


@pytest.mark.parametrize("case", GOLDEN["payments"], ids=lambda case: case["name"])
def test_a_golden_payment_has_its_bytes_in_both_encodings(case: dict[str, Any]) -> None:
    texts = case["signed_text"].split(":")
    one = transaction_of(texts, case["signature"])
    assert isinstance(one, Signed)
    assert as_data("P1", payment_body(one)).hex() == case["data"]
    assert as_text("P1", payment_body(one)) == case["text"]
    for payload in (bytes.fromhex(case["data"]), case["text"].encode()):
        back = read(payload)
        assert isinstance(back, Transaction)
        assert back.signed_text.decode() == case["signed_text"]
        assert back.signature == b64decode(case["signature"])
        assert transactions_message(back).hex() == case["transactions"]


@pytest.mark.parametrize("case", GOLDEN["receipts"], ids=lambda case: case["name"])
def test_a_golden_receipt_has_its_bytes_in_both_encodings(case: dict[str, Any]) -> None:
    for payload in (bytes.fromhex(case["data"]), case["text"].encode()):
        back = read(payload)
        assert isinstance(back, PackedReceipt)
        signed = back.receipt.signed_text(back.transaction_id).decode()
        assert (signed, back.receipt.signature.hex()) == (case["signed_text"], case["signature"])


def test_the_golden_answers_are_what_the_wallet_makes_of_them() -> None:
    for case in GOLDEN["promises"]:
        for message in (bytes.fromhex(case["data"]), case["text"]):
            mark, body = opened(message)
            assert mark == "Q1"
            assert promise_of(body).message.hex() == case["promise"]
            assert promise_of(body).unverified == case["unverified"]
    hello = GOLDEN["hello"]
    assert read(bytes.fromhex(hello["data"])) == read(hello["text"].encode())
    assert isinstance(read(hello["text"].encode()), Carried)


def test_the_golden_checkpoint_is_the_note_that_its_gateway_signed() -> None:
    case = GOLDEN["checkpoint"]
    assert len(case["text"]) <= 160
    assert checkpoint_note(case["text"], bytes.fromhex(case["key"])).decode() == case["note"]
