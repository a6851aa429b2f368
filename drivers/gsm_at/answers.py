"""What modems answer, parsed: reply lines in, values out, None where nothing was told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

_FIELD = re.compile(r' *("[^"]*"|\([^)]*\)|[^,]*)(?:,|$)')
MAX_VALUE = 1 << 20  # of any number a modem tells us


@dataclass(frozen=True, slots=True)
class Slot:
    """A message in a storage: ``kind`` 0 unread, 1 read, 2 unsent, 3 sent (TS 27.005 clause 3.1)."""

    index: int
    kind: int
    pdu: str


@dataclass(frozen=True, slots=True)
class Storage:
    """How full a storage is."""

    used: int
    total: int


def told(lines: Sequence[str], name: str) -> list[str]:
    """What stands behind ``name:`` in the lines that begin so."""
    return [line[len(name) + 1 :].strip() for line in lines if line.startswith(name + ":")]


def fields(text: str) -> list[str]:
    """Comma-separated, quotes taken off, brackets kept whole."""
    if not text:
        return []
    return [match[1].strip().strip('"') for match in _FIELD.finditer(text) if match.start() < len(text)]


def number(text: str) -> int | None:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and int(text[:8]) < MAX_VALUE else None


def numbers(text: str) -> frozenset[int]:
    """``(0-3,5)`` as a set."""
    found: set[int] = set()
    for piece in text.strip("() ").split(","):
        low, _, high = piece.partition("-")
        first, last = number(low), number(high or low)
        if first is not None and last is not None and last < 256:
            found.update(range(first, last + 1))
    return frozenset(found)


def bare(lines: Sequence[str]) -> str:
    """The first line that is no ``+NAME: …``: a model, a serial number."""
    return next((line for line in lines if not re.match(r"[+^*$#][A-Z0-9]+:", line)), "")


def registration(lines: Sequence[str], name: str) -> int | None:
    """``<stat>`` of ``AT+CREG?`` and its like; an unsolicited one among them has a single field."""
    for text in told(lines, name):
        parts = fields(text)
        if len(parts) >= 2 and (stat := number(parts[1])) is not None:
            return stat
    return None


def registration_urc(line: str) -> int | None:
    """``<stat>`` of an unsolicited ``+CREG: 5,…``."""
    return number(fields(line.partition(":")[2].strip())[0]) if line.partition(":")[2].strip() else None


def signal_dbm(lines: Sequence[str]) -> float | None:
    """``AT+CSQ`` in dBm (TS 27.007 clause 8.5); 99 is unknown, from 100 on other radios' scales."""
    for text in told(lines, "+CSQ"):
        level = number(fields(text)[0]) if text else None
        if level is not None and level <= 31:
            return -113.0 + 2 * level
    return None


def operator(lines: Sequence[str]) -> str:
    for text in told(lines, "+COPS"):
        parts = fields(text)
        if len(parts) >= 3:
            return parts[2][:32]
    return ""


def pin_state(lines: Sequence[str]) -> str:
    """``READY``, ``SIM PIN``, ``SIM PUK``, …"""
    return next(iter(told(lines, "+CPIN")), "")


def storages_offered(lines: Sequence[str]) -> list[list[str]]:
    """The three lists of ``AT+CPMS=?``: to read from, to write to, to receive into."""
    for text in told(lines, "+CPMS"):
        return [[name.strip(' "') for name in group.strip("()").split(",")] for group in fields(text)]
    return []


def storage_fill(lines: Sequence[str]) -> Storage | None:
    """The first pair of ``AT+CPMS=…``: the storage that is read."""
    for text in told(lines, "+CPMS"):
        parts = [number(part) for part in fields(text)[:2]]
        if len(parts) == 2 and parts[0] is not None and parts[1] is not None:
            return Storage(parts[0], parts[1])
    return None


def indications_offered(lines: Sequence[str]) -> list[frozenset[int]]:
    """The groups of ``AT+CNMI=?``: mode, mt, bm, ds, bfr."""
    for text in told(lines, "+CNMI"):
        return [numbers(group) for group in fields(text)]
    return []


def listed(lines: Sequence[str]) -> Iterator[Slot]:
    """``AT+CMGL=4``: each head with the PDU below it. A head without a PDU is a slot that cannot be read."""
    for head, below in pairwise([*lines, ""]):
        if not head.startswith("+CMGL:"):
            continue
        parts = fields(head.partition(":")[2].strip())
        index = number(parts[0]) if parts else None
        kind = number(parts[1]) if len(parts) > 1 else None
        if index is not None and kind is not None:
            yield Slot(index, kind, "" if below.startswith("+CMGL:") else below)


def read_message(lines: Sequence[str], index: int) -> Slot | None:
    """``AT+CMGR``: head and PDU; None where the slot is empty."""
    for head, below in pairwise(lines):
        if head.startswith("+CMGR:"):
            parts = fields(head.partition(":")[2].strip())
            return Slot(index, (number(parts[0]) if parts else None) or 0, below)
    return None


def arrival(line: str) -> tuple[str, int] | None:
    """Storage and index of ``+CMTI: "SM",3`` and ``+CDSI``."""
    parts = fields(line.partition(":")[2].strip())
    index = number(parts[1]) if len(parts) == 2 else None
    return None if index is None else (parts[0], index)


def message_reference(lines: Sequence[str]) -> int | None:
    """``+CMGS: 17``: TP-MR, which wraps at 255."""
    for text in told(lines, "+CMGS"):
        parts = fields(text)
        reference = number(parts[0]) if parts else None
        if reference is not None and reference < 256:
            return reference
    return None
