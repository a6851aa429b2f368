"""Messages that were joined, and what has been answered to them; bounded, no clock."""

from __future__ import annotations

import hashlib
import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.core.lora.frames import (
    ANSWER_HEADER,
    FRAGMENT_HEADER,
    XID_SIZE,
    Answer,
    Data,
    FrameType,
    Part,
    split,
)
from gateway.core.lora.windows import Heard, Priority

MAX_EXCHANGES = 1024
MAX_MESSAGE_BYTES = 2 << 20  # of the messages kept, in sum; the oldest go first
FRESH_S = 60.0  # an older answer is not repeated: the message is submitted again, and may get a better one
BACKOFF_S = 5.0  # before the first repetition of an answer; doubled for each further one
MAX_BACKOFF_S = 640.0
PROMISE_HEAD = b"\x84\x10"  # a CBOR array of 4 that begins with 16 (docs/protocol/messages.md)


@dataclass(slots=True)
class Hearing:
    """One uplink, heard by one or more concentrators; ``best`` is the copy with the highest SNR."""

    best: Heard


@dataclass(slots=True)
class _Given:
    times: int
    at: float


@dataclass(slots=True)
class Exchange:
    """A message and its answer. ``hearing`` is the newest uplink after which its device listens.

    ``submitted``: somebody works on it, and will bring an answer unless the work is interrupted.
    """

    digest: bytes  # SHA-256 of the message
    message: bytes
    peer: str
    hearing: Hearing | None
    answer: bytes | None = None
    answered_at: float = 0.0
    submitted: bool = False
    _given: dict[int, _Given] = field(default_factory=dict)  # by part of the answer

    @property
    def xid(self) -> bytes:
        return self.digest[:XID_SIZE]

    def holds(self, frame: Data) -> bool:
        """Whether a fragment is a piece of this very message (all but the last are of one size)."""
        if frame.index == frame.total - 1:
            return self.message.endswith(frame.chunk)
        size = len(frame.chunk)
        start = frame.index * size
        return (
            math.ceil(len(self.message) / size) == frame.total
            and self.message[start : start + size] == frame.chunk
        )

    def is_stale(self, now: float) -> bool:
        return now - self.answered_at > FRESH_S

    def backs_off(self, part: int, now: float) -> bool:
        """Whether this part was given too lately to be given again."""
        given = self._given.get(part)
        return given is not None and now - given.at < min(BACKOFF_S * 2 ** (given.times - 1), MAX_BACKOFF_S)

    def priority(self, part: int) -> Priority:
        """How much of the duty this part of the answer may use."""
        if part or part in self._given:
            return Priority.REPEAT
        promised = self.answer is not None and self.answer.startswith(PROMISE_HEAD)
        return Priority.PROMISE if promised else Priority.ANSWER

    def give(self, part: int, now: float) -> None:
        given = self._given.setdefault(part, _Given(0, now))
        given.times, given.at = given.times + 1, now

    def take_back(self, part: int) -> None:
        """The radio refused it: it does not count as given."""
        given = self._given.pop(part, None)
        if given is not None and given.times > 1:
            self._given[part] = _Given(given.times - 1, given.at)

    def frame(self, part: int, max_bytes: int, part_bytes: int) -> bytes | None:
        """The answer, or its part, as a frame of at most ``max_bytes``; None when there is none.

        Long answers are divided for frames of ``part_bytes`` whatever window they go to, so that parts from
        different windows fit together.
        """
        if self.answer is None:
            return None
        if part == 0 and len(self.answer) + ANSWER_HEADER <= max_bytes:
            return Answer(self.xid, self.answer).to_bytes()
        chunks = split(self.answer, part_bytes - FRAGMENT_HEADER)
        if part >= len(chunks) or FRAGMENT_HEADER + len(chunks[part]) > max_bytes:
            return None
        return Part(FrameType.ANSWER_PART, self.xid, part, len(chunks), chunks[part]).to_bytes()


class Exchanges:
    """The newest exchanges, by digest, and by id for polls: two contents may share an id of 32 bits."""

    def __init__(self) -> None:
        self._by_digest: OrderedDict[bytes, Exchange] = OrderedDict()
        self._by_xid: dict[bytes, list[Exchange]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._by_digest)

    def begin(self, message: bytes, peer: str, hearing: Hearing | None) -> Exchange:
        """Remember a joined message; the one known already when it was joined before."""
        digest = hashlib.sha256(message).digest()
        known = self._by_digest.get(digest)
        if known is not None:
            known.hearing = hearing or known.hearing
            return known
        exchange = self._by_digest[digest] = Exchange(digest, message, peer, hearing)
        self._by_xid.setdefault(exchange.xid, []).append(exchange)
        self._bytes += len(message)
        while len(self._by_digest) > MAX_EXCHANGES or self._bytes > MAX_MESSAGE_BYTES:
            self._forget(next(iter(self._by_digest.values())))
        return exchange

    def get(self, digest: bytes) -> Exchange | None:
        return self._by_digest.get(digest)

    def holding(self, frame: Data) -> Exchange | None:
        """The exchange whose message this fragment is a piece of."""
        return next((one for one in self._touched(frame.xid) if one.holds(frame)), None)

    def interrupted(self) -> None:
        """Nobody works on any of them any more."""
        for exchange in self._by_digest.values():
            exchange.submitted = False

    def newest(self, xid: bytes) -> Exchange | None:
        return next(self._touched(xid), None)

    def _touched(self, xid: bytes) -> Iterator[Exchange]:
        for exchange in reversed(self._by_xid.get(xid, [])):
            self._by_digest.move_to_end(exchange.digest)
            yield exchange

    def _forget(self, exchange: Exchange) -> None:
        del self._by_digest[exchange.digest]
        self._bytes -= len(exchange.message)
        same = self._by_xid[exchange.xid]
        same.remove(exchange)
        if not same:
            del self._by_xid[exchange.xid]


class Copies:
    """Tells a frame that several concentrators heard from a frame that was sent again."""

    WITHIN_S = 1.5  # a forwarder behind a slow network; a device repeats itself only after its windows
    LIMIT = 4096

    def __init__(self) -> None:
        self._seen: OrderedDict[bytes, tuple[float, Hearing]] = OrderedDict()

    def first(self, payload: bytes, heard: Heard) -> Hearing | None:
        """The hearing of a frame not heard a moment ago; None for a copy, which may better the first one."""
        key = hashlib.sha256(payload).digest()
        known = self._seen.get(key)
        if known is not None and heard.at - known[0] <= self.WITHIN_S:
            if heard.snr_db > known[1].best.snr_db:
                known[1].best = heard
            return None
        hearing = Hearing(heard)
        self._seen.pop(key, None)
        self._seen[key] = (heard.at, hearing)
        self._shrink(heard.at)
        return hearing

    def _shrink(self, now: float) -> None:
        while self._seen:
            at, _ = next(iter(self._seen.values()))
            if now - at <= self.WITHIN_S and len(self._seen) <= self.LIMIT:
                return
            self._seen.popitem(last=False)
