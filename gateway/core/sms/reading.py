"""What a text message is: a device message, packed or whole, a line of the old kind, a word, or nothing.

8-bit data begins with a type, text with two characters; one reading fits each message:

=========  ======  ===============================================
8-bit      text    what
=========  ======  ===============================================
01         P1      payment, packed
02         R1      receipt, packed
11         Q1      promise, packed: an answer, never answered
12         N1      refusal, packed: likewise
80 to 9F   M1      a device message in CBOR (the byte is its first)
           C1      checkpoint, to the coordinator: never answered
=========  ======  ===============================================
"""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from gateway.core import cbor
from gateway.core.message.downlink import Downlink, Nack, Promise, encode_downlink
from gateway.core.message.uplink import Up
from gateway.core.refusal import Refusal, Refused
from gateway.core.sms.intent import Intent, read_intent
from gateway.core.sms.packed import (
    PackedReceipt,
    is_base64url,
    pack_promise,
    pack_refusal,
    unpack_payment,
    unpack_receipt,
)
from gateway.core.sms.words import Asked, read_word
from gateway.core.wallet.objects import receipt_fields, transaction_fields
from gateway.core.wallet.transaction import Receipt, Transaction

PAYMENT, RECEIPT, PROMISE, REFUSAL, MESSAGE = 0x01, 0x02, 0x11, 0x12, 0x80
MARKS = {PAYMENT: b"P1", RECEIPT: b"R1", PROMISE: b"Q1", REFUSAL: b"N1", MESSAGE: b"M1"}
_KINDS = {mark: kind for kind, mark in MARKS.items()}
_CBOR_ARRAY = range(0x80, 0xA0)
_DOWN = range(0x10, 0x18)
"""Second byte of an array whose type is an answer's, 16 to 23."""


@dataclass(frozen=True, slots=True)
class Carried:
    """A device message, in CBOR."""

    message: bytes


@dataclass(frozen=True, slots=True)
class Nothing:
    """Not for us, or an answer: whoever answers it talks with a machine for ever."""


Read = Carried | Transaction | PackedReceipt | Intent | Asked | Nothing


def is_text(payload: bytes) -> bool:
    """No type and no first byte of an array begins a text in UTF-8."""
    return bool(payload) and payload[0] >= 0x20 and payload[0] not in _CBOR_ARRAY


def read(payload: bytes) -> Read:
    """Raises Refused (MALFORMED) for what says it is of this protocol, and is not."""
    if not is_text(payload):
        return _read_data(payload)
    text = payload.strip()
    kind = _KINDS.get(text[:2])
    if kind is not None and is_base64url(text[2:]):
        return _of_kind(kind, _decoded(text[2:]))
    return read_intent(text) or read_word(text) or Nothing()


def _read_data(payload: bytes) -> Read:
    if payload and payload[0] in _CBOR_ARRAY:
        return _of_kind(MESSAGE, payload)
    return _of_kind(payload[0], payload[1:]) if payload else Nothing()


def _of_kind(kind: int, body: bytes) -> Read:
    if kind == PAYMENT:
        return unpack_payment(body)
    if kind == RECEIPT:
        return unpack_receipt(body)
    if kind == MESSAGE and not (len(body) > 1 and body[1] in _DOWN):
        return Carried(body)
    return Nothing()


def transactions_message(transaction: Transaction, receipt: Receipt | None = None) -> bytes:
    """TRANSACTIONS that say no key: the long spelling of what was packed."""
    fields = transaction_fields(transaction)
    item = fields if receipt is None else [*fields, receipt_fields(receipt)]
    return cbor.encode([Up.TRANSACTIONS, None, [item]])


def write(
    answer: Downlink,
    *,
    as_text: bool,
    packed: bool,
    unverified: bool = False,
    seen: bool = False,
    conflict: bool = False,
) -> bytes:
    """The answer in the form of what it answers: text or 8-bit data, packed or CBOR."""
    if packed and isinstance(answer, Promise):
        return _written(
            PROMISE, pack_promise(answer, unverified=unverified, seen=seen, conflict=conflict), as_text
        )
    if packed and isinstance(answer, Nack):
        return _written(REFUSAL, pack_refusal(answer), as_text)
    return _written(MESSAGE, encode_downlink(answer), as_text)


def _written(kind: int, body: bytes, as_text: bool) -> bytes:
    if as_text:
        return MARKS[kind] + urlsafe_b64encode(body).rstrip(b"=")
    return body if kind == MESSAGE else bytes([kind]) + body


def _decoded(text: bytes) -> bytes:
    try:
        body = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
    except binascii.Error as error:
        raise Refused(Refusal.MALFORMED, "not base64url") from error
    if urlsafe_b64encode(body).rstrip(b"=") != text:
        raise Refused(Refusal.MALFORMED, "base64url with bits to spare")
    return body
