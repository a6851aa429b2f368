"""Records of the spool as JSON: parts of messages, messages to send, the day's count; pure."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from drivers.gsm_at.budget import DayCount
from drivers.gsm_at.reassembly import Part
from drivers.gsm_at.userdata import Coding


class BadRecord(Exception):
    """A record that is none: an older version's, or a disk's mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message to send. ``parts_sent`` of its parts were confirmed; ``attempts`` were begun.

    ``reference`` stays the same however often it is sent, so that who joins the parts sees no second message.
    """

    key: str
    number: str
    payload: bytes
    text: bool
    priority: int
    queued_unix_s: float
    reference: int
    attempts: int = 0
    parts_sent: int = 0


def outgoing_key(number: str, payload: bytes, text: bool) -> str:
    """The same message to the same number is queued once."""
    return sha256(f"{number}|{int(text)}|".encode() + payload).hexdigest()[:32]


def outgoing_to_bytes(message: Outgoing) -> bytes:
    return _dump({**asdict(message), "payload": b64encode(message.payload).decode()})


def outgoing_from_bytes(record: bytes) -> Outgoing:
    """Raises :class:`BadRecord`."""
    fields = _load(record)
    try:
        return Outgoing(**{**fields, "payload": b64decode(fields["payload"], validate=True)})
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(str(error)) from error


def part_to_bytes(part: Part) -> bytes:
    return _dump({**asdict(part), "coding": part.coding.value, "data": b64encode(part.data).decode()})


def part_from_bytes(record: bytes) -> Part:
    """Raises :class:`BadRecord`."""
    fields = _load(record)
    try:
        data = b64decode(fields["data"], validate=True)
        return Part(**{**fields, "coding": Coding(fields["coding"]), "data": data})
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(str(error)) from error


def count_to_bytes(count: DayCount) -> bytes:
    return _dump(asdict(count))


def count_from_bytes(record: bytes) -> DayCount:
    """Raises :class:`BadRecord`."""
    fields = _load(record)
    try:
        return DayCount(int(fields["day"]), int(fields["spent"]))
    except (KeyError, TypeError, ValueError) as error:
        raise BadRecord(str(error)) from error


def _dump(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields, sort_keys=True).encode()


def _load(record: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise BadRecord(str(error)) from error
    if not isinstance(fields, dict):
        raise BadRecord("no object")
    return fields
