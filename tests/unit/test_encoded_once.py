"""The short ways through the encoding of uploads and amounts say what the plain definitions say."""

from __future__ import annotations

import math
from typing import cast

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.core import cbor
from gateway.core.message.uplink import decode_uplink
from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.numbers import is_canonical_literal, number_to_string
from gateway.core.wallet.objects import encode_object, encode_transaction_fields, object_hash
from gateway.core.wallet.transaction import OversizeTransaction
from gateway.core.wallet.upload import SnapshotUpload

KEY, ROOT, SIGNATURE = bytes(32), b"\x01" * 32, b"\x02" * 64
RECEIPT = ["accepted", 1_790_000_000_000, SIGNATURE]
USUAL = [b"i" * 16, b"s" * 8, b"r" * 8, "12.5", 7, 1_790_000_000_000, SIGNATURE]
anything = st.none() | st.booleans() | st.integers(0, 1 << 60) | st.binary(max_size=70) | st.text(max_size=30)
fields = st.tuples(
    st.sampled_from([b"i" * 16, b"i" * 15, "an id", 5]) | anything,
    st.sampled_from([b"s" * 8, b"", "sender"]) | anything,
    st.sampled_from([b"r" * 8, "receiver"]) | anything,
    st.sampled_from(["5", "1" * 23, "1" * 24, "½"]) | anything,
    st.integers(0, 300) | anything,
    st.sampled_from([0, (1 << 32) - 1, 1 << 32, (1 << 53) - 1]) | anything,
    st.sampled_from([SIGNATURE, b"", "x" * 64]) | anything,
)


def snapshot(*items: object) -> bytes:
    return cbor.encode([2, KEY, [ROOT, 1_790_000_000_000, len(items), SIGNATURE], 0, None, [*items]])


@given(st.integers(0, (1 << 64) - 1))
@example(23)
@example(24)
@example((1 << 32) - 1)
@example(1 << 32)
def test_an_integer_is_encoded_as_by_the_library(value: int) -> None:
    assert cbor.encode_uint(value) == cbor.encode(value)


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 70_000])
def test_the_head_of_an_array_stands_before_its_elements(length: int) -> None:
    assert cbor.array_head(length) + bytes(length) == cbor.encode([0] * length)


@given(fields)
@example(tuple(USUAL))
def test_fields_of_any_shape_are_encoded_as_by_the_library(values: tuple[object, ...]) -> None:
    assert encode_transaction_fields([*values]) == cbor.encode([*values])


def test_an_upload_brings_each_transaction_as_the_object_that_it_is() -> None:
    texts = ["an id", "a sender", "a receiver", "1e+21", 0, 9, SIGNATURE]
    long = ["a:b:" + "x" * 600, ""]
    upload = decode_uplink(snapshot(USUAL, [*USUAL, RECEIPT], texts, ["a:b", "?"], long), max_bytes=1 << 16)
    upload = cast(SnapshotUpload, upload)
    for item, body in zip(upload.items, upload.objects, strict=True):
        assert not isinstance(item.transaction, OversizeTransaction) or body is None
        if body is not None and not isinstance(item.transaction, OversizeTransaction):
            assert object_hash(body) == object_hash(encode_object(item.transaction))
    assert [body is None for body in upload.objects] == [False, False, False, True, True]


LONGER = {
    "a nonce in two bytes": snapshot(USUAL).replace(b"\x6412.5\x07", b"\x6412.5\x18\x07"),
    "a length in two bytes": snapshot(USUAL).replace(b"\x50" + b"i" * 16, b"\x58\x10" + b"i" * 16),
    "the list's length in two bytes": snapshot(USUAL).replace(b"\xf6\x81\x87", b"\xf6\x98\x01\x87"),
    "a receipt's time in nine bytes": snapshot([*USUAL, ["accepted", 5, SIGNATURE]]).replace(
        b"accepted\x05", b"accepted\x1b" + bytes(7) + b"\x05"
    ),
    "the type in two bytes": snapshot(USUAL).replace(b"\x86\x02", b"\x86\x18\x02"),
}


@pytest.mark.parametrize("data", LONGER.values(), ids=LONGER)
def test_a_longer_encoding_anywhere_in_an_upload_is_refused(data: bytes) -> None:
    assert data != snapshot(USUAL)
    with pytest.raises(Refused, match="not the deterministic encoding") as refused:
        decode_uplink(data, max_bytes=1 << 16)
    assert refused.value.code is Refusal.MALFORMED


@given(st.from_regex(r"\A[0-9]{0,9}\.?[0-9]{0,9}\Z"))
@example("0.000001")
@example("0.0000001")
@example("0.10")
@example("00.1")
@example("1.")
@example(".1")
@example("999999999999999")
@example("5\n")
def test_a_plain_amount_is_told_as_by_printing_it(text: str) -> None:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    plain = 0 < value < math.inf and number_to_string(value) == text
    assert is_canonical_literal(text) == plain
