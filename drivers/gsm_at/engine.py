"""The AT dialogue without a port: bytes in, replies and unsolicited codes out (V.250, 3GPP TS 27.005/27.007).

One command at a time. Unsolicited result codes may stand anywhere, also inside a reply; a line that is none
and not a final result belongs to the pending command. Between the prompt and ^Z only the payload is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

ESC = b"\x1b"
CTRL_Z = b"\x1a"
# Bounds. A modem at the wrong speed, or gone mad, fills neither a line nor a reply.
MAX_LINE = 1024  # the longest is a PDU: 2 * (12 + 164) digits
MAX_REPLY_LINES = 1024  # AT+CMGL of 255 slots takes 511

# Lines that nobody asked for, unless the pending command asks under the same name.
URC_NAMES = (
    *("+CMTI", "+CMT", "+CDSI", "+CDS", "+CBMI", "+CBM", "+CREG", "+CGREG", "+CEREG", "+CPIN", "+CFUN"),
    *("+CUSD", "+CRING", "+CLIP", "+CCWA", "+CIEV", "+CTZV", "+CTZE", "+CGEV", "+CSQN", "+SIMCARD"),
    *("+QIND", "+QUSIM", "+QSIMSTAT", "+STIN", "+PSUTTZ", "*PSUTTZ", "*PSNWID", "+PACSP", "^SMMEMFULL"),
)
URC_LINES = frozenset(
    {
        *(
            "RING",
            "RDY",
            "Call Ready",
            "SMS Ready",
            "SMS DONE",
            "PB DONE",
            "START",
            "NO CARRIER",
            "+SMSFULL",
            "+SMS FULL",
        ),
        *("POWERED DOWN", "NORMAL POWER DOWN", "UNDER-VOLTAGE POWER DOWN", "UNDER-VOLTAGE WARNING"),
        *(
            "UNDER-VOLTAGE WARNNING",
            "OVER-VOLTAGE POWER DOWN",
            "OVER-VOLTAGE WARNING",
            "OVER-VOLTAGE WARNNING",
        ),
    }
)
_WITH_PDU = ("+CMT", "+CDS", "+CBM")
_NAME = re.compile(r"([+^*$#][A-Z0-9]+)(?=:)")
_COMMAND_NAMES = re.compile(r"(?:^AT|;)([+^*$#][A-Z0-9]+)")
_ERROR = re.compile(r"\+(CME|CMS) ERROR: *(.*)")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{2})+")


@dataclass(frozen=True, slots=True)
class Reply:
    """A command's information lines and its final result: ``OK``, ``ERROR``, ``CME`` or ``CMS`` with a code.

    ``code`` is -1 where the modem gave none, or spoke in words.
    """

    command: str
    lines: tuple[str, ...]
    result: str
    code: int = -1

    @property
    def ok(self) -> bool:
        return self.result == "OK"


@dataclass(frozen=True, slots=True)
class Prompt:
    """The modem waits for the payload."""


@dataclass(frozen=True, slots=True)
class Urc:
    """An unsolicited line; with ``pdu`` where one follows it (``+CMT``, ``+CDS``, ``+CBM``)."""

    line: str
    pdu: str = ""


@dataclass(frozen=True, slots=True)
class Stray:
    """An answer to nothing that is pending: late, after its command was given up."""

    line: str


@dataclass(frozen=True, slots=True)
class Overrun:
    """So many bytes without a line's end were thrown away."""

    dropped: int


Event = Reply | Prompt | Urc | Stray | Overrun


class _State(Enum):
    RUNNING = 1
    WANTS_PROMPT = 2
    PROMPTED = 3


@dataclass(slots=True)
class _Pending:
    command: str
    names: tuple[str, ...]
    state: _State
    payload: str = ""
    lines: list[str] = field(default_factory=list)


