"""What a person asks about conflicts: which there are, what shows them, what the coordinator made of them.

Answers are plain values that JSON can carry; the command line prints them.
"""

from __future__ import annotations

from base64 import b64encode

from gateway.core.conflict import KnownTexts
from gateway.core.evidence import Spent, read_evidence
from gateway.core.notice import Notice, read_decision
from gateway.errors import CommandError
from gateway.store import Store

Answer = dict[str, object]

MAX_LISTED = 1000


async def listed(store: Store) -> list[Answer]:
    """Every conflict, the newest first; at most :data:`MAX_LISTED`."""
    return [_line(one) for one in await store.conflicts(MAX_LISTED)]


async def shown(store: Store, device: object, nonce: int | None) -> Answer:
    """One conflict with its evidence. Raises CommandError where there is none such."""
    for one in await store.conflicts(MAX_LISTED):
        if (one.device, one.nonce) == (device, nonce):
            return _line(one) | _details(one)
    raise CommandError(f"no conflict of {device} at nonce {nonce}; run: offgrid-gateway conflicts list")


def _line(one: KnownTexts) -> Answer:
    return {
        "device": one.device,
        "nonce": one.nonce,
        "kind": one.kind.name,
        "texts": one.texts,
        "state": _state(one),
        "suggested": None if one.suggestion is None else one.suggestion.rule.value,
    }


def _state(one: KnownTexts) -> str:
    if one.decided:
        return "decided"
    return "awaiting body" if one.evidence is None else "pending"


def _details(one: KnownTexts) -> Answer:
    winner = None if one.suggestion is None else one.suggestion.winner
    return {
        "evidence": None if one.evidence is None else b64encode(one.evidence).decode(),
        "payments": [] if one.evidence is None else payments(one.evidence),
        "suggestedWinner": None if winner is None else winner.hex(),
        "decision": None if one.decision is None else _decision(one.decision),
    }


def payments(evidence: bytes) -> list[Answer]:
    """Both payments of evidence of a double spend or a duplicate nonce; nothing for other evidence."""
    found = read_evidence(evidence)
    if not isinstance(found, Spent):
        return []
    return [
        {
            "identity": payment.identity.hex(),
            "id": payment.id,
            "from": payment.sender,
            "to": payment.receiver,
            "amount": payment.amount,
            "nonce": payment.nonce,
            "timestamp": payment.timestamp_ms,
        }
        for payment in (found.first, found.second)
    ]


def _decision(data: bytes) -> Answer:
    notice = Notice.read(data)
    decision = read_decision(notice.body)
    return {
        "at": notice.unix_ms,
        "winner": None if decision.winner is None else decision.winner.hex(),
        "texts": [text.hex() for text in decision.texts],
        "notice": b64encode(data).decode(),
    }
