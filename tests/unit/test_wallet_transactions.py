"""What is a transaction, what is kept as garbage, and the one encoding of each."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import cbor
from gateway.core.cbor import CborError
from gateway.core.wallet.objects import (
    BoundReceipt,
    DeviceKeyObject,
    SnapshotHeader,
    decode_object,
    encode_object,
    object_hash,
)
from gateway.core.wallet.snapshot import Snapshot, device_id
from gateway.core.wallet.transaction import (
    AnyTransaction,
    OversizeTransaction,
    RawTransaction,
    Receipt,
    Transaction,
    is_well_formed,
    read_signature,
    read_transaction,
)

Texts = tuple[str, str, str, str, str, str]

SIGNATURE = bytes(range(64))
SIGNATURE_TEXT = b64encode(SIGNATURE).decode()
GOOD: Texts = ("ab" * 16, "01" * 8, "02" * 8, "12.5", "0", "1767225626457")
PLACES = {"id": 0, "from": 1, "to": 2, "amount": 3, "nonce": 4, "timestamp": 5}


def with_text(place: str, text: str) -> Texts:
    one, two, three, four, five, six = (text if PLACES[place] == at else old for at, old in enumerate(GOOD))
    return one, two, three, four, five, six


def test_the_identity_is_the_hash_of_the_signed_text() -> None:
    transaction = read_transaction(GOOD, SIGNATURE_TEXT)
    assert isinstance(transaction, Transaction)
    assert transaction.signed_text == ":".join(GOOD).encode()
    assert transaction.identity == sha256(":".join(GOOD).encode()).digest()
    assert Receipt("accepted", 5, SIGNATURE).signed_text("x") == b"x:accepted:5"
    assert Snapshot(bytes(32), 7, 3, SIGNATURE).signed_text == b"0" * 64 + b":7:3"
    assert device_id(bytes.fromhex("00f5f12b30926cc1") + bytes(24)) == "00f5f12b30926cc1"


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("id", "x" * 64),
        ("id", "é" * 32),
        ("from", "anyone"),
        ("to", "merchant 7"),
        ("amount", "1e-7"),
        ("nonce", "0"),
    ],
)
def test_a_text_in_its_grammar_makes_a_transaction(place: str, text: str) -> None:
    assert isinstance(read_transaction(with_text(place, text), SIGNATURE_TEXT), Transaction)


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("id", ""),
        ("id", "x" * 65),
        ("id", "é" * 33),
        ("id", "a:b"),
        ("from", "a\nb"),
        ("to", "\x7f"),
        ("amount", "5.0"),
        ("amount", "0"),
        ("amount", "-1"),
        ("amount", "NaN"),
        ("amount", "undefined"),
        ("nonce", "-1"),
        ("nonce", "9007199254740992"),
        ("nonce", "1e3"),
        ("timestamp", "null"),
        ("timestamp", "1.5"),
    ],
)
def test_a_text_out_of_its_grammar_is_kept_raw_with_its_leaf(place: str, text: str) -> None:
    texts = with_text(place, text)
    raw = read_transaction(texts, SIGNATURE_TEXT)
    assert raw == RawTransaction(":".join(texts), SIGNATURE_TEXT)
    assert raw.identity == sha256(":".join(texts).encode()).digest()


@pytest.mark.parametrize(
    "text",
    [
        "",
        SIGNATURE_TEXT[:-1],
        SIGNATURE_TEXT[:-4],
        SIGNATURE_TEXT + "\n",
        "%" * 88,
        "é" * 88,
        SIGNATURE_TEXT.replace("w==", "x=="),
        SIGNATURE_TEXT.rstrip("=") + "AA",
    ],
)
def test_a_signature_in_another_spelling_makes_the_transaction_raw(text: str) -> None:
    assert read_signature(text) is None
    assert isinstance(read_transaction(GOOD, text), RawTransaction)


def test_an_overlong_text_leaves_only_its_leaf() -> None:
    texts = with_text("id", "x" * 1000)
    assert read_transaction(texts, "") == OversizeTransaction(sha256(":".join(texts).encode()).digest())


def test_an_overlong_signature_counts_as_empty() -> None:
    assert read_transaction(GOOD, "A" * 129) == RawTransaction(":".join(GOOD), "")


texts_of_any_kind = st.text(st.characters(exclude_categories=["Cs"]), max_size=70)
honest = st.tuples(
    st.one_of(st.just("ab" * 16), texts_of_any_kind),
    st.one_of(st.just("01" * 8), texts_of_any_kind),
    st.one_of(st.just("02" * 8), texts_of_any_kind),
    st.one_of(st.just("12.5"), st.just("1e+21"), texts_of_any_kind),
    st.one_of(st.integers(0, 1 << 54).map(str), texts_of_any_kind),
    st.one_of(st.integers(0, 1 << 54).map(str), texts_of_any_kind),
)
signatures = st.one_of(
    st.binary(min_size=64, max_size=64).map(lambda b: b64encode(b).decode()), texts_of_any_kind
)


@given(honest, signatures)
def test_whatever_was_signed_has_one_leaf_and_one_object(texts: Texts, signature_text: str) -> None:
    transaction: AnyTransaction = read_transaction(texts, signature_text)
    assert transaction.identity == sha256(":".join(texts).encode()).digest()
    assert isinstance(transaction, Transaction) == is_well_formed(":".join(texts), signature_text)
    if not isinstance(transaction, OversizeTransaction):
        assert decode_object(encode_object(transaction)) == transaction


def test_the_other_objects_read_back() -> None:
    receipt = BoundReceipt(bytes(32), Receipt("accepted", 5, SIGNATURE))
    header = SnapshotHeader(b"k" * 32, Snapshot(bytes(32), 7, 3, SIGNATURE), b"l" * 32)
    for value in (receipt, header, DeviceKeyObject(b"k" * 32)):
        assert decode_object(encode_object(value)) == value
    assert object_hash(b"x") == sha256(b"\x02x").digest()


FIELDS: list[object] = [1, b"i" * 16, b"f" * 8, b"t" * 8, "5", 0, 1, SIGNATURE]


@pytest.mark.parametrize(
    "array",
    [
        [],
        [9],
        [4],
        [True, *FIELDS[1:]],
        FIELDS[:-1],
        [1, "ab" * 16, *FIELDS[2:]],
        [1, b"i" * 15, *FIELDS[2:]],
        [1, "", *FIELDS[2:]],
        [1, "a:b", *FIELDS[2:]],
        [*FIELDS[:2], "01" * 8, *FIELDS[3:]],
        [*FIELDS[:4], "5.0", *FIELDS[5:]],
        [*FIELDS[:4], 5, *FIELDS[5:]],
        [*FIELDS[:5], 1 << 53, *FIELDS[6:]],
        [*FIELDS[:7], bytes(63)],
        [2, bytes(31), "accepted", 5, SIGNATURE],
        [2, bytes(32), "a:b", 5, SIGNATURE],
        [2, bytes(32), "x" * 33, 5, SIGNATURE],
        [3, bytes(32), bytes(32), 7, 3, SIGNATURE],
        [5, bytes(31)],
        [6, ":".join(GOOD), SIGNATURE_TEXT],
        [6, "x" * 513, ""],
        [6, "x", "y" * 129],
    ],
)
def test_what_is_no_object_is_refused(array: list[object]) -> None:
    with pytest.raises(CborError):
        decode_object(cbor.encode(array))
