"""What devices send, from deterministic CBOR; docs/protocol/messages.md, "Device messages"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import partial

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_uint
from gateway.core.message.downlink import Promise, read_promise
from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.objects import (
    HASH_BYTES,
    encode_transaction_fields,
    read_receipt_fields,
    read_snapshot_fields,
    read_transaction_fields,
    refuse_disguised,
    transaction_object,
)
from gateway.core.wallet.signature import KEY_BYTES
from gateway.core.wallet.transaction import OversizeTransaction, RawTransaction, keep_raw
from gateway.core.wallet.upload import MAX_LOOSE, LedgerItem, SnapshotUpload, TransactionsUpload


class Up(IntEnum):
    """First element of an uplink message."""

    HELLO = 1
    SNAPSHOT = 2
    TRANSACTIONS = 3
    STATUS = 4
    ECHO = 6


@dataclass(frozen=True, slots=True)
class Hello:
    """A device that says its key, and wants a BEACON."""

    key: bytes


@dataclass(frozen=True, slots=True)
class StatusQuery:
    """Asks for the receipt of a content hash."""

    content: bytes


@dataclass(frozen=True, slots=True)
class Echo:
    """A promise as the wallet holds it, and the contents that it is of, in order."""

    promise: Promise
    contents: tuple[bytes, ...]


Uplink = Echo | Hello | SnapshotUpload | TransactionsUpload | StatusQuery


def decode_uplink(data: bytes, *, max_bytes: int) -> Uplink:
    """Reads one message of at most `max_bytes`; raises `Refused` with TOO_LARGE, UNSUPPORTED or MALFORMED."""
    if len(data) > max_bytes:
        raise Refused(Refusal.TOO_LARGE, f"{len(data)} bytes seen, {max_bytes} allowed")
    objects: list[bytes | None] = []
    try:
        return _read(as_array(cbor.decode_with(data, partial(_encode, objects))), tuple(objects))
    except CborError as error:
        raise Refused(Refusal.MALFORMED, str(error)) from error


def _encode(objects: list[bytes | None], value: object) -> bytes:
    """`cbor.encode` of a message; leaves the transactions of its list, if it has one, encoded as objects."""
    if type(value) is not list or not value or type(value[-1]) is not list:
        return cbor.encode(value)
    *head, items = value
    before = cbor.encode([*head, []])[:-1]
    return before + cbor.array_head(len(items)) + b"".join([_encode_item(objects, item) for item in items])


def _encode_item(objects: list[bytes | None], item: object) -> bytes:
    if type(item) is not list or not 7 <= len(item) <= 8:
        objects.append(None)
        return cbor.encode(item)
    fields = encode_transaction_fields(item[:7])
    objects.append(transaction_object(fields))
    return fields if len(item) == 7 else b"\x88" + fields[1:] + cbor.encode(item[7])


def _read(array: list[object], objects: tuple[bytes | None, ...]) -> Uplink:
    if not array:
        raise CborError("an empty array is no message")
    kind = as_uint(array[0])
    match [kind, *array[1:]]:
        case [Up.HELLO, key]:
            return Hello(as_bytes(key, KEY_BYTES))
        case [Up.SNAPSHOT, key, snapshot, base_count, base_root, items]:
            return _read_snapshot(key, snapshot, base_count, base_root, items, objects)
        case [Up.TRANSACTIONS, key, items]:
            return _read_transactions(key, items)
        case [Up.STATUS, content]:
            return StatusQuery(as_bytes(content, HASH_BYTES))
        case [Up.ECHO, promise, contents]:
            return _read_echo(promise, contents)
    if kind in list(Up):
        raise CborError(f"{len(array)} elements do not make a {Up(kind).name}")
    raise Refused(Refusal.UNSUPPORTED, f"no uplink message of type {kind}")


def _read_echo(promise: object, contents: object) -> Echo:
    hashes = tuple([as_bytes(content, HASH_BYTES) for content in as_array(contents)])
    if not 1 <= len(hashes) <= MAX_LOOSE:
        raise CborError(f"1 to {MAX_LOOSE} contents expected, {len(hashes)} seen")
    return Echo(read_promise(promise), hashes)


def _read_snapshot(
    key: object,
    snapshot: object,
    base_count: object,
    base_root: object,
    items: object,
    objects: tuple[bytes | None, ...],
) -> SnapshotUpload:
    count = as_uint(base_count)
    root = None if base_root is None else as_bytes(base_root, HASH_BYTES)
    if (count == 0) != (root is None):
        raise CborError("base_count 0 and no base_root belong together")
    return SnapshotUpload(
        as_bytes(key, KEY_BYTES), read_snapshot_fields(snapshot), _read_items(items), count, root, objects
    )


def _read_transactions(key: object, items: object) -> TransactionsUpload:
    said = None if key is None else as_bytes(key, KEY_BYTES)
    upload = TransactionsUpload(said, _read_items(items))
    refuse_unreceiptable(upload.items)
    return upload


def refuse_unreceiptable(items: tuple[LedgerItem, ...]) -> None:
    """Loose transactions are promised one by one by their object, so their number and form are bounded."""
    if not 1 <= len(items) <= MAX_LOOSE:
        raise CborError(f"1 to {MAX_LOOSE} transactions expected, {len(items)} seen")
    if any(isinstance(item.transaction, OversizeTransaction) for item in items):
        raise CborError("a raw transaction's text has at most 512 bytes")


def _read_items(items: object) -> tuple[LedgerItem, ...]:
    return tuple([_read_item(as_array(item, 7, 8, 2)) for item in as_array(items)])


def _read_item(fields: list[object]) -> LedgerItem:
    if len(fields) == 7:
        return LedgerItem(read_transaction_fields(fields))
    if len(fields) == 8:
        return LedgerItem(read_transaction_fields(fields[:7]), read_receipt_fields(fields[7]))
    return LedgerItem(_read_raw(*fields))


def _read_raw(text: object, signature_text: object) -> RawTransaction | OversizeTransaction:
    if type(text) is not str or type(signature_text) is not str:
        raise CborError("a raw transaction is two texts")
    raw = keep_raw(text, signature_text)
    if isinstance(raw, RawTransaction):
        refuse_disguised(raw)
    return raw
