"""What unequal payments under one nonce amount to, and who can be a spender at all."""

from __future__ import annotations

import pytest

from gateway.core.conflict import ConflictKind, conflict_of, device_number, key_number, spend_of
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
