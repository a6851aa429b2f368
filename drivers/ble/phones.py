"""All phones at the peripheral: what they bring goes into the queue, answers go down, misconduct ends it."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Container, Mapping
from dataclasses import dataclass

from drivers.base import Clock, Frame, TxRequest
from drivers.ble import wire
from drivers.ble.link import MAX_ANSWERS, NOTICE, Answer, Link
from drivers.ble.peers import Peers
from drivers.ble.peripheral import Peripheral
from drivers.ble.settings import BleSettings
from drivers.ble.transfer import BUSY_RETRY_S, USELESS_BYTES, Taken, Uploads
from drivers.ble.wire import Status
from drivers.errors import DriverLost, TransmitRefused
from drivers.frames import FrameQueue

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BlePath:
    """``reply_to`` of a frame: the connection it came by, and the number of its transfer."""

    link: int
    xid: int


class Phones:
    """Owned by the driver, which passes on the peripheral's calls. Unfinished uploads and what each address
    has spent outlive an opening; links and counts do not.
    """

    def __init__(self, radio: str, settings: BleSettings, clock: Clock) -> None:
        self._radio = radio
        self._settings = settings
        self._clock = clock
        self._uploads = Uploads(settings.transfers)
        self._peers = Peers(settings.peer_messages_per_minute, settings.peer_bytes_per_minute)
        self._links: dict[int, Link] = {}  # by number
        self._handles: dict[int, Link] = {}
        self._next_link = 0
        self._queue = FrameQueue(settings.queue)
        self._peripheral: Peripheral | None = None
        self.frames: Counter[str] = Counter()
        self.transmits: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._handles)

    def __contains__(self, handle: object) -> bool:
        return handle in self._handles

    @property
    def gauges(self) -> Mapping[str, float]:
        """As in :class:`drivers.base.DriverStats`."""
        return {
            "links": len(self._handles),
            "parked_transfers": self._uploads.parked,
            "held_bytes": self._uploads.held_bytes,
            "pending_transmits": sum(link.pending for link in self._handles.values()),
        }

    def open(self, peripheral: Peripheral, queue: FrameQueue) -> None:
        """A new opening: whole messages go into ``queue``."""
        self._peripheral, self._queue = peripheral, queue
        self.frames.clear()
        self.transmits.clear()

    def close(self) -> None:
        """The peripheral is closed."""
        self._peripheral = None
        for handle in list(self._handles):
            self.disconnected(handle)

    def fail(self, error: DriverLost) -> None:
        """The controller is gone: nothing that waits will be sent."""
        for link in self._handles.values():
            link.fail(error)

    async def send(self, request: TxRequest, *, notice: bool) -> None:
        """Notify a message to the phone it answers, and wait until that phone's controller has it all.

        Raises :class:`TransmitRefused` and :class:`DriverLost`, as :meth:`drivers.ble.BleDriver.transmit`.
        """
        try:
            await self._send(request, notice=notice)
        except TransmitRefused as refusal:
            self.transmits[refusal.reason] += 1
            raise
        self.transmits["sent"] += 1

    async def _send(self, request: TxRequest, *, notice: bool) -> None:
        link, xid = self._route(request.reply_to)
        if not 0 < len(request.payload) <= self._settings.max_message_bytes:
            raise TransmitRefused("size", f"{len(request.payload)} bytes")
        if len(link.answers) + len(link.notices) >= MAX_ANSWERS:
            raise TransmitRefused("queue_full", f"{MAX_ANSWERS} messages wait for that phone")
        sent = asyncio.get_running_loop().create_future()
        answer = Answer(request.payload, NOTICE if notice else xid, sent)
        (link.notices if notice else link.answers).append(answer)
        self.room(link.handle)
        try:
            await asyncio.wait_for(sent, request.timeout_s)
        except TimeoutError:
            raise TransmitRefused("too_late", f"the phone took not all in {request.timeout_s:g} s") from None

    def _route(self, path: object) -> tuple[Link, int]:
        """The connection that is still there and listens, and the number of the transfer."""
        link = self._links.get(path.link) if isinstance(path, BlePath) else None
        if isinstance(path, BlePath) and link is not None and self._listens(link):
            return link, path.xid
        raise TransmitRefused("no_route", "that phone has left or does not listen")

    def _listens(self, link: Link) -> bool:
        return self._peripheral is not None and self._peripheral.subscribed(link.handle)

    # What the peripheral calls

    def connected(self, handle: int, address: str) -> None:
        now = self._clock.monotonic()
        peer = self._peers.get(address, now)
        self._next_link += 1
        link = Link(self._next_link, handle, address, peer, self._uploads.open(), now)
        self._handles[handle] = self._links[link.id] = link
        if now < peer.banned_until:
            self._turn_away(link, "banned")
        elif len(self._handles) > self._settings.max_links:
            self._turn_away(link, "too_many_links")
        else:
            log.debug("a phone connected", extra=self._named(link) | {"links": len(self._handles)})

    def disconnected(self, handle: int) -> None:
        link = self._handles.pop(handle, None)
        if link is None:
            return
        del self._links[link.id]
        log.debug("a phone left", extra=self._named(link) | {"unsent": link.pending})
        link.inbox.close(self._clock.monotonic())
        link.fail(TransmitRefused("no_route", "the phone left before it had the answer"))

    def written(self, handle: int, value: bytes) -> None:
        """One value of FFF1, in the order of writing."""
        link = self._handles.get(handle)
        if link is None or link.closing:
            return
        now = self._clock.monotonic()
        if not link.peer.bytes.take(len(value), now):
            self._over_limit(link, value, now)
            return
        taken = link.inbox.receive(value, now)
        if taken.fault:
            self._faulted(link, taken.fault, now)
        if taken.message is not None:
            taken = self._deliver(link, taken.message, taken, now)
        if link.inbox.flooding:
            self._expel(link, "useless bytes", now)
        link.words.extend(taken.replies)
        self.room(handle)

    def room(self, handle: int) -> None:
        """Packets of this link were completed, or it subscribed."""
        link, peripheral = self._handles.get(handle), self._peripheral
        if link is None or peripheral is None:
            return
        link.completed(peripheral.completed(handle))
        while peripheral.subscribed(handle) and peripheral.has_room(handle):
            following = link.next_value(peripheral.mtu(handle))
            if following is None:
                return
            value, ended = following
            packets = peripheral.notify(handle, value)
            if ended is not None:
                ended.mark = packets
                link.under_way.append(ended)

    def tick(self, now: float, spared: Container[int]) -> None:
        """Time has passed: close who does nothing, all but ``spared``; forget what is parked too long."""
        for link in list(self._handles.values()):
            if link.handle in spared or link.closing:
                continue
            if link.idle_since(now) > self._settings.idle_timeout_s:
                self.frames["idle"] += 1
                log.info("a phone is closed: nothing useful came of it", extra=self._named(link))
                self.hang_up(link.handle)
        self._uploads.expire(now)

    def hang_up(self, handle: int) -> None:
        """Whatever it still writes is not looked at; :meth:`disconnected` follows."""
        link = self._handles.get(handle)
        if link is not None and self._peripheral is not None:
            link.closing = True
            self._peripheral.disconnect_soon(handle)

    def _deliver(self, link: Link, message: bytes, taken: Taken, now: float) -> Taken:
        """Put a whole message into the queue, or say when to come again."""
        if not link.peer.messages.take(1, now):
            self.frames["limited"] += 1
            retry = link.peer.messages.seconds_until(1)
            return Taken((wire.refused(taken.xid, Status.LIMITED, retry),))
        frame = Frame(
            radio=self._radio,
            payload=message,
            peer=link.address,
            received_unix_ns=self._clock.unix_ns(),
            reply_to=BlePath(link.id, taken.xid),
        )
        if not self._queue.put(frame):
            self.frames["queue_full"] += 1
            return Taken((wire.refused(taken.xid, Status.BUSY, BUSY_RETRY_S),))
        self.frames["ok"] += 1
        return taken

    def _faulted(self, link: Link, fault: str, now: float) -> None:
        self.frames[fault] += 1
        log.debug("a piece is refused", extra=self._named(link) | {"fault": fault})
        if link.struck(fault):
            self._expel(link, "too many faults", now)

    def _over_limit(self, link: Link, value: bytes, now: float) -> None:
        """Past its bytes a minute: told once, then closed if it goes on."""
        link.excess += len(value)
        if not link.limited_told:
            link.limited_told = True
            self.frames["limited"] += 1
            xid = value[1] if len(value) > 1 else 0
            retry = link.peer.bytes.seconds_until(len(value))
            link.words.append(wire.refused(xid, Status.LIMITED, retry))
            self.room(link.handle)
        if link.excess > USELESS_BYTES:
            self._expel(link, "past its bytes a minute", now)

    def _turn_away(self, link: Link, why: str) -> None:
        self.frames[why] += 1
        log.debug("a phone is turned away", extra=self._named(link) | {"why": why})
        self.hang_up(link.handle)

    def _expel(self, link: Link, why: str, now: float) -> None:
        if link.closing:
            return
        self.frames["expelled"] += 1
        link.peer.banned_until = now + self._settings.ban_s
        log.info("a phone is closed for misconduct", extra=self._named(link) | {"why": why})
        self.hang_up(link.handle)

    def _named(self, link: Link) -> dict[str, object]:
        return {"radio": self._radio, "peer": link.address}
