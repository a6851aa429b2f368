"""When two verified payments cannot both stand; the gateway counts, it never decides who owns money."""

from __future__ import annotations

from collections.abc import Collection
from enum import IntEnum
from typing import NamedTuple

from gateway.core.wallet.transaction import Transaction

MAX_TEXTS = 8
"""Texts kept under one (sender, nonce): more prove nothing more, and would let one device fill the disk."""

MAX_CANDIDATES = 4
"""Unverified objects kept of one identity; any of them may turn out to carry the right signature."""

_DEVICE_CHARS = 16
_HEX = frozenset("0123456789abcdef")


class ConflictKind(IntEnum):
    """What unequal texts under one (sender, nonce) are evidence of."""

    DOUBLE_SPEND = 1  # their receivers differ
    DUPLICATE_NONCE = 2  # one receiver: perhaps a wallet restored from a backup


class Spend(NamedTuple):
    """What a payment spends, and to whom."""

    sender: int  # device number
    nonce: int
    receiver: bytes | str  # 8 bytes of a device id, else the text

    @property
    def key(self) -> tuple[int, int]:
        """What two payments share when they cannot both stand."""
        return self[:2]


def device_number(device: str) -> int | None:
    """A device id as a signed 64-bit integer; None for a text that is not 16 lower-case hex characters."""
    if len(device) != _DEVICE_CHARS or not _HEX.issuperset(device):
        return None
    return int.from_bytes(bytes.fromhex(device), "big", signed=True)


def key_number(key: bytes) -> int:
    """The device number of a public key."""
    return int.from_bytes(key[:8], "big", signed=True)


def spend_of(transaction: Transaction) -> Spend | None:
    """None where the sender is no device id: no key can ever verify that."""
    sender = device_number(transaction.sender)
    if sender is None:
        return None
    receiver = transaction.receiver
    packed = receiver if device_number(receiver) is None else bytes.fromhex(receiver)
    return Spend(sender, transaction.nonce, packed)


def conflict_of(receivers: Collection[bytes | str]) -> ConflictKind | None:
    """What the receivers of all distinct verified texts under one (sender, nonce) amount to.

    One text is no conflict, however often it was signed or heard.
    """
    if len(receivers) < 2:
        return None
    return ConflictKind.DOUBLE_SPEND if len(set(receivers)) > 1 else ConflictKind.DUPLICATE_NONCE
