"""When two verified payments cannot both stand; the gateway counts, it never decides who owns money."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from gateway.core.wallet.transaction import Transaction

MAX_TEXTS = 8
"""Texts kept under one (sender, nonce): more prove nothing more, and would let one device fill the disk."""

MAX_CANDIDATES = 4
"""Unverified objects kept of one identity; any of them may turn out to carry the right signature."""

_DEVICE_CHARS = 16


class ConflictKind(IntEnum):
    """What unequal texts under one (sender, nonce) are evidence of."""

    DOUBLE_SPEND = 1  # their receivers differ
    DUPLICATE_NONCE = 2  # one receiver: perhaps a wallet restored from a backup


class Spend(NamedTuple):
    """What a payment spends, and to whom."""

    key: tuple[int, int]  # device number of the sender, nonce: two payments under one cannot both stand
    receiver: bytes | str  # 8 bytes of a device id, else the text


def device_number(device: str) -> int | None:
    """A device id as a signed 64-bit integer; None for a text that is not 16 lower-case hex characters."""
    packed = _packed(device)
    return None if packed is None else int.from_bytes(packed, "big", signed=True)


def key_number(key: bytes) -> int:
    """The device number of a public key."""
    return int.from_bytes(key[:8], "big", signed=True)


def spend_of(transaction: Transaction) -> Spend | None:
    """None where the sender is no device id: no key can ever verify that."""
    sender = _packed(transaction.sender)
    if sender is None:
        return None
    receiver = transaction.receiver
    number = int.from_bytes(sender, "big", signed=True)
    return Spend((number, transaction.nonce), _packed(receiver) or receiver)


def conflict_of(receivers: Collection[bytes | str]) -> ConflictKind | None:
    """What the receivers of all distinct verified texts under one (sender, nonce) amount to.

    One text is no conflict, however often it was signed or heard.
    """
    if len(receivers) < 2:
        return None
    return ConflictKind.DOUBLE_SPEND if len(set(receivers)) > 1 else ConflictKind.DUPLICATE_NONCE


@lru_cache(maxsize=4096)
def _packed(device: str) -> bytes | None:
    if len(device) != _DEVICE_CHARS:
        return None
    try:
        packed = bytes.fromhex(device)
    except ValueError:
        return None
    return packed if packed.hex() == device else None  # fromhex also takes blanks and upper case
