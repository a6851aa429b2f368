"""Uploads made with the wallet's own libraries, and the roots of its tree, against our rules."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gateway.core import cbor
from gateway.core.message.uplink import decode_uplink
from gateway.core.message.wallet_json import decode_snapshot
from gateway.core.refusal import Refused
from gateway.core.wallet.objects import receipt_fields, transaction_fields
from gateway.core.wallet.snapshot import device_id
from gateway.core.wallet.transaction import Transaction
from gateway.core.wallet.tree import WalletFrontier, wallet_root
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload
from gateway.core.wallet.verify import Base, DeviceKey, Standing, Verdict, verify_snapshot

FOLDER = Path(__file__).parent / "wallet"
LIMIT = 1 << 20

_LINES = (FOLDER / "wallet.jsonl").read_text().splitlines()
DEVICES = [bytes.fromhex(device["public_key_hex"]) for device in json.loads(_LINES[0])["devices"]]
CASES: list[dict[str, Any]] = [json.loads(line) | {"line": line} for line in _LINES[1:]]
ROOTS: dict[str, Any] = json.loads((FOLDER / "roots.json").read_text())

by_name = pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])


def in_json(case: dict[str, Any]) -> bytes:
    """The envelope, with the row's own bytes inside: encoding them again would touch the numbers."""
    key = b64encode(bytes.fromhex(case["device"]["public_key_hex"])).decode()
    row = case["line"]
    rest = row[row.index('"snapshot"') :]
    return f'{{"publicKey":"{key}",{rest}'.encode()


def in_cbor(upload: SnapshotUpload) -> bytes:
    snapshot = upload.snapshot
    head = [snapshot.root, snapshot.timestamp_ms, snapshot.count, snapshot.signature]
    return cbor.encode(
        [2, upload.key, head, upload.base_count, upload.base_root, [item_fields(i) for i in upload.items]]
    )


def item_fields(item: LedgerItem) -> list[object]:
    assert isinstance(item.transaction, Transaction)
    fields = transaction_fields(item.transaction)
    return [*fields, receipt_fields(item.receipt)] if item.receipt else fields


def candidates(name: str) -> list[DeviceKey]:
    return [DeviceKey(key, proven=False) for key in DEVICES if device_id(key) == name]


def judged(upload: SnapshotUpload, base: Base | None = None) -> Verdict:
    return verify_snapshot(upload, known=lambda _: None, keys=candidates, base=base)


@by_name
def test_an_upload_in_the_wallets_json_is_answered_as_expected(case: dict[str, Any]) -> None:
    expect = case["expect"]
    if not expect["accept"]:
        with pytest.raises(Refused) as caught:
            judged(decode_snapshot(in_json(case), max_bytes=LIMIT))
        assert caught.value.code.word in expect["reasons"]
        return
    verdict = judged(decode_snapshot(in_json(case), max_bytes=LIMIT))
    assert [item.identity.hex() for item in verdict.items] == case["leaf_hashes"]
    assert {item.standing for item in verdict.items} <= {Standing.VERIFIED}
    assert {item.receipt_standing for item in verdict.items} <= {Standing.VERIFIED, None}
    receipts = ["receipt" in transaction for transaction in case["transactions"]]
    assert [item.item.receipt is not None for item in verdict.items] == receipts


@by_name
def test_the_same_upload_in_cbor_is_answered_the_same(case: dict[str, Any]) -> None:
    try:
        upload = decode_snapshot(in_json(case), max_bytes=LIMIT)
    except Refused:
        return  # a signature of another length has no place in CBOR
    carried = decode_uplink(in_cbor(upload), max_bytes=LIMIT)
    assert carried == upload


@by_name
def test_an_upload_of_the_last_places_is_answered_as_the_whole(case: dict[str, Any]) -> None:
    if not case["expect"]["accept"]:
        return
    whole = decode_snapshot(in_json(case), max_bytes=LIMIT)
    identities = [item.transaction.identity for item in whole.items]
    for held in range(1, len(identities) + 1):
        frontier = WalletFrontier().extended(identities[:held])
        rest = SnapshotUpload(whole.key, whole.snapshot, whole.items[held:], held, frontier.root())
        verdict = judged(rest, Base(frontier, set(identities[:held]).__contains__))
        assert verdict.frontier == WalletFrontier().extended(identities)


def leaves(transactions: list[dict[str, str]]) -> list[bytes]:
    names = ("id", "from", "to", "amount", "nonce", "timestamp")
    return [sha256(":".join(tx[name] for name in names).encode()).digest() for tx in transactions]


@pytest.mark.parametrize("case", ROOTS["roots"], ids=[case["id"] for case in ROOTS["roots"]])
def test_a_ledgers_root_is_the_wallets(case: dict[str, Any]) -> None:
    identities = leaves(case["txs"])
    assert len(identities) == case["txCount"]
    assert wallet_root(identities).hex() == case["root"]
    assert WalletFrontier().extended(identities).root().hex() == case["root"]


@pytest.mark.parametrize("case", ROOTS["collisions"], ids=[case["desc"] for case in ROOTS["collisions"]])
def test_two_ledgers_share_a_root_where_the_wallets_tree_lets_them(case: dict[str, Any]) -> None:
    roots = [wallet_root(leaves(case[side])).hex() for side in "ab"]
    assert roots == [case["rootA"], case["rootB"]]
    assert (roots[0] == roots[1]) == case["equal"]


def test_interior_nodes_can_pose_as_leaves() -> None:
    case = ROOTS["interior"]
    assert wallet_root([bytes.fromhex(leaf) for leaf in case["leaf_hashes4"]]).hex() == case["root4"]
    assert wallet_root([bytes.fromhex(node) for node in case["interior2"]]).hex() == case["root2"]