class AtEngine:
    """Owned by one writer; raises :class:`RuntimeError` when that one breaks the order of things."""

    def __init__(self) -> None:
        self._pending: _Pending | None = None
        self._line = bytearray()
        self._overrun = 0
        self._headed: str = ""  # an unsolicited line whose PDU is to come

    def command(self, text: str, *, prompt: bool = False) -> bytes:
        """What to write; ``prompt`` where the modem is to ask for a payload."""
        if self._pending is not None:
            raise RuntimeError(f"{text} while {self._pending.command} is pending")
        state = _State.WANTS_PROMPT if prompt else _State.RUNNING
        self._pending = _Pending(text, tuple(_COMMAND_NAMES.findall(text)), state)
        return text.encode("ascii") + b"\r"

    def payload(self, pdu: str) -> bytes:
        """The PDU and ^Z, once prompted."""
        if self._pending is None or self._pending.state is not _State.PROMPTED:
            raise RuntimeError("no prompt")
        self._pending.state = _State.RUNNING
        self._pending.payload = pdu
        return pdu.encode("ascii") + CTRL_Z

    def escape(self) -> bytes:
        """Give up whatever is pending; the modem leaves a prompt by ESC without sending anything."""
        self._pending = None
        return ESC

    def feed(self, data: bytes) -> list[Event]:
        """Take what the port read, in any pieces."""
        events: list[Event] = []
        for piece in re.split(rb"([\r\n])", data):
            if piece in (b"\r", b"\n"):
                self._end_line(events)
            else:
                self._extend_line(piece)
            self._see_prompt(events)
        return events

    def _extend_line(self, piece: bytes) -> None:
        room = MAX_LINE - len(self._line)
        self._line += piece[:room]
        self._overrun += max(0, len(piece) - room)

    def _end_line(self, events: list[Event]) -> None:
        line = self._line.decode("latin-1").strip(" \t\0\x1a\x1b")
        dropped, self._overrun = self._overrun, 0
        self._line.clear()
        if dropped:
            events.append(Overrun(dropped + len(line)))
        elif line:
            self._take(line, events)

    def _see_prompt(self, events: list[Event]) -> None:
        pending = self._pending
        if pending is None or pending.state is not _State.WANTS_PROMPT:
            return
        if self._line.lstrip().startswith(b">"):
            del self._line[: self._line.index(b">") + 1]
            pending.state = _State.PROMPTED
            events.append(Prompt())

    def _take(self, line: str, events: list[Event]) -> None:
        if self._headed:
            header, self._headed = self._headed, ""
            if _HEX.fullmatch(line):
                events.append(Urc(header, line))
                return
            events.append(Urc(header))  # its PDU was lost
        if self._is_urc(line):
            if _name(line) in _WITH_PDU:
                self._headed = line
            else:
                events.append(Urc(line))
        elif self._pending is None:
            final = _final(line) is not None or line.startswith(("+CMGS:", "> "))
            events.append(Stray(line) if final else Urc(line))
        else:
            self._answer(self._pending, line, events)

    def _answer(self, pending: _Pending, line: str, events: list[Event]) -> None:
        final = _final(line)
        if final is not None:
            self._pending = None
            events.append(Reply(pending.command, tuple(pending.lines), *final))
        elif line not in (pending.command, pending.payload) and len(pending.lines) < MAX_REPLY_LINES:
            pending.lines.append(line)  # what exceeds the bound is told by its parser: a list cut short

    def _is_urc(self, line: str) -> bool:
        name = _name(line)
        if not name:
            return line in URC_LINES
        return name in URC_NAMES and (self._pending is None or name not in self._pending.names)


def _name(line: str) -> str:
    match = _NAME.match(line)
    return match[1] if match else ""


def _final(line: str) -> tuple[str, int] | None:
    """The result word and its code, or None for a line that ends nothing."""
    if line in ("OK", "ERROR"):
        return line, -1
    if line in ("COMMAND NOT SUPPORT", "ABORTED", "BUSY", "NO ANSWER", "NO DIALTONE"):
        return "ERROR", -1
    match = _ERROR.fullmatch(line)
    if match is None:
        return None
    return match[1], int(match[2]) if match[2].isdecimal() and len(match[2]) < 6 else -1
