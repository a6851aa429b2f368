"""What the gateway answers, in JSON; docs/protocol/messages.md, "The wallet's JSON, over HTTP"."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.evidence import read_evidence
from gateway.core.message.downlink import Beacon, Inclusion, Loose, Nack, Promise, Resume
from gateway.core.refusal import Refusal
from gateway.model import KnownConflict

Json = dict[str, object]

HTTP_STATUS: dict[Refusal, int] = {
    Refusal.MALFORMED: 400,
    Refusal.COUNT: 422,
    Refusal.DUPLICATE: 422,
    Refusal.ROOT: 422,
    Refusal.SIGNATURE: 422,
    Refusal.TOO_LARGE: 413,
    Refusal.RATE_LIMITED: 429,
    Refusal.BLOCKED: 403,
    Refusal.STORAGE_FULL: 507,
    Refusal.BUSY: 503,
    Refusal.NOT_FOUND: 404,
    Refusal.UNSUPPORTED: 415,
    Refusal.HALTED: 503,
    Refusal.QUOTA: 403,
    Refusal.EXPIRED: 410,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """How many transactions of an upload were judged how; `known` ones were verified before."""

    verified: int = 0
    unverified: int = 0
    invalid: int = 0
    known: int = 0


def accepted(promise: Promise, contents: Sequence[bytes], tally: Tally, *, duplicate: bool) -> Json:
    """The answer to an accepted upload; `contents` are its H: a snapshot's one, or each transaction's."""
    entry = promise.entries[0]
    return {
        "status": "accepted",
        "duplicate": duplicate,
        "promise": {
            "origin": promise.origin,
            "index": entry.index,
            "receivedAt": entry.received_at_ms,
            "quality": entry.quality,
            "leaves": entry.leaves,
            "signature": _base64(promise.signature),
        },
        "content": contents[0].hex() if len(contents) == 1 else [content.hex() for content in contents],
        "transactions": {
            "verified": tally.verified,
            "unverified": tally.unverified,
            "invalid": tally.invalid,
            "known": tally.known,
        },
    }


def refused(nack: Nack) -> Json:
    return {
        "status": "refused",
        "code": nack.code.word,
        "retryAfter": nack.retry_after_s,
        "detail": nack.detail,
    }


def resume(message: Resume | Loose) -> Json:
    """With status 409: what to come back with."""
    if isinstance(message, Loose):
        return {"status": "loose"}
    return {
        "status": "resume",
        "bases": [{"count": count, "root": root.hex()} for count, root in message.bases],
    }


def inclusion(message: Inclusion) -> Json:
    return {
        "status": "included" if message.cosigned else "told",
        "origin": message.origin,
        "index": message.index,
        "entry": _base64(message.entry),
        "objectIndex": message.object_index,
        "objectPath": [node.hex() for node in message.object_path],
        "leafPath": [node.hex() for node in message.leaf_path],
        "checkpoint": message.checkpoint.decode(),
    }


def conflicts(known: Sequence[KnownConflict]) -> Json:
    """Beside a receipt: what else is known of its payments."""
    return {"conflicts": [_conflict(*one) for one in known]} if known else {}


def _conflict(evidence: bytes, decision: bytes | None) -> Json:
    return {
        "kind": read_evidence(evidence).kind.name,
        "evidence": _base64(evidence),
        "decision": None if decision is None else _base64(decision),
    }


def beacon(message: Beacon) -> Json:
    return {
        "gatewayId": message.gateway_id,
        "origin": message.origin,
        "key": _base64(message.key),
        "time": message.time_ms,
        "quality": message.quality,
        "checkpoint": None if message.checkpoint is None else message.checkpoint.decode(),
        "signature": _base64(message.signature),
    }


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
