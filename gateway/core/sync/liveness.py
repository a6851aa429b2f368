"""Whether the coordinator is still there, from what is heard and from how our own bytes drain; pure.

    something is due (an answer, unsent bytes, a pong)   ping after 3 s of silence, dead after 9 s
    nothing is due                                       ping after 150 s of silence
    only pongs come while an answer is due               stalled after 60 s

Looked at once a second, a dead link is found within 10 s of having something to send and within 3 min when
idle. Unsent bytes that become fewer are a sign of life: a large batch may take minutes over GPRS.
"""

from __future__ import annotations

from enum import Enum

LOOK_EVERY_S = 1.0
PING_AFTER_S = 3.0
DEAD_AFTER_S = 9.0
IDLE_PING_AFTER_S = 150.0
STALLED_AFTER_S = 60.0


class Verdict(Enum):
    ALIVE = "alive"
    PING = "ping"
    DEAD = "dead"
    STALLED = "stalled"


class Liveness:
    """Owned by one link; ``now_s`` is monotonic seconds throughout."""

    def __init__(self, now_s: float) -> None:
        self._life_s = now_s  # when anything was heard, or bytes drained
        self._message_s = now_s  # when a message was heard, or bytes drained
        self._due_since_s: float | None = None
        self._owed_since_s: float | None = None
        self._pinged = False
        self._unsent = 0

    def message(self, now_s: float) -> None:
        """A message came."""
        self._message_s = now_s
        self.pong(now_s)

    def pong(self, now_s: float) -> None:
        """The answer to our ping came."""
        self._life_s = now_s
        self._pinged = False

    def look(self, now_s: float, *, owed: bool, unsent: int) -> Verdict:
        """``owed``: an answer is due; ``unsent``: bytes that the transport still holds."""
        if unsent < self._unsent:
            self._life_s = self._message_s = now_s
        self._unsent = unsent
        self._owed_since_s = _since(self._owed_since_s, now_s, owed)
        self._due_since_s = _since(self._due_since_s, now_s, owed or unsent > 0 or self._pinged)
        if self._due_since_s is None:
            return self._ping() if now_s - self._life_s >= IDLE_PING_AFTER_S else Verdict.ALIVE
        if self._owed_since_s is not None:
            if now_s - max(self._message_s, self._owed_since_s) >= STALLED_AFTER_S:
                return Verdict.STALLED
        silent_s = now_s - max(self._life_s, self._due_since_s)
        if silent_s >= DEAD_AFTER_S:
            return Verdict.DEAD
        # Behind unsent bytes a ping would ask nothing that they do not.
        may_ping = not self._pinged and unsent == 0
        return self._ping() if silent_s >= PING_AFTER_S and may_ping else Verdict.ALIVE

    def _ping(self) -> Verdict:
        self._pinged = True
        return Verdict.PING


def _since(since_s: float | None, now_s: float, true: bool) -> float | None:
    """Since when something has been true without a break."""
    if not true:
        return None
    return now_s if since_s is None else since_s
