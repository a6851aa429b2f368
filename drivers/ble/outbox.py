"""The sending side of one connection between gateways: a message in pieces, resumed where the other says.

The counterpart of :class:`drivers.ble.transfer.Inbox`; no I/O, no clock. One message at a time.
"""

from __future__ import annotations

import hashlib

from drivers.ble import wire
from drivers.ble.transfer import HEAD_BYTES
from drivers.ble.wire import Status

MAX_UNKNOWN = 3  # times that START is said again for one message
WINDOW = 32 * 1024  # bytes beyond what was last acknowledged: docs/protocol/ble.md


class Outbox:
    """``offer`` a message, write what :meth:`next_piece` gives, pass what comes back to :meth:`told`."""

    def __init__(self) -> None:
        self._message = b""
        self._xid = 0
        self._started = self._answered = False
        self._sent = self._confirmed = self._head = self._unknown = 0

    @property
    def busy(self) -> bool:
        """A message is under way."""
        return bool(self._message)

    def offer(self, message: bytes) -> None:
        """The message to send now; nothing else may be under way."""
        self._xid = self._xid % 255 + 1
        self._message = message
        self._confirmed = self._unknown = 0
        self.ask()
        self._head = HEAD_BYTES

    def ask(self) -> None:
        """START again, and nothing more before the other side has said how far it is."""
        self._started = self._answered = False
        self._sent = self._head = 0

    def drop(self) -> None:
        """The message is of no more interest."""
        self._message = b""

    def next_piece(self, mtu: int) -> bytes | None:
        """What to write next; None: nothing, until something is heard."""
        if not self._message:
            return None
        if not self._started:
            self._started = True
            return wire.start(self._message, self._xid)
        allowed = self._confirmed + WINDOW if self._answered else self._head
        if self._sent >= min(len(self._message), allowed):
            return None
        piece = wire.data(self._message, self._xid, self._sent, mtu)
        self._sent += len(piece) - wire.DATA_HEADER
        return piece

    def told(self, word: wire.Word) -> Status | None:
        """How the message ended, if this ended it; a word about another message is none."""
        if not self._message or word.xid != self._xid:
            return None
        if word.kind == wire.DONE:
            return self._done(word)
        offset = min(word.offset, len(self._message))
        self._confirmed = max(self._confirmed, offset)
        if word.kind == wire.RESUME:
            # The first answers START: what was sent behind it is on its way. Later: it was lost.
            self._sent = offset if self._answered else max(offset, self._sent)
            self._answered = True
        return None

    def _done(self, word: wire.Word) -> Status | None:
        try:
            status = Status(word.status)
        except ValueError:
            status = Status.MALFORMED
        if status is Status.UNKNOWN and self._unknown < MAX_UNKNOWN:
            self._unknown += 1
            self.ask()  # START was lost
            return None
        digest = hashlib.sha256(self._message).digest()[: wire.DONE_HASH_BYTES]
        if status is Status.OK and word.rest[1:] != digest:
            status = Status.CORRUPT
        self._message = b""
        return status
