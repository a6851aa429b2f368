"""Objects as deterministic CBOR arrays, docs/protocol/objects.md; each kind a class of its fields."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.ledger import receipt_text, snapshot_text
from simulators.textbook.numbers import is_amount

TRANSACTION, RECEIPT, SNAPSHOT, EVIDENCE, KEY, RAW = range(1, 7)

_FIELD = re.compile(r"[^:\x00-\x1f\x7f]+")


@dataclass(frozen=True)
class Transaction:
    id: str
    sender: str
    receiver: str
    amount: str
    nonce: int
    timestamp: int
    signature: bytes

    def text(self) -> bytes:
        parts = (self.id, self.sender, self.receiver, self.amount, str(self.nonce), str(self.timestamp))
        return ":".join(parts).encode()

    @cached_property
    def identity(self) -> bytes:
        return sha256(self.text()).digest()

    def fields(self) -> list[object]:
        return [
            _pack(self.id, 16),
            _pack(self.sender, 8),
            _pack(self.receiver, 8),
            self.amount,
            self.nonce,
            self.timestamp,
            self.signature,
        ]

    def encode(self) -> bytes:
        return encode([TRANSACTION, *self.fields()])


@dataclass(frozen=True, slots=True)
class Raw:
    """A transaction whose grammar or signature form is wrong: kept, never counted."""

    text: str
    signature: str

    @property
    def identity(self) -> bytes:
        return sha256(self.text.encode()).digest()

    def fields(self) -> list[object]:
        return [self.text, self.signature]

    def encode(self) -> bytes:
        return encode([RAW, *self.fields()])


@dataclass(frozen=True, slots=True)
class Receipt:
    identity: bytes
    status: str
    timestamp: int
    signature: bytes

    def text(self, transaction_id: str) -> bytes:
        return receipt_text(transaction_id, self.status, self.timestamp)

    def fields(self) -> list[object]:
        return [self.status, self.timestamp, self.signature]

    def encode(self) -> bytes:
        return encode([RECEIPT, self.identity, *self.fields()])


@dataclass(frozen=True, slots=True)
class Header:
    """A snapshot: the wallet's statement, and the RFC 6962 root over its list."""

    key: bytes
    root: bytes
    timestamp: int
    count: int
    signature: bytes
    list_root: bytes

    def text(self) -> bytes:
        return snapshot_text(self.root, self.timestamp, self.count)

    def fields(self) -> list[object]:
        return [self.root, self.timestamp, self.count, self.signature]

    def encode(self) -> bytes:
        return encode([SNAPSHOT, self.key, *self.fields(), self.list_root])


@dataclass(frozen=True, slots=True)
class Key:
    key: bytes

    def encode(self) -> bytes:
        return encode([KEY, self.key])


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence, as its bytes: `textbook.evidence` says what it proves."""

    body: bytes


AnyObject = Transaction | Raw | Receipt | Header | Key | Proof


def object_hash(body: bytes) -> bytes:
    return sha256(b"\x02" + body).digest()


def parse_object(body: bytes) -> AnyObject:
    """The object that `body` is the encoding of; raises `Malformed`."""
    kind, *fields = array(decode(body)) or [None]
    if type(kind) is not int:
        raise Malformed("an object begins with its kind")
    if kind == TRANSACTION and len(fields) == 7:
        return _transaction(fields)
    if kind == RECEIPT and len(fields) == 4:
        identity, status, timestamp, signature = fields
        return Receipt(octets(identity, 32), _field(status, 32), integer(timestamp), octets(signature, 64))
    if kind == SNAPSHOT and len(fields) == 6:
        key, root, timestamp, count, signature, list_root = fields
        return Header(
            octets(key, 32),
            octets(root, 32),
            integer(timestamp),
            integer(count),
            octets(signature, 64),
            octets(list_root, 32),
        )
    if kind == KEY and len(fields) == 1:
        return Key(octets(fields[0], 32))
    if kind == RAW and len(fields) == 2:
        return _raw(text(fields[0], 512), text(fields[1], 128))
    if kind == EVIDENCE:
        return Proof(body)
    raise Malformed(f"no object: kind {kind} with {len(fields)} fields")


def transaction_of(texts: list[str], signature: str) -> Transaction | Raw:
    """The object of six texts and a base64 signature: raw where the grammar is broken."""
    raw = _base64(signature)
    name = [len(part.encode()) <= 64 and _FIELD.fullmatch(part) is not None for part in texts[:3]]
    if raw is None or not all(name) or not is_amount(texts[3]) or not all(map(_is_integer, texts[4:])):
        return Raw(":".join(texts), signature)
    transaction_id, sender, receiver, amount, nonce, timestamp = texts
    return Transaction(transaction_id, sender, receiver, amount, int(nonce), int(timestamp), raw)


def _transaction(fields: list[object]) -> Transaction:
    transaction_id, sender, receiver, amount, nonce, timestamp, signature = fields
    literal = text(amount, 32)
    if not is_amount(literal):
        raise Malformed("an amount that JavaScript prints otherwise")
    return Transaction(
        _unpack(transaction_id, 16),
        _unpack(sender, 8),
        _unpack(receiver, 8),
        literal,
        integer(nonce),
        integer(timestamp),
        octets(signature, 64),
    )


def _raw(signed: str, signature: str) -> Raw:
    parts = signed.split(":")
    if len(parts) == 6 and isinstance(transaction_of(parts, signature), Transaction):
        raise Malformed("a transaction within its grammar, kept as raw")
    return Raw(signed, signature)


def _pack(name: str, length: int) -> bytes | str:
    return bytes.fromhex(name) if _is_hex(name, length) else name


def _unpack(value: object, length: int) -> str:
    if type(value) is bytes:
        return octets(value, length).hex()
    name = _field(value, 64)
    if _is_hex(name, length):
        raise Malformed("hexadecimal that does not stand as bytes")
    return name


def _field(value: object, most: int) -> str:
    name = text(value, most)
    if not _FIELD.fullmatch(name):
        raise Malformed("a name without colon and control characters expected")
    return name


def _is_hex(name: str, length: int) -> bool:
    return re.fullmatch(f"[0-9a-f]{{{2 * length}}}", name) is not None


def _is_integer(literal: str) -> bool:
    return re.fullmatch("0|[1-9][0-9]{0,15}", literal) is not None and int(literal) < 1 << 53


def _base64(signature: str) -> bytes | None:
    try:
        raw = b64decode(signature, validate=True)
    except ValueError:
        return None
    return raw if len(raw) == 64 and b64encode(raw).decode() == signature else None
