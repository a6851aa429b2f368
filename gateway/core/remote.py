"""Orders of the coordinator, each signed for one gateway, and what comes back; docs/protocol/remote.md.

order      [number, expires, name, arguments bstr, signature bstr64]
signed     label offgrid/order over [gateway key, number, expires, name, arguments]
arguments  a JSON object, at most 16 KiB
answer     [number, kind, part, parts, bstr]
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any

from gateway.core import cbor
from gateway.core.cbor import as_array, as_bytes, as_text, as_uint
from gateway.core.labels import Label, labelled
from gateway.core.wallet.signature import SIGNATURE_BYTES, verifies

MAX_ARGUMENTS = 16 << 10
MAX_NAME = 32
MAX_LIFE_MS = 7 * 86_400_000
"""An order that is good for longer is refused: where a disk was set back, its expiry is all that ends it."""
MAX_PART_BYTES = 24 << 10
MAX_PARTS = 32
MAX_ANSWER_BYTES = MAX_PARTS * MAX_PART_BYTES
"""768 KiB: what is longer stays on the gateway's disk, and its path is told."""


@dataclass(frozen=True, slots=True)
class Order:
    """``expires_ms`` since 1970. ``number`` only grows; gaps mean nothing."""

    number: int
    expires_ms: int
    name: str
    arguments: bytes
    signature: bytes

    @classmethod
    def of(cls, value: object) -> Order:
        """Raises CborError; the signature is not looked at."""
        number, expires_ms, name, arguments, signature = as_array(value, 5)
        return cls(
            as_uint(number),
            as_uint(expires_ms),
            as_text(name, MAX_NAME),
            as_bytes(arguments, limit=MAX_ARGUMENTS),
            as_bytes(signature, SIGNATURE_BYTES),
        )

    def fields(self) -> list[object]:
        return [self.number, self.expires_ms, self.name, self.arguments, self.signature]

    def is_signed_by(self, coordinator: bytes, gateway: bytes) -> bool:
        """For this gateway; both keys have 32 bytes."""
        said = [gateway, self.number, self.expires_ms, self.name, self.arguments]
        return verifies(coordinator, self.signature, labelled(Label.ORDER, cbor.encode(said)))


class Refused(StrEnum):
    """Why an order is not carried out: the first word of the answer, and of the audit log's line."""

    FORGED = "forged"
    REPLAYED = "replayed"
    EXPIRED = "expired"
    TOO_LONG = "too_long"
    UNKNOWN = "unknown"
    MALFORMED = "malformed"
    BUSY = "busy"


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who judges: its own key, its coordinator's, the last number that was carried out, and its time."""

    key: bytes
    coordinator: bytes
    last: int
    now_ms: int


def judge(order: Order, to: Recipient, names: Collection[str]) -> str | None:
    """Why the order is refused, the word first; None: it is to be carried out."""
    if not order.is_signed_by(to.coordinator, to.key):
        return f"{Refused.FORGED}: not signed by the pinned coordinator for this gateway"
    if order.number <= to.last:
        return f"{Refused.REPLAYED}: number {order.number}, carried out was {to.last} already"
    if order.expires_ms <= to.now_ms:
        return f"{Refused.EXPIRED}: {(to.now_ms - order.expires_ms) // 1000} s ago by this gateway's clock"
    if order.expires_ms - to.now_ms > MAX_LIFE_MS:
        return f"{Refused.TOO_LONG}: it would be good for more than {MAX_LIFE_MS // 86_400_000} days"
    if order.name not in names:
        return f"{Refused.UNKNOWN}: there are: {', '.join(sorted(names))}"
    return None


def read_arguments(data: bytes) -> Mapping[str, Any]:
    """The JSON object that an order carries; empty bytes are an empty one. Raises ValueError."""
    try:
        value = json.loads(data) if data else {}
    except RecursionError:
        raise ValueError("arguments nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError("arguments are a JSON object")
    return value


class Kind(IntEnum):
    """What the bytes of an answer are."""

    REFUSED = 0  # words, UTF-8
    JSON = 1
    FILE = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """Part ``part`` (from 0) of ``parts`` that answer order ``number``."""

    number: int
    kind: int
    part: int
    parts: int
    data: bytes


def pieces(number: int, kind: Kind, data: bytes) -> Iterator[Piece]:
    """The answer as it goes out. Raises ValueError where it is longer than MAX_ANSWER_BYTES."""
    if len(data) > MAX_ANSWER_BYTES:
        raise ValueError(f"an answer of {len(data)} bytes, at most {MAX_ANSWER_BYTES}")
    parts = max(1, -(-len(data) // MAX_PART_BYTES))
    for part in range(parts):
        yield Piece(number, kind, part, parts, data[part * MAX_PART_BYTES :][:MAX_PART_BYTES])
