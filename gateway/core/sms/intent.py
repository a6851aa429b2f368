"""The line that older wallets text, ``PAY|from8|to8|amount|nonce|timestamp|signature32``.

It cuts ids to 8 characters and the signature to half: nobody can ever verify it, so it is no payment.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.wallet.numbers import is_canonical_integer, is_canonical_literal

_PREFIX = b"PAY|"
_HEX = frozenset("0123456789abcdef")
_BASE64 = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_NAME_CHARS, _SIGNATURE_CHARS = 8, 32


@dataclass(frozen=True, slots=True)
class Intent:
    """What somebody says they mean to pay; the literals as they stood."""

    line: str
    sender: str
    receiver: str
    amount: str


def read_intent(text: bytes) -> Intent | None:
    """None unless every field is in its grammar."""
    if not text.startswith(_PREFIX) or not text.isascii():
        return None
    line = text.decode()
    fields = line.split("|")
    if len(fields) != 7:
        return None
    _, sender, receiver, amount, nonce, timestamp, signature = fields
    names = all(len(name) == _NAME_CHARS and _HEX.issuperset(name) for name in (sender, receiver))
    numbers = is_canonical_literal(amount) and is_canonical_integer(nonce) and is_canonical_integer(timestamp)
    if not (names and numbers and len(signature) == _SIGNATURE_CHARS and _BASE64.issuperset(signature)):
        return None
    return Intent(line, sender, receiver, amount)
