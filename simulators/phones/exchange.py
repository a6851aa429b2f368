"""The phone's end of a transfer, from docs/protocol/ble.md alone: pieces out, answers in; no I/O.

    exchange = Exchange(mtu=185)
    exchange.offer(message)                     what this contact is for
    while (piece := exchange.next_piece()):     write it to FFF1; None: wait for a notification
    exchange.notified(value)                    one notification of FFF2; returns what it completed

An :class:`Exchange` lives as long as one connection; the next one resumes by itself, for the gateway says
where it is.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

WINDOW = 32_768
HEAD_START = 4_096  # of a message never offered before, sent without waiting for the answer to START


@dataclass(frozen=True)
class Answer:
    """A message from the gateway; ``xid`` is the upload's it answers, 0 for a notice."""

    xid: int
    message: bytes


@dataclass(frozen=True)
class Delivered:
    """DONE with status 0, and the hash was ours."""

    xid: int


@dataclass(frozen=True)
class Refused:
    """DONE with another status."""

    xid: int
    status: int
    retry_after_s: int


Event = Answer | Delivered | Refused


class ProtocolBreach(Exception):
    """The gateway sent what the page does not allow."""


class Exchange:
    """One connection. ``sent_bytes`` counts message bytes written, for whoever asks what was wasted."""

    def __init__(self, mtu: int) -> None:
        self._room = min(mtu - 3, 512)
        self._step = next((size for size in (495, 244) if size <= self._room), self._room) - 5
        self._xid = 0
        self._message = b""
        self._digest = b""
        self._started = False
        self._sent: int | None = None  # None: nothing, before the answer to START
        self._answered = False  # START, by RESUME
        self._cut_before = False
        self._confirmed = 0
        self.sent_bytes = 0
        self.resumed_at: int | None = None
        self._incoming: tuple[int, int, bytes] | None = None  # xid, total, content id
        self._joined = bytearray()

    @property
    def xid(self) -> int:
        return self._xid

    def offer(self, message: bytes, *, cut_before: bool = False) -> int:
        """The message to hand over now; its number. ``cut_before``: the gateway may hold a part of it."""
        self._xid = self._xid % 255 + 1
        self._message, self._digest = message, hashlib.sha256(message).digest()
        self._started, self._sent, self._confirmed, self.resumed_at = False, None, 0, None
        self._cut_before = cut_before
        return self._xid

    def ask_again(self) -> None:
        """Nothing was heard for a while: START says where both ends are."""
        self._started, self._cut_before = False, True

    def next_piece(self) -> bytes | None:
        """What to write next, or None while there is nothing to do but listen."""
        if not self._message:
            return None
        if len(self._message) + 2 <= self._room:
            return self._all_in_one()
        if not self._started:
            return self._start()
        return self._next_data()

    def _start(self) -> bytes:
        """START, or FIRST where nothing of the message can be there yet."""
        self._started, self._answered = True, False
        head = bytes([self._xid]) + len(self._message).to_bytes(3, "big") + self._digest[:12]
        room = self._step + 5 - 1 - len(head)
        if self._cut_before or room <= 0:
            self._sent = None if self._cut_before else 0
            return b"\x11" + head
        self._answered = len(self._message) <= HEAD_START  # then no word comes unless there is need
        self._sent = min(room, len(self._message))
        self.sent_bytes += self._sent
        return b"\x17" + head + self._message[: self._sent]

    def _all_in_one(self) -> bytes | None:
        if self._started:
            return None
        self._started = True
        self.sent_bytes += len(self._message)
        return b"\x15" + bytes([self._xid]) + self._message

    def _next_data(self) -> bytes | None:
        at = self._sent
        if at is None or at >= len(self._message):
            return None
        end = min(at + self._step, len(self._message))
        if end > self._confirmed + (WINDOW if self._answered else HEAD_START):
            return None
        self._sent = end
        self.sent_bytes += end - at
        return b"\x12" + bytes([self._xid]) + at.to_bytes(3, "big") + self._message[at:end]

    def notified(self, value: bytes) -> Event | None:
        """One notification. Raises :class:`ProtocolBreach`."""
        if len(value) > self._room or len(value) < 3:
            raise ProtocolBreach(f"a notification of {len(value)} bytes at a room of {self._room}")
        kind, xid = value[0], value[1]
        if kind in (0x13, 0x16):
            self._told(xid, int.from_bytes(value[2:5], "big"), go_back=kind == 0x16)
            return None
        if kind == 0x14:
            return self._done(xid, value[2], value[3:])
        if kind == 0x15:
            return Answer(xid, value[2:])
        if kind == 0x11:
            self._incoming = (xid, int.from_bytes(value[2:5], "big"), value[5:17])
            self._joined.clear()
            return None
        if kind == 0x12:
            return self._joins(xid, int.from_bytes(value[2:5], "big"), value[5:])
        raise ProtocolBreach(f"type {kind:#x}")

    def _told(self, xid: int, offset: int, *, go_back: bool) -> None:
        if xid != self._xid or not self._message:
            return
        if offset > len(self._message):
            raise ProtocolBreach(f"offset {offset} of {len(self._message)}")
        self._confirmed = max(self._confirmed, offset)
        if not go_back:
            return
        if self.resumed_at is None:
            self.resumed_at = offset
        # After the first word on a START, what we sent behind it is on its way; later it was lost.
        self._sent = offset if self._answered else max(offset, self._sent or 0)
        self._answered = True

    def _done(self, xid: int, status: int, rest: bytes) -> Event:
        if status == 0:
            if xid == self._xid and rest != self._digest[:16]:
                raise ProtocolBreach("DONE of something else")
            self._sent = len(self._message)
            return Delivered(xid)
        return Refused(xid, status, int.from_bytes(rest[:2], "big"))

    def _joins(self, xid: int, offset: int, chunk: bytes) -> Answer | None:
        if self._incoming is None or self._incoming[0] != xid or offset != len(self._joined):
            raise ProtocolBreach("DATA out of order")
        self._joined += chunk
        _, total, content_id = self._incoming
        if len(self._joined) < total:
            return None
        message, self._incoming = bytes(self._joined), None
        if hashlib.sha256(message).digest()[:12] != content_id or len(message) != total:
            raise ProtocolBreach("an answer that does not hash to its content id")
        return Answer(xid, message)
