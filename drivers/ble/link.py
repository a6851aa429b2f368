"""One phone's connection: what it brings, what waits for it, and when it has gone too far; no bumble."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from drivers.ble import wire
from drivers.ble.peers import Peer
from drivers.ble.transfer import Inbox

MAX_STRIKES = 16  # refusals that only a fault or malice explains
MAX_WORDS = 32  # ACK, RESUME, DONE that wait; a phone that never listens loses the oldest
MAX_ANSWERS = 16  # messages that wait for one phone, notices too; above it: queue_full
NOTICE = 0  # xid of a message that answers nothing
STRIKES = frozenset({"malformed", "unknown_xid", "corrupt", "too_large"})


@dataclass(slots=True, eq=False)
class Answer:
    """One message on its way down; ``sent`` resolves when the phone's controller has all of it.

    It is cut when its turn comes: the MTU may change until then.
    """

    message: bytes
    xid: int
    sent: asyncio.Future[None]
    pieces: deque[bytes] | None = None
    mark: int = 0  # the link's packet count after its last piece

    def next_piece(self, mtu: int) -> bytes:
        if self.pieces is None:
            self.pieces = deque(wire.cut(self.message, self.xid, mtu))
        return self.pieces.popleft()


@dataclass(slots=True, eq=False)
class Link:
    """State of one connection; owned by the driver."""

    id: int  # handles are used again, this is not
    handle: int
    address: str
    peer: Peer
    inbox: Inbox
    useful_at: float
    useful_bytes: int = 0
    packets_down: int = 0
    strikes: int = 0
    excess: int = 0
    closing: bool = False
    limited_told: bool = False
    words: deque[bytes] = field(default_factory=lambda: deque(maxlen=MAX_WORDS))
    answers: deque[Answer] = field(default_factory=deque)
    notices: deque[Answer] = field(default_factory=deque)
    begun: deque[Answer] | None = None  # the one of these two whose first is cut already
    under_way: deque[Answer] = field(default_factory=deque)

    def next_value(self, mtu: int) -> tuple[bytes, Answer | None] | None:
        """What to notify next, and the message it ends. Words first: they keep the phone sending."""
        if self.words:
            return self.words.popleft(), None
        waiting = self.begun or self._next_queue()
        if waiting is None:
            return None
        answer = waiting[0]
        value = answer.next_piece(mtu)
        self.begun = waiting if answer.pieces else None
        return value, None if answer.pieces else waiting.popleft()

    @property
    def pending(self) -> int:
        """Messages that are not with the phone yet."""
        return len(self.answers) + len(self.notices) + len(self.under_way)

    def _next_queue(self) -> deque[Answer] | None:
        """Answers before notices; without those that nobody waits for any longer."""
        for waiting in (self.answers, self.notices):
            while waiting and waiting[0].sent.done():
                waiting.popleft()
            if waiting:
                return waiting
        return None

    def completed(self, packets: int) -> None:
        """So many packets of this link are acknowledged: answers before that are sent."""
        if self.under_way:
            self.packets_down = packets
        while self.under_way and self.under_way[0].mark <= packets:
            answer = self.under_way.popleft()
            if not answer.sent.done():
                answer.sent.set_result(None)

    def fail(self, error: Exception) -> None:
        """The link is gone: everything that waits for it ends so."""
        for answer in (*self.answers, *self.notices, *self.under_way):
            if not answer.sent.done():
                answer.sent.set_exception(error)
        for waiting in (self.answers, self.notices, self.under_way):
            waiting.clear()
        self.begun = None

    def idle_since(self, now: float) -> float:
        """Seconds without useful bytes up or a word down."""
        if self.inbox.useful_bytes + self.packets_down != self.useful_bytes:
            self.useful_bytes = self.inbox.useful_bytes + self.packets_down
            self.useful_at = now
        return now - self.useful_at

    def struck(self, fault: str) -> bool:
        """Count a fault; True when there were too many."""
        self.strikes += fault in STRIKES
        return self.strikes >= MAX_STRIKES
