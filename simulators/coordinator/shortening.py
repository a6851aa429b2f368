"""Receipts as ENTRIES carries them: without the identity of the transaction right before them."""

from __future__ import annotations

from simulators.textbook.cbor import Malformed, decode, encode
from simulators.textbook.objects import RECEIPT, AnyObject, Raw, Transaction

_BEGINNING = b"\x85\x02\xf6"
"""Of the CBOR array [2, null, status, timestamp, signature]."""


def is_short(sent: bytes) -> bool:
    return sent.startswith(_BEGINNING)


def completed(sent: bytes, before: AnyObject) -> bytes:
    """The receipt's object; raises `Malformed` where no transaction stands before it."""
    match decode(sent), before:
        case [2, None, *rest], Transaction() | Raw():
            return encode([RECEIPT, before.identity, *rest])
    raise Malformed("a receipt without an identity, and no transaction before it")
