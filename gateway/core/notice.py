"""What the coordinator tells every gateway, numbered and signed; docs/protocol/sync.md, "Notices".

notice     [number, kind, time, body bstr, signature bstr64]
1 EVIDENCE body: an evidence object
2 DECISION body: [key, nonce, [identity…], winner or null]
3 DEVICES  body: [[key, blocked 0|1]…], at most 256
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from gateway.core import cbor
from gateway.core.cbor import CborError, as_array, as_bytes, as_uint
from gateway.core.labels import Label, labelled
from gateway.core.wallet.objects import HASH_BYTES
from gateway.core.wallet.signature import KEY_BYTES, SIGNATURE_BYTES, verifies

MAX_BODY_BYTES = 16 << 10
MAX_DEVICES = 256
MAX_DECIDED = 64
"""Texts of one decision; a gateway keeps at most 8 under one nonce."""


class NoticeKind(IntEnum):
    EVIDENCE = 1
    DECISION = 2
    DEVICES = 3


@dataclass(frozen=True, slots=True)
class Notice:
    """``number`` counts from 1 without gaps, so that none is kept back unseen."""

    number: int
    kind: int
    unix_ms: int
    body: bytes
    signature: bytes

    def to_bytes(self) -> bytes:
        return cbor.encode([*self._said(), self.signature])

    @classmethod
    def read(cls, data: bytes) -> Notice:
        """Raises CborError; the signature is not looked at."""
        return cls.of(cbor.decode(data))

    @classmethod
    def of(cls, value: object) -> Notice:
        number, kind, unix_ms, body, signature = as_array(value, 5)
        return cls(
            as_uint(number),
            as_uint(kind),
            as_uint(unix_ms),
            as_bytes(body, limit=MAX_BODY_BYTES),
            as_bytes(signature, SIGNATURE_BYTES),
        )

    def is_signed_by(self, key: bytes) -> bool:
        return verifies(key, self.signature, labelled(Label.NOTICE, cbor.encode(self._said())))

    def _said(self) -> list[object]:
        return [self.number, self.kind, self.unix_ms, self.body]


@dataclass(frozen=True, slots=True)
class Decision:
    """What the coordinator made of the payments that ``key`` signed under ``nonce``.

    ``winner`` None: none stands. It knew of ``texts`` (identities); of a further one it says nothing.
    """

    key: bytes
    nonce: int
    texts: tuple[bytes, ...]
    winner: bytes | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that the coordinator knows by its key."""

    key: bytes
    blocked: bool


def read_decision(body: bytes) -> Decision:
    """Raises CborError."""
    key, nonce, texts, winner = as_array(cbor.decode(body), 4)
    identities = as_array(texts)
    if len(identities) > MAX_DECIDED:
        raise CborError(f"a decision about at most {MAX_DECIDED} texts expected")
    return Decision(
        as_bytes(key, KEY_BYTES),
        as_uint(nonce),
        tuple([as_bytes(one, HASH_BYTES) for one in identities]),
        None if winner is None else as_bytes(winner, HASH_BYTES),
    )


def read_devices(body: bytes) -> tuple[Device, ...]:
    """Raises CborError."""
    rows = as_array(cbor.decode(body))
    if len(rows) > MAX_DEVICES:
        raise CborError(f"at most {MAX_DEVICES} devices expected")
    return tuple([_device(*as_array(row, 2)) for row in rows])


def _device(key: object, blocked: object) -> Device:
    return Device(as_bytes(key, KEY_BYTES), bool(as_uint(blocked, 2)))
