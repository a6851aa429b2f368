"""The simulated wallets: ledgers, uploads, and what they verify offline."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import replace
from hashlib import sha256

import pytest
from nacl.signing import SigningKey

from simulators.textbook import notes
from simulators.textbook.cbor import Malformed, decode, encode
from simulators.textbook.ledger import receipt_text
from simulators.textbook.merkle import audit_path, leaf_hash, root_of
from simulators.textbook.objects import object_hash, transaction_of
from simulators.textbook.signing import PROMISE, labelled, sign, verifies
from simulators.wallets import Season, Wallet
from simulators.wallets.receipts import verify_inclusion, verify_promise, verify_promise_json
from simulators.wallets.uploads import (
    contents,
    snapshot_cbor,
    snapshot_json,
    transactions_cbor,
    transactions_json,
)

NOW = 1_790_000_000_000
GATEWAY = SigningKey(b"g" * 32)
GATEWAY_KEY = bytes(GATEWAY.verify_key)
ORIGIN = "offgrid/gw-1/1"


def _pair() -> tuple[Wallet, Wallet]:
    payer, payee = Wallet(b"a" * 32), Wallet(b"b" * 32)
    for amount in (5.0, 0.1 + 0.2, 1e-7, 1e21):
        payer.enter(payee.accept(payer.pay(payee.device_id, amount, NOW, {"offline": True}), NOW + 1))
    payer.pay(payee.device_id, 9, NOW)
    return payer, payee


def test_a_payment_stands_in_both_ledgers_with_the_receivers_receipt() -> None:
    payer, payee = _pair()
    assert [one.transaction.amount for one in payer.ledger] == [
        "5",
        "0.30000000000000004",
        "1e-7",
        "1e+21",
        "9",
    ]
    assert payer.ledger[:4] == payee.ledger
    one = payee.ledger[0]
    assert one.receipt and one.receipt.identity == one.transaction.identity
    signed = receipt_text(one.transaction.id, one.receipt.status, one.receipt.timestamp)
    assert verifies(payee.key, signed, one.receipt.signature)
    assert verifies(payer.key, one.transaction.text(), one.transaction.signature)


def test_a_used_nonce_signs_again_under_another_id() -> None:
    wallet = Wallet(b"a" * 32)
    first = wallet.pay("00" * 8, 5, NOW).transaction
    again = wallet.signed("11" * 8, 5, first.nonce, NOW, b"again")
    assert (again.nonce, again.sender) == (first.nonce, first.sender)
    assert again.id != first.id and verifies(wallet.key, again.text(), again.signature)


def test_a_snapshot_is_signed_over_the_wallets_own_root() -> None:
    over = _pair()[0].hand_over(NOW)
    assert over.header.count == 5 and over.prefix_root(5) == over.header.root
    assert verifies(over.header.key, over.header.text(), over.header.signature)
    assert over.content == object_hash(over.header.encode())


def test_json_and_cbor_carry_the_same_ledger_whole_and_incremental() -> None:
    over = _pair()[0].hand_over(NOW)
    for base in (0, 3):
        told = json.loads(snapshot_json(over, base), parse_float=str, parse_int=str)
        message = decode(snapshot_cbor(over, base))
        assert isinstance(message, list)
        assert b64decode(told["publicKey"]) == message[1]
        assert told.get("base", {}).get("root") == (message[4] and message[4].hex())
        assert len(told["transactions"]) == len(message[5]) == 5 - base
        for one, payment in zip(told["transactions"], over.payments[base:], strict=True):
            texts = [one[name] for name in ("id", "from", "to", "amount", "nonce", "timestamp")]
            assert transaction_of(texts, one["signature"]) == payment.transaction
    receipted = json.loads(snapshot_json(over))["transactions"][0]
    assert receipted["receipt"]["txId"] == receipted["id"] and receipted["metadata"] == {"offline": True}


def test_loose_transactions_are_told_in_both_forms() -> None:
    wallet = _pair()[0]
    message = decode(transactions_cbor(wallet.key, wallet.ledger[:2]))
    assert isinstance(message, list) and [len(one) for one in message[2]] == [8, 8]
    assert len(json.loads(transactions_json(wallet.key, wallet.ledger[:2]))["transactions"]) == 2


def _leaf(index: int, content: bytes) -> bytes:
    return leaf_hash(encode([ORIGIN, index, NOW, 2, content]))


def _promise(items: list[list[object]], leaves: list[bytes], origin: object = ORIGIN) -> bytes:
    signature = sign(GATEWAY, labelled(PROMISE, root_of(leaves)))
    return encode([16, origin, signature, items])


def test_a_promise_is_verified_offline_alone_in_a_batch_and_by_a_hint_of_its_origin() -> None:
    over = _pair()[0].hand_over(NOW)
    own = _leaf(7, over.content)
    alone = _promise([[7, NOW, 2, None, 1]], [own])
    other = _leaf(8, b"x" * 32)
    batch = _promise([[8, NOW, 2, other, 1], [7, NOW, 2, own, 1]], [other, own])
    hint = _promise([[7, NOW, 2, None, 1]], [own], sha256(ORIGIN.encode()).digest()[:4])
    for message in (alone, batch, hint):
        (promised,) = verify_promise(message, GATEWAY_KEY, [over.content], ["offgrid/gw-0/1", ORIGIN])
        assert (promised.origin, promised.index, promised.content) == (ORIGIN, 7, over.content)
    assert len(alone) <= 95 + len(ORIGIN)
    assert verify_promise(batch, GATEWAY_KEY, [b"y" * 32]) == []


def test_a_promise_for_many_transactions_names_them_in_order() -> None:
    wallet = _pair()[0]
    sent = contents(wallet.ledger[:3])
    leaves = [_leaf(3, sent[0]), _leaf(3, sent[1]), _leaf(9, sent[2])]
    message = _promise([[3, NOW, 2, None, 2], [9, NOW, 2, None, 1]], leaves)
    assert [one.index for one in verify_promise(message, GATEWAY_KEY, sent)] == [3, 3, 9]
    with pytest.raises(Malformed):
        verify_promise(message, GATEWAY_KEY, sent[:2])
    with pytest.raises(Malformed):
        verify_promise(message, GATEWAY_KEY, [sent[1], sent[0], sent[2]])


def test_a_promise_over_http_is_verified_like_any_other() -> None:
    content = _pair()[0].hand_over(NOW).content
    signature = sign(GATEWAY, labelled(PROMISE, _leaf(0, content)))
    told: dict[str, object] = {"origin": ORIGIN, "index": 0, "receivedAt": NOW, "quality": 2, "leaves": 1}
    told["signature"] = b64encode(signature).decode()
    assert verify_promise_json(told, GATEWAY_KEY, [content])[0].index == 0
    for wrong in ({"index": 1}, {"quality": 3}, {"leaves": 2}, {"origin": "offgrid/gw-2/1"}):
        with pytest.raises(Malformed):
            verify_promise_json(told | wrong, GATEWAY_KEY, [content])


def test_an_inclusion_is_verified_offline_and_every_broken_part_is_seen() -> None:
    coordinator = SigningKey(b"c" * 32)
    key = notes.NoteKey("coordinator", bytes(coordinator.verify_key), notes.COSIGNATURE)
    objects = [b"o" * 32, b"p" * 32, b"q" * 32]
    object_leaves = [leaf_hash(one) for one in objects]
    entry = encode([1, 1, root_of(object_leaves), 3, NOW, 2, "lora0"])
    leaves = [leaf_hash(b"%d" % i) for i in range(6)]
    leaves[4] = leaf_hash(entry)
    head = notes.Checkpoint(ORIGIN, 6, root_of(leaves))
    note = notes.cosign(notes.sign_checkpoint(head, GATEWAY), "coordinator", coordinator, NOW // 1000)
    parts = [20, ORIGIN, 4, entry, 1, audit_path(1, object_leaves), audit_path(4, leaves), note]
    included = verify_inclusion(encode(parts), GATEWAY_KEY, key, objects[1])
    assert (included.index, included.size) == (4, 6)
    wrong = [19, "offgrid/gw-2/1", 3, entry[:-1] + b"1", 0, [], [], notes.sign_checkpoint(head, GATEWAY)]
    for at, value in enumerate(wrong):
        with pytest.raises(Malformed):
            verify_inclusion(encode([*parts[:at], value, *parts[at + 1 :]]), GATEWAY_KEY, key, objects[1])
    with pytest.raises(Malformed):
        verify_inclusion(encode(parts), GATEWAY_KEY, key, objects[2])


def test_a_season_is_the_same_for_the_same_seed_and_every_ledger_is_handed_over_whole() -> None:
    seasons = [Season(5, seed) for seed in (1, 1, 2)]
    played = [[w.hand_over(season.now_ms).content for w in season.play(60, 10)] for season in seasons]
    assert played[0] == played[1] != played[2]
    ledgers = [one for wallet in seasons[0].wallets for one in wallet.ledger]
    assert len(ledgers) == 120
    assert len({one.transaction.identity for one in ledgers}) == 60
    assert any("." in one.transaction.amount for one in ledgers)
    assert any(one.receipt is None for one in ledgers) and any(one.receipt for one in ledgers)


def test_entering_a_payment_again_only_adds_its_receipt() -> None:
    payer, payee = Wallet(b"a" * 32), Wallet(b"b" * 32)
    payment = payer.pay(payee.device_id, 1, NOW)
    receipted = payee.accept(payment, NOW)
    payer.enter(receipted)
    payer.enter(replace(payment, receipt=None))
    assert payer.ledger == [receipted]
