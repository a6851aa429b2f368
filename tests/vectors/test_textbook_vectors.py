"""The simulators' own definitions against the recorded vectors."""

from __future__ import annotations

import json
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.textbook import cbor, merkle, notes
from simulators.textbook.cbor import Malformed
from simulators.textbook.ledger import receipt_text, snapshot_text, wallet_root
from simulators.textbook.lists import rebuild
from simulators.textbook.numbers import number_to_string
from simulators.textbook.objects import (
    Header,
    Key,
    Raw,
    Receipt,
    Transaction,
    parse_object,
    transaction_of,
)
from simulators.textbook.signing import verifies

VECTORS = Path(__file__).parent
MERKLE: dict[str, Any] = json.loads((VECTORS / "merkle/rfc6962.json").read_text())
NOTES = json.loads((VECTORS / "merkle/checkpoints.json").read_text())["cases"]
CHECKPOINTS = [case for case in NOTES if case["origin"]]  # the other is a note without a tree head
LEDGERS = [json.loads(line) for line in (VECTORS / "wallet/wallet.jsonl").read_text().splitlines()][1:]
ROOTS = json.loads((VECTORS / "wallet/roots.json").read_text())["roots"]


def _leaves(base: str, n: int) -> list[bytes]:
    data = (
        [bytes.fromhex(item) for item in MERKLE["std8"][:n]]
        if base == "std8"
        else [b"leaf-%d" % i for i in range(n)]
    )
    return [merkle.leaf_hash(item) for item in data]


def test_tree_roots_and_the_compact_range_agree_with_the_vectors() -> None:
    for case in MERKLE["roots"]:
        leaves = _leaves(case["leaves"], case["n"])
        grown = merkle.CompactRange()
        for leaf in leaves:
            grown = grown.append(leaf)
        assert merkle.root_of(leaves).hex() == grown.root().hex() == case["root"]


def test_inclusion_proofs_lead_to_the_root_exactly_where_the_vectors_say() -> None:
    for case in MERKLE["inclusion"]:
        path = [bytes.fromhex(node) for node in case["proof"]]
        leaf = bytes.fromhex(case["leaf_hash"])
        valid = len(leaf) == 32 and merkle.root_from_path(leaf, case["index"], case["size"], path) == (
            bytes.fromhex(case["root"])
        )
        assert valid == case["valid"], case["desc"]


@given(st.integers(1, 40), st.data())
def test_every_audit_path_leads_back_to_the_root(n: int, data: st.DataObject) -> None:
    leaves = _leaves("leaf-%d", n)
    index = data.draw(st.integers(0, n - 1))
    path = merkle.audit_path(index, leaves)
    assert merkle.root_from_path(leaves[index], index, n, path) == merkle.root_of(leaves)


@pytest.mark.parametrize("case", CHECKPOINTS, ids=lambda case: case["desc"])
def test_notes_verify_exactly_where_the_vectors_say(case: dict[str, Any]) -> None:
    note = b64decode(case["note_b64"])
    keys = [notes.parse_vkey(vkey) for vkey in case["vkeys"]]
    assert _verifies(note, keys, case["origin"]) == case["valid"]


def _verifies(note: bytes, keys: list[notes.NoteKey], origin: str) -> bool:
    """Some known key has signed, and no line of a known key is wrong."""
    try:
        checkpoint, lines = notes.parse(note)
        present = [key for key in keys if any((key.name, key.id) == line[:2] for line in lines)]
        return bool(present) and notes.verified(note, *present) == checkpoint and checkpoint.origin == origin
    except Malformed:
        return False


def test_wallet_roots_agree_with_the_vectors() -> None:
    for case in ROOTS:
        if case["kind"] == "root":
            fields = ("id", "from", "to", "amount", "nonce", "timestamp")
            identities = [Raw(":".join(tx[name] for name in fields), "").identity for tx in case["txs"]]
            assert wallet_root(identities).hex() == case["root"], case["id"]


