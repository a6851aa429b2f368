"""Payments, receipts and answers in so few bytes that each fits one message; docs/protocol/sms.md.

payment   id:16  from:8  to:8  nonce varint  timestamp:6  amount  signature:64     at most 118 bytes
receipt   id:16  status:1  timestamp:6  signature:64                               87 bytes
promise   received at:6  flags:1  index varint  signature:64  gateway id "/" epoch
refusal   code:1  retry after:2  detail

The wallet's own signature is carried whole: the signed text is rebuilt from the fields.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gateway.core.message.downlink import Nack, Promise
from gateway.core.refusal import Refusal, Refused
from gateway.core.varint import VarintInvalid, read_varint, varint
from gateway.core.wallet.numbers import MAX_SAFE, is_canonical_literal
from gateway.core.wallet.signature import SIGNATURE_BYTES
from gateway.core.wallet.transaction import Receipt, Transaction

RECEIPT_BYTES = 87
STATUSES = {1: "accepted", 2: "rejected"}
UNVERIFIED = 0x80
"""Flag of a promise: what is kept could not be verified, for no key of its sender is known here."""
SEEN = 0x40
"""Flag of a promise: its leaf stands under a root that the coordinator has seen."""
CONFLICT = 0x20
"""Flag of a promise: there is evidence that its payment and another cannot both be."""
MAX_RETRY_S = 0xFFFF
ORIGIN = "offgrid/"

_ID, _DEVICE, _TIME = 16, 8, 6
_NAMES = _ID + 2 * _DEVICE


@dataclass(frozen=True, slots=True)
class PackedReceipt:
    """A receipt and the id of the payment that it answers."""

    transaction_id: str
    receipt: Receipt


def unpack_payment(body: bytes) -> Transaction:
    """Raises Refused (MALFORMED) for what is no payment in its grammar, packed the shortest way."""
    names, rest, signature = body[:_NAMES], body[_NAMES:-SIGNATURE_BYTES], body[-SIGNATURE_BYTES:]
    if len(body) < _NAMES + SIGNATURE_BYTES:
        raise _malformed("a payment of 105 bytes or more expected")
    try:
        nonce, at = read_varint(rest, 0)
        amount = rest[at + _TIME :].decode("ascii")
    except (VarintInvalid, UnicodeDecodeError) as error:
        raise _malformed("nonce or amount cannot be read") from error
    if nonce >= MAX_SAFE or rest[:at] != varint(nonce) or not is_canonical_literal(amount):
        raise _malformed("nonce or amount is out of its grammar")
    return Transaction(
        names[:_ID].hex(),
        names[_ID : _ID + _DEVICE].hex(),
        names[_ID + _DEVICE :].hex(),
        amount,
        nonce,
        int.from_bytes(rest[at : at + _TIME]),
        signature,
    )


def unpack_receipt(body: bytes) -> PackedReceipt:
    """Raises Refused (MALFORMED)."""
    if len(body) != RECEIPT_BYTES or body[_ID] not in STATUSES:
        raise _malformed(f"a receipt of {RECEIPT_BYTES} bytes and a known status expected")
    time_ms = int.from_bytes(body[_ID + 1 : _ID + 1 + _TIME])
    receipt = Receipt(STATUSES[body[_ID]], time_ms, body[-SIGNATURE_BYTES:])
    return PackedReceipt(body[:_ID].hex(), receipt)


def pack_promise(promise: Promise, *, unverified: bool, seen: bool, conflict: bool) -> bytes:
    """The promise of one content; its origin is a text."""
    (entry,) = promise.entries
    origin = promise.origin
    if not isinstance(origin, str) or entry.leaf is not None or entry.leaves != 1:
        raise ValueError("only the promise of one content is packed, with its origin in full")
    flags = entry.quality | UNVERIFIED * unverified | SEEN * seen | CONFLICT * conflict
    head = entry.received_at_ms.to_bytes(_TIME) + bytes([flags]) + varint(entry.index)
    return head + promise.signature + origin.removeprefix(ORIGIN).encode()


def pack_refusal(nack: Nack) -> bytes:
    """Later than 18 hours is told as 18 hours."""
    retry_s = min(nack.retry_after_s, MAX_RETRY_S)
    return bytes([nack.code]) + retry_s.to_bytes(2) + nack.detail.encode()


def _malformed(detail: str) -> Refused:
    return Refused(Refusal.MALFORMED, detail)


_TEXT = re.compile(rb"[A-Za-z0-9_-]*")


def is_base64url(text: bytes) -> bool:
    """The alphabet of RFC 4648 section 5, without padding."""
    return _TEXT.fullmatch(text) is not None
