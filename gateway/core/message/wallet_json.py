"""What wallets send, from their own JSON; docs/protocol/messages.md, "The wallet's JSON, over HTTP".

Number literals are kept as they stand, for they stand so in the signed text. The six fields of a
transaction are rendered as JavaScript renders them into that text, whatever their type, and its grammar is
judged on the result.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import NoReturn, TypeVar

from gateway.core.message.uplink import refuse_unreceiptable
from gateway.core.refusal import Refusal, Refused
from gateway.core.wallet.numbers import is_canonical_integer
from gateway.core.wallet.signature import KEY_BYTES
from gateway.core.wallet.snapshot import Snapshot
from gateway.core.wallet.transaction import (
    MAX_STATUS,
    Receipt,
    Transaction,
    is_field,
    read_signature,
    read_transaction,
)
from gateway.core.wallet.upload import LedgerItem, SnapshotUpload, TransactionsUpload

T = TypeVar("T")

_ROOT_CHARS = 64
_LOWER_HEX = re.compile(r"[0-9a-f]*")
_MISSING = object()


class _Number(str):
    """A JSON number's literal."""

    __slots__ = ()


class _JsonError(ValueError):
    """The text is JSON, but not this message; or not JSON."""


def decode_snapshot(body: bytes, *, max_bytes: int) -> SnapshotUpload:
    """Reads the body of ``POST /v1/snapshots``; raises `Refused` with TOO_LARGE or MALFORMED."""
    return _refusing(body, max_bytes, _read_snapshot_upload)


def decode_transactions(body: bytes, *, max_bytes: int) -> TransactionsUpload:
    """Reads the body of ``POST /v1/transactions``; raises `Refused` with TOO_LARGE or MALFORMED."""
    return _refusing(body, max_bytes, _read_transactions_upload)


def decode_upload(body: bytes, *, max_bytes: int) -> SnapshotUpload | TransactionsUpload:
    """Either of these, as a radio brings them, where no path says which; raises `Refused` likewise."""
    return _refusing(body, max_bytes, _read_upload)


def _refusing(body: bytes, max_bytes: int, read: Callable[[dict[str, object]], T]) -> T:
    if len(body) > max_bytes:
        raise Refused(Refusal.TOO_LARGE, f"{len(body)} bytes seen, {max_bytes} allowed")
    try:
        return read(_object(_parse(body), "the message"))
    except UnicodeError as error:  # also a lone surrogate in a field, which no signature can cover
        raise Refused(Refusal.MALFORMED, "not UTF-8") from error
    except RecursionError as error:
        raise Refused(Refusal.MALFORMED, "nested too deep") from error
    except ValueError as error:
        raise Refused(Refusal.MALFORMED, str(error)) from error


def _parse(body: bytes) -> object:
    return json.loads(
        body.decode(),
        parse_int=_Number,
        parse_float=_Number,
        parse_constant=_refuse_constant,
        object_pairs_hook=_refuse_duplicate_names,
    )


def _read_upload(envelope: dict[str, object]) -> SnapshotUpload | TransactionsUpload:
    return _read_snapshot_upload(envelope) if "snapshot" in envelope else _read_transactions_upload(envelope)


def _read_snapshot_upload(envelope: dict[str, object]) -> SnapshotUpload:
    base_count, base_root = _read_base(envelope.get("base"))
    return SnapshotUpload(
        _read_key(envelope.get("publicKey")),
        _read_snapshot(_object(envelope.get("snapshot"), "snapshot")),
        _read_items(envelope.get("transactions")),
        base_count,
        base_root,
    )


def _read_transactions_upload(envelope: dict[str, object]) -> TransactionsUpload:
    key = _read_key(envelope.get("publicKey"))
    items = _read_items(envelope.get("transactions"))
    refuse_unreceiptable(items)
    return TransactionsUpload(key, items)


def _read_base(base: object) -> tuple[int, bytes | None]:
    if base is None:
        return 0, None
    fields = _object(base, "base")
    count = _integer(fields.get("count"), "base.count")
    if not count:
        raise _JsonError("base.count is at least 1")
    return count, _root(fields.get("root"), "base.root")


def _read_snapshot(fields: dict[str, object]) -> Snapshot:
    signature = fields.get("signature")
    signature_bytes = read_signature(signature) if type(signature) is str else None
    if signature_bytes is None:
        raise _JsonError("snapshot.signature is not base64 of 64 bytes")
    return Snapshot(
        _root(fields.get("root"), "snapshot.root"),
        _integer(fields.get("timestamp"), "snapshot.timestamp"),
        _integer(fields.get("txCount"), "snapshot.txCount"),
        signature_bytes,
    )


def _read_items(items: object) -> tuple[LedgerItem, ...]:
    if type(items) is not list:
        raise _JsonError("transactions is not a list")
    return tuple([_read_item(_object(item, "a transaction")) for item in items])


def _read_item(fields: dict[str, object]) -> LedgerItem:
    get = fields.get
    signature = get("signature")
    transaction = read_transaction(
        (
            _rendered(get("id", _MISSING)),
            _rendered(get("from", _MISSING)),
            _rendered(get("to", _MISSING)),
            _rendered(get("amount", _MISSING)),
            _rendered(get("nonce", _MISSING)),
            _rendered(get("timestamp", _MISSING)),
        ),
        signature if type(signature) is str else "",
    )
    receipt = get("receipt")
    if not isinstance(transaction, Transaction) or type(receipt) is not dict:
        return LedgerItem(transaction)
    return LedgerItem(transaction, _read_receipt(receipt, transaction.id))


def _read_receipt(fields: dict[str, object], transaction_id: str) -> Receipt | None:
    """The receipt, or None: one that is another's or out of its grammar binds nobody, and is not kept."""
    status, timestamp, text = fields.get("status"), fields.get("timestamp"), fields.get("receiverSignature")
    if fields.get("txId") != transaction_id or type(status) is not str or type(text) is not str:
        return None
    signature = read_signature(text)
    if signature is None or not is_field(status, MAX_STATUS):
        return None
    if type(timestamp) is not _Number or not is_canonical_integer(timestamp):
        return None
    return Receipt(status, int(timestamp), signature)


def _rendered(value: object) -> str:
    """`value` as JavaScript's template literal prints it; a structure has no place in a signed text."""
    if isinstance(value, str):
        return str(value)  # a literal, too, as plain text
    if value is _MISSING:
        return "undefined"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    raise _JsonError("a transaction's field is a structure")


def _read_key(text: object) -> bytes:
    if type(text) is str and len(text) == 44 and text.isascii():
        key = b64decode(text, validate=True)
        if len(key) == KEY_BYTES and b64encode(key).decode() == text:
            return key
    raise _JsonError("publicKey is not base64 of 32 bytes")


def _root(text: object, name: str) -> bytes:
    if type(text) is str and len(text) == _ROOT_CHARS and _LOWER_HEX.fullmatch(text):
        return bytes.fromhex(text)
    raise _JsonError(f"{name} is not 64 lower-case hexadecimal characters")


def _integer(value: object, name: str) -> int:
    if type(value) is _Number and is_canonical_integer(value):
        return int(value)
    raise _JsonError(f"{name} is not an integer below 2^53")


def _object(value: object, name: str) -> dict[str, object]:
    if type(value) is not dict:
        raise _JsonError(f"{name} is not an object")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise _JsonError(f"{name} is not JSON")


def _refuse_duplicate_names(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """RFC 8259 section 4 leaves open which of two equal names counts: readers would differ."""
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _JsonError("one name stands twice in an object")
    return fields