@pytest.mark.parametrize(
    "row", [row for row in LEDGERS if row["expect"]["accept"]], ids=lambda row: row["name"]
)
def test_a_wallets_ledger_has_the_leaves_root_and_signatures_we_compute(row: dict[str, Any]) -> None:
    keys = {
        other["device"]["device_id"]: bytes.fromhex(other["device"]["public_key_hex"]) for other in LEDGERS
    }
    transactions = [_transaction(tx) for tx in row["transactions"]]
    assert [tx.identity.hex() for tx in transactions] == row["leaf_hashes"]
    snapshot, root = row["snapshot"], wallet_root([tx.identity for tx in transactions])
    assert root.hex() == snapshot["root"]
    signed = snapshot_text(root, snapshot["timestamp"], snapshot["txCount"])
    key = bytes.fromhex(row["device"]["public_key_hex"])
    assert verifies(key, signed, b64decode(snapshot["signature"]))
    for raw, tx in zip(row["transactions"], transactions, strict=True):
        assert verifies(keys[tx.sender], tx.text(), tx.signature)
        receipt = raw.get("receipt")
        if receipt:
            signed = receipt_text(tx.id, receipt["status"], receipt["timestamp"])
            assert verifies(keys[tx.receiver], signed, b64decode(receipt["receiverSignature"]))
        assert parse_object(tx.encode()) == tx


def _transaction(tx: dict[str, Any]) -> Transaction:
    amount = number_to_string(tx["amount"])
    texts = [tx["id"], tx["from"], tx["to"], amount, str(tx["nonce"]), str(tx["timestamp"])]
    parsed = transaction_of(texts, tx["signature"])
    assert isinstance(parsed, Transaction)
    return parsed


@pytest.mark.parametrize(
    "thing",
    [
        Raw("a:b", "no signature"),
        Receipt(bytes(32), "accepted", 5, bytes(64)),
        Header(bytes(32), bytes(32), 1, 2, bytes(64), bytes(32)),
        Key(bytes(32)),
        Transaction("tx-1", "alice", "00" * 8, "1e-7", 0, 1, bytes(64)),
    ],
)
def test_objects_come_back_from_their_encoding(thing: Raw | Receipt | Header | Key | Transaction) -> None:
    assert parse_object(thing.encode()) == thing


@pytest.mark.parametrize(
    "array",
    [
        [],
        [True, bytes(32)],
        [5, bytes(31)],
        [7, bytes(32)],
        [1, "00" * 16, b"12345678", b"12345678", "1", 0, 0, bytes(64)],
        [1, "a:b", b"12345678", b"12345678", "1", 0, 0, bytes(64)],
        [1, bytes(16), b"12345678", b"12345678", "1.0", 0, 0, bytes(64)],
        [1, bytes(16), b"12345678", b"12345678", "1", 1 << 53, 0, bytes(64)],
        [6, f"{'00' * 16}:{'00' * 8}:{'00' * 8}:1:0:0", "A" * 86 + "=="],
        [2, bytes(32), "a:b", 0, bytes(64)],
    ],
)
def test_an_object_out_of_its_grammar_is_malformed(array: list[object]) -> None:
    with pytest.raises(Malformed):
        parse_object(cbor.encode(array))


@pytest.mark.parametrize(
    "data",
    [
        "",
        "0101",
        "1800",
        "5f4101ff",
        "f90000",
        "c24101",
        "c5821a7fffffff03",
        "d81c80",
        "d81d00",
        "a1f401",
        "81" * 50,
    ],
)
def test_cbor_that_is_not_deterministic_and_plain_is_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex(data))


@given(st.binary(max_size=60))
def test_no_bytes_break_the_decoders(data: bytes) -> None:
    for read in (cbor.decode, parse_object, notes.parse):
        try:
            read(data)
        except Malformed:
            continue


def by_ordinal(ordinal: int) -> bytes:
    return bytes([ordinal]) * 32


def test_a_list_is_rebuilt_from_all_operations() -> None:
    base, new = [b"a" * 32, b"b" * 32, b"c" * 32], [b"n" * 32, b"m" * 32]
    # SEEK 1, COPY the rest, NEW 1, ORD 1: 3 before 12, RAW 1, SEEK 0, COPY 1; then what is new and left
    ops = bytes([12, 0, 9, 10, 2, 11]) + b"r" * 32 + bytes([4, 8])
    assert rebuild(ops, base, new, by_ordinal, 12, 7) == [
        b"b" * 32,
        b"c" * 32,
        b"n" * 32,
        b"\x09" * 32,
        b"r" * 32,
        b"a" * 32,
        b"m" * 32,
    ]


@pytest.mark.parametrize(
    "ops",
    ["20", "2400", "1208", "1a02", "0bff", "05", "80", "8800", "0909", "0a0c", "0008", "00120001", "000400"],
)
def test_a_list_that_asks_for_what_is_not_there_is_malformed(ops: str) -> None:
    with pytest.raises(Malformed):
        rebuild(bytes.fromhex(ops), [bytes(32)] * 3, [bytes(32)], by_ordinal, 12, 4)
