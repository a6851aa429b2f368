"""What the gateway answers, in deterministic CBOR; docs/protocol/messages.md, "Device messages"."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_text, as_uint
from gateway.core.refusal import Refusal, Refused


class Down(IntEnum):
    """First element of a downlink message."""

    PROMISE = 16
    NACK = 17
    RESUME = 18
    LOOSE = 19
    INCLUSION = 20
    CONFLICT = 21
    BEACON = 22


@dataclass(frozen=True, slots=True)
class PromisedEntry:
    """One entry of a promise.

    Without `leaf`, the receiver computes its next `leaves` leaves itself; with it, the item is for whoever's
    leaf it is. `received_at_ms` and `quality` (0 to 3) are of the gateway's clock.
    """

    index: int
    received_at_ms: int
    quality: int
    leaf: bytes | None = None
    leaves: int = 1


@dataclass(frozen=True, slots=True)
class Promise:
    """Signed: these are on disk. `origin` is the text, or 4 bytes of its hash for a small frame."""

    origin: str | bytes
    signature: bytes
    entries: tuple[PromisedEntry, ...]


@dataclass(frozen=True, slots=True)
class Nack:
    """A refusal; `retry_after_s` 0: coming again does not help."""

    code: Refusal
    retry_after_s: int = 0
    detail: str = ""

    @classmethod
    def of(cls, refused: Refused) -> Nack:
        return cls(refused.code, refused.retry_after_s, refused.detail)


@dataclass(frozen=True, slots=True)
class Resume:
    """Prefixes (count, wallet root) of the device's ledger that are held: at most three, longest first."""

    bases: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True, slots=True)
class Loose:
    """Bring the transactions without a snapshot."""


@dataclass(frozen=True, slots=True)
class Inclusion:
    """Object in entry (`object_path`), entry in log (`leaf_path`), and the checkpoint. `cosigned` False: the
    coordinator was told that checkpoint by text message; nobody but the gateway has signed it."""

    origin: str
    index: int
    entry: bytes
    object_index: int
    object_path: tuple[bytes, ...]
    leaf_path: tuple[bytes, ...]
    checkpoint: bytes
    cosigned: bool = True


@dataclass(frozen=True, slots=True)
class Beacon:
    """Who the gateway is and what time it thinks it is."""

    gateway_id: str
    origin: str
    key: bytes
    time_ms: int
    quality: int
    checkpoint: bytes | None
    signature: bytes


@dataclass(frozen=True, slots=True)
class Conflict:
    """A receipt for content in which payments stand that cannot both be: evidence objects, at most two, and
    the coordinator's newest decision (a signed notice) about the first of them."""

    receipt: Promise | Inclusion
    evidence: tuple[bytes, ...]
    decision: bytes | None = None


Downlink = Promise | Nack | Resume | Loose | Inclusion | Conflict | Beacon


def beacon_payload(
    gateway_id: str, origin: str, key: bytes, time_ms: int, quality: int, checkpoint: bytes | None
) -> bytes:
    """What a beacon's signature covers behind the label ``offgrid/beacon``."""
    return cbor.encode([gateway_id, origin, key, time_ms, quality, checkpoint])


def encode_downlink(message: Downlink) -> bytes:
    return cbor.encode(_fields(message))


MAX_PROMISED = 64
"""Items of one promise, and leaves of one item."""


def read_promise(value: object) -> Promise:
    """A PROMISE as a wallet shows it again; raises CborError. Its signature is not looked at."""
    kind, origin, signature, items = as_array(value, 4)
    if as_uint(kind) != Down.PROMISE:
        raise CborError("a PROMISE expected")
    rows = as_array(items)
    if not 1 <= len(rows) <= MAX_PROMISED:
        raise CborError(f"1 to {MAX_PROMISED} items expected, {len(rows)} seen")
    name = as_bytes(origin, 4) if type(origin) is bytes else as_text(origin, 128)
    return Promise(name, as_bytes(signature, 64), tuple([_read_item(row) for row in rows]))


def _read_item(row: object) -> PromisedEntry:
    index, received_at_ms, quality, leaf, leaves = as_array(row, 5)
    return PromisedEntry(
        as_uint(index),
        as_uint(received_at_ms),
        as_uint(quality, 4),
        None if leaf is None else as_bytes(leaf, 32),
        as_uint(leaves, MAX_PROMISED + 1),
    )


def _fields(message: Downlink) -> list[object]:
    match message:
        case Promise(origin, signature, entries):
            items = [[e.index, e.received_at_ms, e.quality, e.leaf, e.leaves] for e in entries]
            return [Down.PROMISE, origin, signature, items]
        case Nack(code, retry_after_s, detail):
            return [Down.NACK, code, retry_after_s, detail]
        case Resume(bases):
            return [Down.RESUME, [[count, root] for count, root in bases]]
        case Loose():
            return [Down.LOOSE]
        case Inclusion(origin, index, entry, at, object_path, leaf_path, checkpoint):
            return [Down.INCLUSION, origin, index, entry, at, list(object_path), list(leaf_path), checkpoint]
        case Conflict(receipt, evidence, decision):
            return [Down.CONFLICT, _fields(receipt), list(evidence), decision]
        case Beacon(gateway_id, origin, key, time_ms, quality, checkpoint, signature):
            return [Down.BEACON, gateway_id, origin, key, time_ms, quality, checkpoint, signature]
