"""One link to another gateway: :class:`drivers.base.GatewayLink` over whatever writes a value; no bumble."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from drivers.ble import wire
from drivers.ble.outbox import Outbox
from drivers.ble.transfer import BUSY_RETRY_S, Taken, Uploads
from drivers.ble.wire import Status
from drivers.errors import TransmitRefused

MAX_OUTGOING = 16  # messages that wait to be sent; above it: queue_full
MAX_INCOMING = 16  # that wait to be taken; above it the other gateway is told to come again
SILENCE_S = 5.0  # in the middle of a message: START again
IDLE_S = 120.0  # without a piece either way a link is closed, and may be made again


@dataclass(frozen=True, slots=True)
class Way:
    """The way to the other gateway. ``has_room``: a value written now goes at once."""

    write: Callable[[bytes], None]
    has_room: Callable[[], bool]
    mtu: Callable[[], int]
    close: Callable[[], None]


@dataclass(slots=True, eq=False)
class _Outgoing:
    message: bytes
    sent: asyncio.Future[None]
    again: bool = False  # it was offered twice


class Neighbour:
    """Owned by the driver, which passes on values (:meth:`received`), room, time and the end."""

    def __init__(self, gateway_id: str, way: Way, uploads: Uploads, max_bytes: int, now: float) -> None:
        self._id = gateway_id
        self._way = way
        self._inbox = uploads.open()
        self._max_bytes = max_bytes
        self._outbox = Outbox()
        self._words: deque[bytes] = deque(maxlen=MAX_INCOMING)
        self._waiting: deque[_Outgoing] = deque()
        self._current: _Outgoing | None = None
        self._arrived: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._heard_at = self._active_at = now
        self._gone = False

    @property
    def gateway_id(self) -> str:
        return self._id

    async def send(self, message: bytes) -> None:
        if not 0 < len(message) <= self._max_bytes:
            raise TransmitRefused("size", f"{len(message)} bytes")
        if self._gone:
            raise TransmitRefused("no_route", f"{self._id} is out of range")
        if len(self._waiting) >= MAX_OUTGOING:
            raise TransmitRefused("queue_full", f"{MAX_OUTGOING} messages wait for {self._id}")
        outgoing = _Outgoing(message, asyncio.get_running_loop().create_future())
        self._waiting.append(outgoing)
        self.room()
        await outgoing.sent

    async def messages(self) -> AsyncIterator[bytes]:
        while True:
            if self._arrived:
                yield self._arrived.popleft()
            elif self._gone:
                return
            else:
                self._news.clear()
                await self._news.wait()

    def hang_up(self) -> None:
        """Ask for its end; :meth:`close` follows."""
        self._way.close()

    # What the driver passes on

    def received(self, value: bytes, now: float) -> None:
        """One value of the other gateway, in order."""
        self._heard_at = self._active_at = now
        try:
            piece = wire.decode(value)
        except wire.WireError:
            piece = None
        if isinstance(piece, wire.Word):
            self._told(piece)
        else:
            self._take(self._inbox.receive(value, now))
        if self._inbox.flooding:
            self._way.close()
        self.room()

    def room(self) -> None:
        """Write as long as it goes at once: words first, they keep the other side sending."""
        while not self._gone and self._way.has_room():
            value = self._words.popleft() if self._words else self._next_piece()
            if value is None:
                return
            self._way.write(value)

    def tick(self, now: float) -> None:
        """Time has passed."""
        if now - self._active_at > IDLE_S:
            self._way.close()
        elif self._current is not None and now - self._heard_at > SILENCE_S:
            self._heard_at = now
            self._outbox.ask()
            self.room()

    def close(self, now: float) -> None:
        """The connection is gone; what has not arrived whole is kept for the next one."""
        self._gone = True
        self._inbox.close(now)
        waiting = [*([self._current] if self._current else ()), *self._waiting]
        self._current = None
        self._waiting.clear()
        for outgoing in waiting:
            if not outgoing.sent.done():
                outgoing.sent.set_exception(TransmitRefused("no_route", f"{self._id} is out of range"))
        self._news.set()

    def _next_piece(self) -> bytes | None:
        if self._current is not None and self._current.sent.done():  # whoever sent it has given up
            self._outbox.drop()
            self._current = None
        while self._current is None and self._waiting:
            following = self._waiting.popleft()
            if not following.sent.done():
                self._current = following
                self._outbox.offer(following.message)
        return self._outbox.next_piece(self._way.mtu())

    def _told(self, word: wire.Word) -> None:
        status = self._outbox.told(word)
        if status is None or self._current is None:
            return
        if status is Status.CORRUPT and not self._current.again:
            self._current.again = (
                True  # with bytes of somebody else under this content, the next try is clean
            )
            self._outbox.offer(self._current.message)
            return
        outgoing, self._current = self._current, None
        if outgoing.sent.done():
            return
        if status is Status.OK:
            outgoing.sent.set_result(None)
        else:
            reason = "size" if status is Status.TOO_LARGE else "queue_full"
            outgoing.sent.set_exception(TransmitRefused(reason, f"{self._id}: {status.name.lower()}"))

    def _take(self, taken: Taken) -> None:
        if taken.message is None:
            self._words.extend(taken.replies)
        elif len(self._arrived) >= MAX_INCOMING:
            self._words.append(wire.refused(taken.xid, Status.BUSY, BUSY_RETRY_S))
        else:
            self._words.extend(taken.replies)
            self._arrived.append(taken.message)
            self._news.set()
