"""Device messages in CBOR: what is read, what is refused by which code, and the answers' bytes."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

import cbor2
import pytest

from gateway.core import cbor
from gateway.core.message import answer_json
from gateway.core.message.downlink import (
    Beacon,
    Downlink,
    Inclusion,
    Loose,
    Nack,
    Promise,
    PromisedEntry,
    Resume,
    beacon_payload,
    encode_downlink,
)
from gateway.core.message.uplink import Hello, StatusQuery, decode_uplink
from gateway.core.refusal import MAX_DETAIL, Refusal, Refused
from gateway.core.wallet.snapshot import Snapshot
from gateway.core.wallet.transaction import OversizeTransaction, RawTransaction, Receipt, Transaction
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload, TransactionsUpload

KEY, ROOT, SIGNATURE = b"k" * 32, b"r" * 32, b"s" * 64
HEAD: list[object] = [ROOT, 7, 1, SIGNATURE]
TX: list[object] = [b"i" * 16, b"f" * 8, b"t" * 8, "5", 0, 9, SIGNATURE]
RECEIPT: list[object] = ["accepted", 11, SIGNATURE]
RAW: list[object] = ["a:b:c:5.0:0:0", "%%%"]

PAYMENT = Transaction("69" * 16, "66" * 8, "74" * 8, "5", 0, 9, SIGNATURE)


def read(message: object) -> object:
    return decode_uplink(cbor.encode(message), max_bytes=1 << 16)


def refusal_of(data: bytes) -> Refusal:
    with pytest.raises(Refused) as caught:
        decode_uplink(data, max_bytes=1 << 16)
    return caught.value.code


def test_each_uplink_message_is_read() -> None:
    snapshot = Snapshot(ROOT, 7, 1, SIGNATURE)
    receipted = LedgerItem(PAYMENT, Receipt("accepted", 11, SIGNATURE))
    raw = LedgerItem(RawTransaction("a:b:c:5.0:0:0", "%%%"))
    assert read([1, KEY]) == Hello(KEY)
    assert read([2, KEY, HEAD, 0, None, [[*TX, RECEIPT], RAW]]) == SnapshotUpload(
        KEY, snapshot, (receipted, raw)
    )
    assert read([2, KEY, HEAD, 5, ROOT, []]) == SnapshotUpload(KEY, snapshot, (), 5, ROOT)
    assert read([3, KEY, [TX]]) == TransactionsUpload(KEY, (LedgerItem(PAYMENT),))
    assert read([4, ROOT]) == StatusQuery(ROOT)


def test_an_overlong_raw_transaction_leaves_its_leaf_in_a_ledger_and_has_no_place_outside_one() -> None:
    upload = read([2, KEY, HEAD, 0, None, [["x" * 513, ""]]])
    assert isinstance(upload, SnapshotUpload)
    assert upload.items[0].transaction == OversizeTransaction(sha256(b"x" * 513).digest())
    assert refusal_of(cbor.encode([3, KEY, [["x" * 513, ""]]])) is Refusal.MALFORMED


DISGUISED: list[object] = ["a:b:c:5:0:9", b64encode(SIGNATURE).decode()]

MALFORMED: dict[str, object] = {
    "no array": 1,
    "an empty array": [],
    "a type that is a truth": [True, KEY],
    "a negative type": [-1, KEY],
    "a short key": [1, KEY[1:]],
    "a key as text": [1, "k" * 32],
    "an element too many": [1, KEY, 0],
    "a base without its root": [2, KEY, HEAD, 1, None, []],
    "a root without its base": [2, KEY, HEAD, 0, ROOT, []],
    "a short base root": [2, KEY, HEAD, 1, ROOT[1:], []],
    "a snapshot without its signature": [2, KEY, HEAD[:3], 0, None, []],
    "a snapshot's short root": [2, KEY, [ROOT[1:], *HEAD[1:]], 0, None, []],
    "a count that is none": [2, KEY, [ROOT, 7, -1, SIGNATURE], 0, None, []],
    "a list that is a map": [2, KEY, HEAD, 0, None, {}],
    "a transaction of three": [2, KEY, HEAD, 0, None, [[1, 2, 3]]],
    "a transaction that is a text": [2, KEY, HEAD, 0, None, ["x" * 7]],
    "an amount as a number": [3, KEY, [[*TX[:3], 5, *TX[4:]]]],
    "an amount out of its grammar": [3, KEY, [[*TX[:3], "5.0", *TX[4:]]]],
    "a nonce too large": [3, KEY, [[*TX[:4], 1 << 53, *TX[5:]]]],
    "a hexadecimal id as text": [3, KEY, [["69" * 16, *TX[1:]]]],
    "a short signature": [3, KEY, [[*TX[:6], SIGNATURE[1:]]]],
    "a receipt that is none": [3, KEY, [[*TX, None]]],
    "a receipt's colon": [3, KEY, [[*TX, ["a:b", 11, SIGNATURE]]]],
    "a raw transaction that is none": [3, KEY, [DISGUISED]],
    "a raw transaction in bytes": [3, KEY, [[b"x", "y"]]],
    "no loose transaction": [3, KEY, []],
    "65 loose transactions": [3, KEY, [RAW] * 65],
    "a short hash": [4, ROOT[1:]],
    "a float": [4.5, ROOT],
}


@pytest.mark.parametrize("message", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_message_out_of_its_grammar_is_malformed(message: object) -> None:
    assert refusal_of(cbor2.dumps(message, canonical=True)) is Refusal.MALFORMED


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\x82\x01", b"\x9f\x01\xff", b"\x81" * 5000, b"\x82\x18\x01\x40"]
)
def test_bytes_that_are_no_deterministic_cbor_are_malformed(data: bytes) -> None:
    assert refusal_of(data) is Refusal.MALFORMED


@pytest.mark.parametrize("kind", [0, 5, 16, 17, 255, 1 << 40])
def test_an_unknown_type_is_unsupported(kind: int) -> None:
    assert refusal_of(cbor.encode([kind, KEY])) is Refusal.UNSUPPORTED


def test_a_message_above_the_limit_is_too_large() -> None:
    with pytest.raises(Refused) as caught:
        decode_uplink(bytes(101), max_bytes=100)
    assert caught.value.code is Refusal.TOO_LARGE


INCLUSION = Inclusion("offgrid/gw-1/1", 5, b"entry", 2, (ROOT,), (ROOT, KEY), b"checkpoint\n")
BEACON = Beacon("gw-1", "offgrid/gw-1/1", KEY, 1767225626457, 2, b"checkpoint\n", SIGNATURE)
PROMISE = Promise("offgrid/gw-1/1", SIGNATURE, (PromisedEntry(5, 1767225626457, 2),))

ANSWERS: list[tuple[Downlink, list[object]]] = [
    (PROMISE, [16, "offgrid/gw-1/1", SIGNATURE, [[5, 1767225626457, 2, None, 1]]]),
    (
        Promise(b"hint", SIGNATURE, (PromisedEntry(5, 7, 0, ROOT),)),
        [16, b"hint", SIGNATURE, [[5, 7, 0, ROOT, 1]]],
    ),
    (Nack(Refusal.BUSY, 30, "queues are full"), [17, 10, 30, "queues are full"]),
    (Resume(((12, ROOT), (4, KEY))), [18, [[12, ROOT], [4, KEY]]]),
    (Resume(()), [18, []]),
    (Loose(), [19]),
    (INCLUSION, [20, "offgrid/gw-1/1", 5, b"entry", 2, [ROOT], [ROOT, KEY], b"checkpoint\n"]),
    (BEACON, [22, "gw-1", "offgrid/gw-1/1", KEY, 1767225626457, 2, b"checkpoint\n", SIGNATURE]),
]


@pytest.mark.parametrize(("message", "array"), ANSWERS)
def test_each_downlink_message_has_its_bytes(message: Downlink, array: list[object]) -> None:
    assert encode_downlink(message) == cbor2.dumps(array, canonical=True)


def test_a_promise_alone_fits_one_small_frame() -> None:
    smallest = Promise(b"hint", SIGNATURE, (PromisedEntry(1 << 31, 1767225626457, 3),))
    assert len(encode_downlink(smallest)) <= 95


def test_a_beacons_signature_covers_all_but_itself() -> None:
    payload = beacon_payload("gw-1", "offgrid/gw-1/1", KEY, 7, 2, None)
    assert cbor.decode(payload) == ["gw-1", "offgrid/gw-1/1", KEY, 7, 2, None]


def test_a_refusal_becomes_a_nack_with_a_bounded_detail() -> None:
    nack = Nack.of(Refused(Refusal.RATE_LIMITED, "é" + "x" * 200, retry_after_s=9))
    assert (nack.code, nack.retry_after_s) == (Refusal.RATE_LIMITED, 9)
    assert nack.detail == "?" + "x" * (MAX_DETAIL - 1)


def test_every_refusal_has_an_http_status_and_a_documented_code() -> None:
    page = (Path(__file__).parents[2] / "docs/protocol/messages.md").read_text()
    for code in Refusal:
        assert 400 <= answer_json.HTTP_STATUS[code] < 600
        assert f"| {code.value} | `{code.word}` |" in page


def test_answers_in_json() -> None:
    signature, key, hexes = b64encode(SIGNATURE).decode(), b64encode(KEY).decode(), ROOT.hex()
    answer = answer_json.accepted(PROMISE, [ROOT], answer_json.Tally(verified=2, known=1), duplicate=False)
    assert answer == {
        "status": "accepted",
        "duplicate": False,
        "promise": {
            "origin": "offgrid/gw-1/1",
            "index": 5,
            "receivedAt": 1767225626457,
            "quality": 2,
            "leaves": 1,
            "signature": signature,
        },
        "content": hexes,
        "transactions": {"verified": 2, "unverified": 0, "invalid": 0, "known": 1},
    }
    assert answer_json.refused(Nack(Refusal.ROOT, 0, "x")) == {
        "status": "refused",
        "code": "root",
        "retryAfter": 0,
        "detail": "x",
    }
    assert answer_json.resume(Loose()) == {"status": "loose"}
    assert answer_json.resume(Resume(((3, ROOT),))) == {
        "status": "resume",
        "bases": [{"count": 3, "root": hexes}],
    }
    assert answer_json.inclusion(INCLUSION)["leafPath"] == [hexes, KEY.hex()]
    assert answer_json.beacon(BEACON)["key"] == key
