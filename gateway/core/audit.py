"""The audit log's lines: who did what, each line carrying the hash of the one before it.

    {"at":1795000000000,"quality":"GPS","actor":"token office","act":"restart",
     "arguments":{"service":"lora"},"state":"done","detail":"","prev":"<64 hex digits>"}

``prev`` is SHA-256 of the previous line's bytes without its newline; that of ``GENESIS`` in the first one.
Whatever stands in the file is covered, a line that a power cut tore too; lines cut off at the end are not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from gateway.model import Stamp, TimeQuality

GENESIS = b"offgrid-gateway audit log"
MAX_LINE = 16_384
"""Bytes of a line without its newline; texts longer than the bounds below are cut, and end in an ellipsis."""
_DETAIL_CHARS = 200
_VALUE_CHARS = 100
_ARGUMENTS = 8


class State(StrEnum):
    """How far an act came. One that was BEGUN and has no end was cut off: by a crash, or by power."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What somebody did or was refused. ``actor`` says by which way too: ``token office``, ``user pi``."""

    at: Stamp
    actor: str
    act: str
    state: State
    arguments: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it stands; ``act`` is None where it cannot be read: torn or edited."""

    act: Act | None
    chained: bool


def link(line: bytes) -> bytes:
    """What the next line carries of this one: 32 bytes."""
    return hashlib.sha256(line).digest()


def encode(act: Act, previous: bytes) -> bytes:
    """The line without its newline, at most MAX_LINE bytes; ``previous`` is the :func:`link` of the last."""
    arguments = {_cut(name): _cut(value) for name, value in list(act.arguments.items())[:_ARGUMENTS]}
    document = {
        "at": act.at.unix_ms,
        "quality": act.at.quality.name,
        "actor": _cut(act.actor),
        "act": _cut(act.act),
        "arguments": arguments,
        "state": act.state.value,
        "detail": _cut(act.detail, _DETAIL_CHARS),
        "prev": previous.hex(),
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "backslashreplace")


def read(lines: Iterable[bytes], previous: bytes | None = None) -> Iterator[Line]:
    """Each line, and whether it carries the hash of the one before.

    ``previous`` None: the first line is taken at its word, as it must be once older files were dropped.
    """
    for line in lines:
        document = _document(line)
        said = None if document is None else document.get("prev")
        chained = isinstance(said, str) if previous is None else said == previous.hex()
        yield Line(None if document is None else _act(document), chained)
        previous = link(line)


def _document(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _act(document: Mapping[str, Any]) -> Act | None:
    try:
        return Act(
            at=Stamp(int(document["at"]), TimeQuality[document["quality"]]),
            actor=str(document["actor"]),
            act=str(document["act"]),
            state=State(document["state"]),
            arguments={str(name): str(value) for name, value in document["arguments"].items()},
            detail=str(document["detail"]),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _cut(text: str, chars: int = _VALUE_CHARS) -> str:
    """JSON makes at most 6 bytes of a character, so eight arguments and a detail always fit a line."""
    return text if len(text) <= chars else f"{text[: chars - 1]}…"
