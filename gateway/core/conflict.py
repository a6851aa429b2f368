"""When two verified payments cannot both stand; the gateway counts, it never decides who owns money."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import IntEnum, StrEnum
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


class Rule(StrEnum):
    """By which of the network's rules a resolution is suggested."""

    ONLY_RECEIPT = "only_receipt"  # one text has its receiver's accepted receipt
    EARLIEST = "earliest"  # several have: the one that says the earliest time
    NO_RECEIPT = "no_receipt"  # none has: reject all
    ESCALATE = "escalate"  # two texts share an id, so no receipt tells which it is for: a person decides


class Text(NamedTuple):
    """One of the texts in conflict. ``timestamp_ms`` is a claim of its sender; ``accepted``: by a receipt of
    its receiver that verified."""

    identity: bytes
    id: str
    timestamp_ms: int
    accepted: bool


class Suggestion(NamedTuple):
    """``winner`` is an identity, None where every text is to be rejected or a person decides."""

    rule: Rule
    winner: bytes | None


def suggest(texts: Sequence[Text], *, ambiguous: bool = False) -> Suggestion:
    """What the network's rules make of these texts; a suggestion, the coordinator decides.

    ``ambiguous``: there is evidence that an id among them stands under yet another text.
    """
    if ambiguous or len({text.id for text in texts}) < len(texts):
        return Suggestion(Rule.ESCALATE, None)
    accepted = [text for text in texts if text.accepted]
    if not accepted:
        return Suggestion(Rule.NO_RECEIPT, None)
    rule = Rule.ONLY_RECEIPT if len(accepted) == 1 else Rule.EARLIEST
    # Equal times: by identity, so that every gateway suggests the same.
    return Suggestion(rule, min(accepted, key=lambda text: (text.timestamp_ms, text.identity)).identity)


class KnownTexts(NamedTuple):
    """A conflict as it stands: ``texts`` verified here or shown, with what the rules make of them.

    ``device`` is the sender's id. ``evidence`` is None while a pruned body is awaited, ``decision`` (a signed
    notice) until the coordinator has decided; it is ``decided`` where that knew of every text held.
    """

    device: str
    nonce: int
    kind: ConflictKind
    texts: int
    decided: bool
    evidence: bytes | None
    decision: bytes | None
    suggestion: Suggestion | None


@lru_cache(maxsize=4096)
def _packed(device: str) -> bytes | None:
    if len(device) != _DEVICE_CHARS:
        return None
    try:
        packed = bytes.fromhex(device)
    except ValueError:
        return None
    return packed if packed.hex() == device else None  # fromhex also takes blanks and upper case
