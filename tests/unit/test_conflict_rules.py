"""What unequal payments under one nonce amount to, and who can be a spender at all."""

from __future__ import annotations

import pytest

from gateway.core.conflict import (
    ConflictKind,
    Rule,
    Suggestion,
    Text,
    conflict_of,
    device_number,
    key_number,
    spend_of,
    suggest,
)
from gateway.core.wallet.transaction import Transaction


@pytest.mark.parametrize(
    ("receivers", "kind"),
    [
        ([], None),
        ([b"a"], None),
        ([b"a", b"a"], ConflictKind.DUPLICATE_NONCE),
        ([b"a", b"b"], ConflictKind.DOUBLE_SPEND),
        ([b"a", b"a", "shop"], ConflictKind.DOUBLE_SPEND),
    ],
)
def test_different_receivers_make_a_double_spend(
    receivers: list[bytes | str], kind: ConflictKind | None
) -> None:
    assert conflict_of(receivers) is kind


@pytest.mark.parametrize(
    "text", ["", "00112233445566", "00112233445566AA", "0011 2233 445566", "zz" * 8, "é" * 16]
)
def test_only_sixteen_lower_case_hex_characters_are_a_device(text: str) -> None:
    assert device_number(text) is None


def test_a_key_and_its_device_id_have_the_same_number() -> None:
    key = bytes(range(0xF0, 0x100)) * 2
    assert device_number(key.hex()[:16]) == key_number(key) < 0


def test_a_sender_that_is_no_device_spends_nothing() -> None:
    payment = Transaction("x", "shop", "00112233445566aa", "5", 1, 2, bytes(64))
    assert spend_of(payment) is None


def test_a_receiver_is_packed_where_it_is_a_device_and_kept_as_text_where_not() -> None:
    one = spend_of(Transaction("x", "00112233445566aa", "00112233445566bb", "5", 1, 2, bytes(64)))
    two = spend_of(Transaction("x", "00112233445566aa", "shop", "5", 1, 2, bytes(64)))
    assert one is not None
    assert two is not None
    assert (one.receiver, two.receiver) == (bytes.fromhex("00112233445566bb"), "shop")
    assert one.key == two.key


def text(name: str, at: int, *, accepted: bool) -> Text:
    return Text(name.encode() * 32, name, at, accepted)


def test_the_only_text_with_an_accepted_receipt_is_suggested() -> None:
    texts = [text("a", 1, accepted=False), text("b", 2, accepted=True)]
    assert suggest(texts) == Suggestion(Rule.ONLY_RECEIPT, texts[1].identity)


def test_of_several_with_receipts_the_earliest_is_suggested_and_of_equal_times_the_same_everywhere() -> None:
    texts = [text("b", 2, accepted=True), text("a", 5, accepted=True), text("c", 1, accepted=False)]
    assert suggest(texts) == Suggestion(Rule.EARLIEST, texts[0].identity)
    same = [text("b", 2, accepted=True), text("a", 2, accepted=True)]
    assert suggest(same) == suggest(same[::-1]) == Suggestion(Rule.EARLIEST, same[1].identity)


def test_without_receipts_all_are_rejected_and_with_one_id_for_two_texts_a_person_decides() -> None:
    texts = [text("a", 1, accepted=False), text("b", 2, accepted=False)]
    assert suggest(texts) == Suggestion(Rule.NO_RECEIPT, None)
    assert suggest(texts, ambiguous=True) == Suggestion(Rule.ESCALATE, None)
    twins = [text("a", 1, accepted=True), text("a", 2, accepted=False)]
    assert suggest(twins) == Suggestion(Rule.ESCALATE, None)
