"""Text messages as a wallet and a coordinator write and read them; docs/protocol/sms.md."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

from simulators.textbook.cbor import Malformed, encode
from simulators.textbook.merkle import EMPTY_ROOT
from simulators.textbook.notes import Checkpoint, NoteKey, signed_note
from simulators.textbook.objects import Receipt, Transaction
from simulators.textbook.varints import Reader, varint
from simulators.wallets.receipts import PROMISE_TYPE

TYPES = {"P1": 0x01, "R1": 0x02, "Q1": 0x11, "N1": 0x12}
STATUSES = {"accepted": 1, "rejected": 2}
SHORTEST = 16 + 8 + 8 + 1 + 6 + 1 + 64
_CHECKPOINT_CHARS = 138

Sms = str | bytes


def payment_body(one: Transaction) -> bytes:
    """At most 118 bytes where the amount's literal has at most 12 characters and the nonce is below 2²⁸."""
    names = bytes.fromhex(one.id) + bytes.fromhex(one.sender) + bytes.fromhex(one.receiver)
    if len(names) != 32:
        raise Malformed("only hexadecimal names of the usual lengths are packed")
    return names + varint(one.nonce) + one.timestamp.to_bytes(6, "big") + one.amount.encode() + one.signature


def receipt_body(transaction_id: str, receipt: Receipt) -> bytes:
    """87 bytes."""
    status = STATUSES[receipt.status].to_bytes(1, "big")
    return bytes.fromhex(transaction_id) + status + receipt.timestamp.to_bytes(6, "big") + receipt.signature


def payment_of(body: bytes) -> Transaction:
    """What the body was packed from; raises `Malformed` where it is too short."""
    if len(body) < SHORTEST:
        raise Malformed("no payment is so short")
    reader = Reader(body[:-64])
    names = [reader.take(n).hex() for n in (16, 8, 8)]
    nonce = reader.varint()
    timestamp = int.from_bytes(reader.take(6), "big")
    amount = b""
    while reader.more():
        amount += reader.take(1)
    return Transaction(names[0], names[1], names[2], amount.decode("ascii"), nonce, timestamp, body[-64:])


def as_data(mark: str, body: bytes) -> bytes:
    """8-bit data: the type, the body."""
    return bytes([TYPES[mark]]) + body


def as_text(mark: str, body: bytes) -> str:
    """Two characters and base64url without padding. `M1` carries a whole device message."""
    return mark + urlsafe_b64encode(body).rstrip(b"=").decode()


def opened(message: Sms) -> tuple[str, bytes]:
    """The mark and the body of a packed message or a device message; raises `Malformed`."""
    if isinstance(message, bytes):
        if 0x80 <= message[0] <= 0x9F:
            return "M1", message
        marks = {number: mark for mark, number in TYPES.items()}
        if message[0] not in marks:
            raise Malformed("a type that is not known")
        return marks[message[0]], message[1:]
    mark, text = message[:2], message[2:]
    if mark != "M1" and mark not in TYPES:
        raise Malformed(f"no message of ours: {message[:20]!r}")
    return mark, _unbase64(text)


@dataclass(frozen=True, slots=True)
class Refusal:
    code: int
    retry_after_s: int
    detail: str


def refusal_of(body: bytes) -> Refusal:
    return Refusal(body[0], int.from_bytes(body[1:3], "big"), body[3:].decode())


@dataclass(frozen=True, slots=True)
class PackedPromise:
    """`message` is PROMISE in CBOR, for `verify_promise`; the rest are hints, which nobody signed."""

    message: bytes
    unverified: bool
    seen: bool
    conflict: bool


def promise_of(body: bytes) -> PackedPromise:
    reader = Reader(body)
    received_at = int.from_bytes(reader.take(6), "big")
    flags, index = reader.take(1)[0], reader.varint()
    signature = reader.take(64)
    origin = b"offgrid/"
    while reader.more():
        origin += reader.take(1)
    item = [index, received_at, flags & 3, None, 1]
    message = encode([PROMISE_TYPE, origin.decode("ascii"), signature, [item]])
    return PackedPromise(message, bool(flags & 0x80), bool(flags & 0x40), bool(flags & 0x20))


def checkpoint_note(text: str, key: bytes) -> bytes:
    """The C2SP note that a checkpoint's message stands for, unverified; `key` is the gateway's, 32 bytes."""
    if not text.startswith("C1") or not 2 + _CHECKPOINT_CHARS < len(text) <= 160:
        raise Malformed("no checkpoint in one message")
    body = _unbase64(text[2 : 2 + _CHECKPOINT_CHARS])
    epoch, size = int.from_bytes(body[:2], "big"), int.from_bytes(body[2:7], "big")
    origin = f"offgrid/{gateway_of(text)}/{epoch}"
    if size == 0 and body[7:39] != EMPTY_ROOT:
        raise Malformed("an empty log has one root")
    return signed_note(Checkpoint(origin, size, body[7:39]), NoteKey(origin, key), body[39:])


def gateway_of(text: str) -> str:
    """The id at the end of a checkpoint's message."""
    return text[2 + _CHECKPOINT_CHARS :]


def _unbase64(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError as error:
        raise Malformed("not base64url") from error
