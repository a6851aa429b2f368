"""The batches between OFFER and ACK: at most one that is sent, and one offered ahead of it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.note import Note
from gateway.core.sync.batch import Offered
from gateway.core.sync.breach import Breach
from gateway.core.sync.events import Fault

# MISSING, NEED_HASHES and MISSING again is the most that one batch takes.
MAX_REPAIRS = 4


@dataclass(slots=True)
class Flight:
    """Owned by one session. ``read_to`` is the end of what was read from the log for it."""

    read_to: int = 0
    reading: bool = False
    sent: Offered | None = None
    note: Note | None = None  # the checkpoint signed for ``sent``
    ahead: Offered | None = None
    wanted: bytes | None = None  # which objects of ``ahead``
    repairs: int = 0  # of ``sent``

    @property
    def answer_due(self) -> bool:
        return self.sent is not None or (self.ahead is not None and self.wanted is None)

    def may_read(self, size: int) -> bool:
        """Whether the next batch is to be read now, the log having ``size`` leaves."""
        return self.ahead is None and not self.reading and self.read_to < size

    def offer(self, offered: Offered) -> None:
        self.ahead, self.wanted = offered, None
        self.read_to = offered.end

    def want(self, start: int, bitmap: bytes) -> None:
        """The answer to an offer; an answer to an older one is a repetition."""
        if self.ahead is None or start != self.ahead.start:
            return self._require_past(start, "WANT")
        self.ahead.check(bitmap)
        self.wanted = bitmap if self.wanted is None else self.wanted

    def take_off(self) -> tuple[Offered, bytes] | None:
        """The batch to send now with the objects wanted of it, if it is the turn of one."""
        if self.sent is not None or self.ahead is None or self.wanted is None:
            return None
        ready = self.ahead, self.wanted
        self.sent, self.ahead, self.wanted, self.repairs = self.ahead, None, None, 0
        return ready

    def sign(self, note: Note) -> None:
        """The checkpoint that goes with the batch sent last."""
        self.note = note

    def repair(self, start: int, name: str) -> Offered | None:
        """The batch that MISSING or NEED_HASHES asks about; None for one that is acked already."""
        if self.sent is None or start != self.sent.start:
            self._require_past(start, name)
            return None
        self.repairs += 1
        if self.repairs > MAX_REPAIRS:
            raise Breach(Fault.INSATIABLE, f"{name} for the batch at {start}, more is asked than there is")
        return self.sent

    def landing(self, size: int) -> Note:
        """The checkpoint that an ACK of ``size`` cosigns."""
        if self.sent is None or self.note is None or size != self.sent.end:
            due = "none" if self.sent is None else self.sent.end
            raise Breach(Fault.BAD_SIZE, f"ACK of {size}, the one due is {due}")
        return self.note

    def land(self) -> None:
        self.sent = self.note = None

    def _require_past(self, start: int, name: str) -> None:
        offered = self.ahead.start if self.ahead is not None else self.read_to
        if start >= offered:
            raise Breach(Fault.OUT_OF_TURN, f"{name} about {start}, offered is up to {offered}")
