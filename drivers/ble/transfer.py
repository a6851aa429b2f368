"""Uploads in pieces: joined, acknowledged, resumed after any cut; no I/O, no clock.

One :class:`Uploads` a driver holds what is not whole yet; one :class:`Inbox` a connection joins its pieces.
What a connection leaves unfinished is parked under its content id and resumed by whoever brings that content
next: phones change their addresses, and the content's hash is checked at the end.

Rules of this file:

* One transfer a connection; a second START parks the first. WHOLE may come in between.
* A thief's bytes cannot spoil an upload that is under way: a second connection that names the same content
  gets a *copy*. Parked bytes move. If the joined bytes do not hash to the content id, all are dropped.
* Delivered messages stay parked, first to be evicted: who lost the last DONE sends START and no byte more.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from drivers.ble import wire
from drivers.ble.wire import Status

if TYPE_CHECKING:
    from hashlib import _Hash

ACK_EVERY = 16 * 1024
HEAD_BYTES = 4096  # of a new message follow FIRST or START at once; one no longer than that needs no words
BUSY_RETRY_S = 5
USELESS_BYTES = 64 * 1024  # beyond the useful ones of a connection: old offsets, gaps, refused transfers

Key = tuple[bytes, int]  # content id, total


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferLimits:
    """Bytes of one message; bytes held in all unfinished ones; how many are parked and for how long."""

    max_message_bytes: int = 4 << 20
    max_held_bytes: int = 16 << 20
    max_parked: int = 64
    park_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Taken:
    """What one piece led to.

    ``replies`` are values to notify, in order. With a ``message``, they hold once it was taken; who cannot
    take it refuses ``xid`` instead: the bytes of a transfer stay parked. ``fault`` names what was wrong in
    one word, fit for a counter.
    """

    replies: tuple[bytes, ...] = ()
    message: bytes | None = None
    xid: int = 0
    fault: str = ""


@dataclass(slots=True)
class Partial:
    """The first bytes of one message; ``sha`` runs along so that the end costs nothing."""

    key: Key
    chunks: bytearray = field(default_factory=bytearray)
    sha: _Hash = field(default_factory=hashlib.sha256)
    touched: float = 0.0

    @property
    def whole(self) -> bool:
        return len(self.chunks) == self.key[1]

    def copy(self) -> Partial:
        return Partial(self.key, bytearray(self.chunks), self.sha.copy(), self.touched)


class Uploads:
    """What all connections of a radio have not finished. Owned by one task."""

    def __init__(self, limits: TransferLimits) -> None:
        self.limits = limits
        self.held_bytes = 0
        self._live: dict[Inbox, Partial] = {}
        self._parked: OrderedDict[Key, Partial] = OrderedDict()

    @property
    def parked(self) -> int:
        return len(self._parked)

    def open(self) -> Inbox:
        """For a new connection."""
        return Inbox(self)

    def begin(self, inbox: Inbox, key: Key, now: float) -> Partial:
        """The connection's own partial of this content: its own, parked, a copy of another's, or empty."""
        mine = self._live.get(inbox)
        if mine is not None and mine.key == key:
            return mine
        self.park(inbox, now)
        partial = self._parked.pop(key, None)
        if partial is None:
            others = [one for one in self._live.values() if one.key == key]
            longest = max(others, key=lambda one: len(one.chunks), default=None)
            fits = longest is not None and self._make_room(len(longest.chunks))
            partial = longest.copy() if longest is not None and fits else Partial(key)
            self.held_bytes += len(partial.chunks)
        self._live[inbox] = partial
        return partial

    def grow(self, partial: Partial, chunk: bytes) -> bool:
        """False when there is no room even without anything parked."""
        if not self._make_room(len(chunk)):
            return False
        partial.chunks += chunk
        partial.sha.update(chunk)
        self.held_bytes += len(chunk)
        return True

    def park(self, inbox: Inbox, now: float) -> None:
        """The connection is gone or turned to another message: keep what it brought."""
        partial = self._live.pop(inbox, None)
        if partial is None or not partial.chunks:
            return
        partial.touched = now
        older = self._parked.pop(partial.key, None)
        keep, lose = partial, older
        if older is not None and len(older.chunks) > len(partial.chunks):
            keep, lose = older, partial
        self.held_bytes -= len(lose.chunks) if lose is not None else 0
        self._parked[keep.key] = keep
        self.expire(now)
        while len(self._parked) > self.limits.max_parked:
            self._evict()

    def drop(self, inbox: Inbox) -> None:
        """These bytes are worthless, and so is everything else under this content id that is parked."""
        partial = self._live.pop(inbox, None)
        if partial is not None:
            self.held_bytes -= len(partial.chunks)
            spoilt = self._parked.pop(partial.key, None)
            self.held_bytes -= len(spoilt.chunks) if spoilt is not None else 0

    def expire(self, now: float) -> None:
        """Parked order is the order of time, so the oldest are in front."""
        while self._parked:
            oldest = next(iter(self._parked.values()))
            if now - oldest.touched < self.limits.park_s:
                return
            self._remove(oldest.key)

    def _make_room(self, count: int) -> bool:
        while self.held_bytes + count > self.limits.max_held_bytes:
            if not self._evict():
                return False
        return True

    def _evict(self) -> bool:
        """Delivered messages first, then the oldest."""
        delivered = (key for key, partial in self._parked.items() if partial.whole)
        key = next(delivered, None) or next(iter(self._parked), None)
        if key is None:
            return False
        self._remove(key)
        return True

    def _remove(self, key: Key) -> None:
        self.held_bytes -= len(self._parked.pop(key).chunks)


class Inbox:
    """One connection's side of :class:`Uploads`."""

    def __init__(self, uploads: Uploads) -> None:
        self._uploads = uploads
        self._partial: Partial | None = None
        self._xid = 0
        self._acked = 0
        self._gap_told = False
        self._refused_xid: int | None = None
        self._quiet = False  # the answer says all: no RESUME before it, no DONE
        self._useful = self._useless = 0

    @property
    def useful_bytes(self) -> int:
        """Message bytes that were new; it grows as long as there is progress."""
        return self._useful

    @property
    def flooding(self) -> bool:
        """True once useless bytes outweigh the useful by more than :data:`USELESS_BYTES`: disconnect it."""
        return self._useless > self._useful + USELESS_BYTES

    def receive(self, value: bytes, now: float) -> Taken:
        """One written value, in the order of writing."""
        try:
            piece = wire.decode(value)
        except wire.WireError:
            xid = value[1] if len(value) > 1 else 0
            return Taken((wire.refused(xid, Status.MALFORMED),), fault="malformed")
        match piece:
            case wire.Data():
                return self._data(piece, now)
            case wire.Whole():
                self._useful += len(piece.message)
                return Taken(message=piece.message, xid=piece.xid)
            case wire.Start():
                return self._start(piece, now)
            case wire.Word():
                self._useless += len(value)
                return Taken()

    def close(self, now: float) -> None:
        """The connection is gone."""
        self._uploads.park(self, now)
        self._partial = None

    def _start(self, start: wire.Start, now: float) -> Taken:
        if start.total > self._uploads.limits.max_message_bytes:
            return self._refuse(start.xid, Status.TOO_LARGE, "too_large")
        partial = self._uploads.begin(self, (start.content_id, start.total), now)
        self._partial, self._xid, self._gap_told, self._refused_xid = partial, start.xid, False, None
        self._useless += wire.START_BYTES
        self._quiet = False
        if partial.whole:
            return self._finish(partial, now)
        held = self._acked = len(partial.chunks)
        resume = Taken((wire.resume(start.xid, held),))
        if not start.chunk:
            return resume
        if held:
            self._useless += len(start.chunk)
            return resume
        self._quiet = start.total <= HEAD_BYTES
        taken = self._data(wire.Data(start.xid, 0, start.chunk), now)
        return taken if self._quiet or taken.replies else resume

    def _data(self, data: wire.Data, now: float) -> Taken:
        partial = self._partial
        if partial is None or data.xid != self._xid:
            self._useless += len(data.chunk)
            if data.xid == self._refused_xid:  # the rest of a burst whose refusal is on its way
                return Taken()
            return self._refuse(data.xid, Status.UNKNOWN, "unknown_xid")
        held = len(partial.chunks)
        if data.offset + len(data.chunk) > partial.key[1]:
            self._uploads.park(self, now)
            self._partial = None
            return self._refuse(data.xid, Status.MALFORMED, "malformed")
        if data.offset > held:
            return self._gap(data, held)
        fresh = data.chunk[held - data.offset :]
        self._useless += len(data.chunk) - len(fresh)
        if not fresh:
            return Taken()
        return self._append(partial, fresh, now)

    def _append(self, partial: Partial, fresh: bytes, now: float) -> Taken:
        if not self._uploads.grow(partial, fresh):
            self._uploads.park(self, now)
            self._partial = None
            return self._refuse(self._xid, Status.BUSY, "no_room", BUSY_RETRY_S)
        self._useful += len(fresh)
        self._gap_told = False
        held = len(partial.chunks)
        if partial.whole:
            return self._finish(partial, now)
        if held - self._acked < ACK_EVERY:
            return Taken()
        self._acked = held
        return Taken((wire.ack(self._xid, held),))

    def _gap(self, data: wire.Data, held: int) -> Taken:
        """Bytes between were lost on the way: say so once, until there is progress."""
        self._useless += len(data.chunk)
        if self._gap_told:
            return Taken()
        self._gap_told = True
        self._acked = held
        return Taken((wire.resume(self._xid, held),), fault="gap")

    def _finish(self, partial: Partial, now: float) -> Taken:
        digest = partial.sha.digest()
        self._partial = None
        if digest[: wire.CONTENT_ID_BYTES] != partial.key[0]:
            self._uploads.drop(self)
            return self._refuse(self._xid, Status.CORRUPT, "corrupt")
        self._uploads.park(self, now)
        self._refused_xid = self._xid  # pieces sent twice may still be on their way
        replies = () if self._quiet else (wire.done(self._xid, digest),)
        return Taken(replies, message=bytes(partial.chunks), xid=self._xid)

    def _refuse(self, xid: int, status: Status, fault: str, retry_after_s: int = 0) -> Taken:
        self._refused_xid = xid
        return Taken((wire.refused(xid, status, retry_after_s),), fault=fault)
