"""A payment as the wallet signed it, and its receiver's receipt.

The grammar of a transaction is that of its six texts, however they were carried:

=============  ==========================================================================
id, from, to   1 to 64 UTF-8 bytes without ``:`` and control characters (so that a signed
               text has one reading)
amount         a Number > 0 as ECMAScript prints it
nonce, time    integers in [0, 2⁵³)
signature      64 bytes, in text as padded base64 of RFC 4648 section 4, canonical
=============  ==========================================================================

What breaks it stays in the ledger it came with, for the wallet's root covers it, and is never counted.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from gateway.core.wallet.numbers import is_canonical_integer, is_canonical_literal
from gateway.core.wallet.signature import SIGNATURE_BYTES

MAX_FIELD = 64
MAX_STATUS = 32
MAX_RAW_TEXT = 512
MAX_RAW_SIGNATURE = 128
"""Bytes of UTF-8, each."""

_FIELD = re.compile(r"[^:\x00-\x1f\x7f\ud800-\udfff]{1,64}")
_SIGNATURE_CHARS = 88


class Transaction(NamedTuple):
    """A payment in the wallet's grammar; `amount` is the literal that was signed."""

    id: str
    sender: str
    receiver: str
    amount: str
    nonce: int
    timestamp_ms: int
    signature: bytes

    @property
    def signed_text(self) -> bytes:
        return (
            f"{self.id}:{self.sender}:{self.receiver}:{self.amount}:{self.nonce}:{self.timestamp_ms}".encode()
        )

    @property
    def identity(self) -> bytes:
        """SHA-256 of the signed text: the wallet's leaf."""
        return sha256(self.signed_text).digest()


@dataclass(frozen=True, slots=True)
class RawTransaction:
    """A transaction out of its grammar: the text under its leaf (≤ 512 bytes), the signature's (≤ 128)."""

    text: str
    signature_text: str

    @property
    def identity(self) -> bytes:
        return sha256(self.text.encode()).digest()


@dataclass(frozen=True, slots=True)
class OversizeTransaction:
    """A transaction out of its grammar and too long to keep: only its leaf stays.

    Without it, one overlong payment slipped into an honest ledger would have every later upload refused.
    """

    identity: bytes


AnyTransaction = Transaction | RawTransaction | OversizeTransaction


class Receipt(NamedTuple):
    """The receiver's signed answer to the transaction it stands with."""

    status: str
    timestamp_ms: int
    signature: bytes

    def signed_text(self, transaction_id: str) -> bytes:
        return f"{transaction_id}:{self.status}:{self.timestamp_ms}".encode()


def read_transaction(texts: tuple[str, str, str, str, str, str], signature_text: str) -> AnyTransaction:
    """The transaction with these six texts, in signed order; a signature text > 128 bytes counts as empty.

    Raises `UnicodeEncodeError` for a lone surrogate, which has no UTF-8 and so no leaf.
    """
    transaction_id, sender, receiver, amount, nonce, timestamp = texts
    signature = read_signature(signature_text)
    if (
        signature is not None
        and is_field(transaction_id)
        and is_field(sender)
        and is_field(receiver)
        and is_canonical_literal(amount)
        and is_canonical_integer(nonce)
        and is_canonical_integer(timestamp)
    ):
        return Transaction(transaction_id, sender, receiver, amount, int(nonce), int(timestamp), signature)
    return keep_raw(":".join(texts), signature_text)


def keep_raw(text: str, signature_text: str) -> RawTransaction | OversizeTransaction:
    """What is kept of a transaction out of its grammar."""
    leaf = text.encode()
    if len(leaf) > MAX_RAW_TEXT:
        return OversizeTransaction(sha256(leaf).digest())
    too_long = len(signature_text.encode()) > MAX_RAW_SIGNATURE
    return RawTransaction(text, "" if too_long else signature_text)


def is_well_formed(text: str, signature_text: str) -> bool:
    """Whether this signed text and signature are in the grammar of `Transaction` after all."""
    texts = text.split(":")
    if len(texts) != 6:
        return False
    one, two, three, four, five, six = texts
    return isinstance(read_transaction((one, two, three, four, five, six), signature_text), Transaction)


def is_field(text: str, limit: int = MAX_FIELD) -> bool:
    """Whether `text` can be an id, a sender, a receiver or (limit 32) a receipt's status."""
    if _FIELD.fullmatch(text) is None:
        return False
    return len(text) <= limit and (text.isascii() or len(text.encode()) <= limit)


def read_signature(text: str) -> bytes | None:
    """The 64 bytes that `text` is the canonical base64 of, or None."""
    if len(text) != _SIGNATURE_CHARS or not text.isascii():
        return None
    try:
        signature = b64decode(text, validate=True)
    except ValueError:
        return None
    # Two spellings of one signature would be two objects: the unused bits of the last character must be zero.
    return signature if len(signature) == SIGNATURE_BYTES and b64encode(signature).decode() == text else None
