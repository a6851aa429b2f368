"""Phones over Bluetooth as one radio: whole messages up, answers down; a controller that dies is named."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from drivers.base import Clock, DriverStats, Frame, TxReceipt, TxRequest
from drivers.ble import wire
from drivers.ble.link import MAX_ANSWERS, NOTICE, Answer, Link
from drivers.ble.neighbour import Neighbour, Way
from drivers.ble.neighbours import Neighbours, turned_away
from drivers.ble.peers import Peers
from drivers.ble.peripheral import MAX_HINT, Peripheral
from drivers.ble.settings import BleSettings
from drivers.ble.transfer import BUSY_RETRY_S, USELESS_BYTES, Taken, Uploads
from drivers.ble.wire import Status
from drivers.errors import DriverLost, TransmitRefused
from drivers.frames import FrameQueue
from drivers.transport.hci import open_hci

log = logging.getLogger(__name__)

CLOCK = struct.Struct(">qB")  # milliseconds to add to the host's clock, and the quality of the sum

ANNOUNCED = {
    "beacon": wire.MAX_VALUE,
    "checkpoint": wire.MAX_VALUE,
    "key": 32,
    "hint": MAX_HINT,
    "clock": CLOCK.size,
}  # and how long each may be
TICK_S = 5.0  # how often idle links, parked transfers and a refusal to advertise are looked at


@dataclass(frozen=True, slots=True)
class BlePath:
    """``reply_to`` of a frame: the connection it came by, and the number of its transfer."""

    link: int
    xid: int


class BleDriver:
    """Phones as one radio: :class:`drivers.base.Receiver` and :class:`drivers.base.Transmitter`.

    ``Frame.payload`` is a whole device message, ``peer`` the phone's address (phones change it about every
    15 minutes). Answers go back over the same connection only. Unfinished uploads outlive a connection and a
    re-opening of this object. Settings: :class:`drivers.ble.settings.BleSettings`.
    """

    reopens: Literal[True] = True  # see drivers.base.Reopenable

    def __init__(self, name: str, settings: Mapping[str, Any], *, clock: Clock) -> None:
        self.name = name
        self._settings = BleSettings.from_mapping(settings)
        self._clock = clock
        self._uploads = Uploads(self._settings.transfers)
        self._peers = Peers(self._settings.peer_messages_per_minute, self._settings.peer_bytes_per_minute)
        self._info: dict[str, bytes] = {"id": self._settings.id.encode()}
        self._frames: Counter[str] = Counter()
        self._transmits: Counter[str] = Counter()
        self._links: dict[int, Link] = {}
        self._handles: dict[int, Link] = {}
        self._next_link = 0
        self._queue = FrameQueue(self._settings.queue)
        self._neighbours = Neighbours(
            self._settings.id, self._settings.max_gateways, self._settings.max_message_bytes, clock
        )
        self._peripheral: Peripheral | None = None
        self._lost: DriverLost | None = None
        self._advertise = asyncio.Event()
        self._refused = False  # the controller, to advertise
        self._tasks: list[asyncio.Task[None]] = []
        self._closing: set[asyncio.Task[None]] = set()

    def announce(self, facts: Mapping[str, bytes]) -> None:
        """See :class:`drivers.base.Announcer`; the hint stands in the advertisement, the rest can be read."""
        for fact, value in facts.items():
            if len(value) > ANNOUNCED.get(fact, -1):
                raise ValueError(f"{fact!r} of {len(value)} bytes cannot be announced")
        new_hint = facts.get("hint", self._info.get("hint")) != self._info.get("hint")
        self._info.update(facts)
        if new_hint:
            self._advertise.set()

    async def __aenter__(self) -> Self:
        self._queue = FrameQueue(self._settings.queue)
        self._frames.clear()
        self._transmits.clear()
        self._lost = None
        transport = await open_hci(self._settings.controller)
        self._peripheral = Peripheral(transport, self._settings.name, self, self._read_fact)
        try:
            await self._peripheral.start()
        except BaseException:
            peripheral, self._peripheral = self._peripheral, None
            await peripheral.stop()
            raise
        self._advertise.set()
        self._neighbours.open()
        self._tasks = [
            asyncio.create_task(self._keep_advertising(), name=f"{self.name}-advertise"),
            asyncio.create_task(self._watch(), name=f"{self.name}-watch"),
            asyncio.create_task(self._neighbours.seek(self._peripheral.central), name=f"{self.name}-seek"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._task_ended)
        where = {"radio": self.name, "controller": self._settings.controller}
        log.info("advertising %s", self._settings.name, extra=where)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        peripheral, self._peripheral = self._peripheral, None
        if peripheral is not None:
            await peripheral.stop()
        tasks, self._tasks = [*self._tasks, *self._closing], []
        for task in tasks:
            while not task.done():
                task.cancel()  # again and again: wait_for() of Python 3.11, in bumble, may swallow one
                await asyncio.wait([task], timeout=1.0)
        for handle in list(self._handles):
            self.disconnected(handle)
        self._neighbours.close()

    def links(self) -> AsyncIterator[Neighbour]:
        """See :class:`drivers.base.GatewayLinks`."""
        return self._neighbours.links()

    def frames(self) -> AsyncIterator[Frame]:
        return self._queue.frames()

    def stats(self) -> DriverStats:
        lost = self._lost
        return DriverStats(
            frames=dict(self._frames) | self._queue.untaken,
            transmits=dict(self._transmits),
            gauges={
                "links": len(self._handles),
                "gateway_links": len(self._neighbours),
                "queue_frames": len(self._queue),
                "parked_transfers": self._uploads.parked,
                "held_bytes": self._uploads.held_bytes,
                "pending_transmits": sum(link.pending for link in self._handles.values()),
            },
            note=str(lost) if lost else "",
        )

    async def transmit(self, request: TxRequest) -> TxReceipt:
        """Notify a message to the phone it answers, and wait until that phone's controller has it all.

        Raises :class:`TransmitRefused` (``no_route``: that connection is gone or never subscribed; ``size``;
        ``queue_full``; ``too_late``: not all of it went within ``timeout_s``) and :class:`DriverLost`.
        """
        return await self._counted(request, notice=False)

    async def notify(self, request: TxRequest) -> TxReceipt:
        """As :meth:`transmit`, to the phone that a frame came from; it goes when no answer waits."""
        return await self._counted(request, notice=True)

    async def _counted(self, request: TxRequest, *, notice: bool) -> TxReceipt:
        try:
            receipt = await self._transmit(request, notice=notice)
        except TransmitRefused as refusal:
            self._transmits[refusal.reason] += 1
            raise
        self._transmits["sent"] += 1
        return receipt

    async def _transmit(self, request: TxRequest, *, notice: bool) -> TxReceipt:
        if self._lost is not None:
            raise DriverLost(str(self._lost))
        if self._peripheral is None:
            raise TransmitRefused("no_route", f"{self.name} is closed")
        path = request.reply_to
        link = self._links.get(path.link) if isinstance(path, BlePath) else None
        if link is None or not isinstance(path, BlePath) or not self._peripheral.subscribed(link.handle):
            raise TransmitRefused("no_route", "that phone has left or does not listen")
        if not 0 < len(request.payload) <= self._settings.max_message_bytes:
            raise TransmitRefused("size", f"{len(request.payload)} bytes")
        if len(link.answers) + len(link.notices) >= MAX_ANSWERS:
            raise TransmitRefused("queue_full", f"{MAX_ANSWERS} messages wait for that phone")
        xid = NOTICE if notice else path.xid
        answer = Answer(request.payload, xid, asyncio.get_running_loop().create_future())
        (link.notices if notice else link.answers).append(answer)
        self.room(link.handle)
        try:
            await asyncio.wait_for(answer.sent, request.timeout_s)
        except TimeoutError:
            raise TransmitRefused("too_late", f"the phone took not all in {request.timeout_s:g} s") from None
        return TxReceipt()

    # What the peripheral calls

    def connected(self, handle: int, address: str) -> None:
        assert self._peripheral is not None  # noqa: S101 - it is the caller
        now = self._clock.monotonic()
        peer = self._peers.get(address, now)
        self._next_link += 1
        link = Link(self._next_link, handle, address, peer, self._uploads.open(), now)
        self._handles[handle] = self._links[link.id] = link
        log.debug(
            "a phone connected", extra={"radio": self.name, "peer": address, "links": len(self._handles)}
        )
        if now < peer.banned_until:
            self._frames["banned"] += 1
            self._close(link)
        elif len(self._handles) > self._settings.max_links:
            self._frames["too_many_links"] += 1
            self._close(link)
        self._advertise.set()

    def disconnected(self, handle: int) -> None:
        self._neighbours.disconnected(handle)
        link = self._handles.pop(handle, None)
        if link is None:
            return
        del self._links[link.id]
        link.inbox.close(self._clock.monotonic())
        link.fail(TransmitRefused("no_route", "the phone left before it had the answer"))
        self._advertise.set()

    def written(self, handle: int, value: bytes) -> None:
        link = self._handles.get(handle)
        if link is None or link.closing:
            return
        now = self._clock.monotonic()
        if not link.peer.bytes.take(len(value), now):
            self._over_limit(link, value, now)
            return
        taken = link.inbox.receive(value, now)
        if taken.fault:
            self._frames[taken.fault] += 1
            if link.struck(taken.fault):
                self._expel(link, "too many faults", now)
        if taken.message is not None:
            taken = self._deliver(link, taken.message, taken, now)
        if link.inbox.flooding:
            self._expel(link, "useless bytes", now)
        link.words.extend(taken.replies)
        self.room(handle)

    def link_written(self, handle: int, value: bytes) -> None:
        peripheral = self._peripheral
        if handle in self._neighbours:
            self._neighbours.received(handle, value)
        elif handle in self._handles and peripheral is not None:
            link, gateway_id = self._handles[handle], wire.linked(value)
            way = peripheral.way(handle, lambda: self._close(link))
            if gateway_id is None or not self._neighbours.accepts(gateway_id):
                way.write(turned_away())
            else:
                way.write(wire.link(self._settings.id))
                self._neighbours.add(handle, gateway_id, way)

    def linked(self, handle: int, gateway_id: str, way: Way) -> None:
        self._neighbours.add(handle, gateway_id, way)

    def room(self, handle: int) -> None:
        self._neighbours.room(handle)
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

    def lost(self, why: str) -> None:
        if self._lost is not None or self._peripheral is None:
            return
        self._lost = DriverLost(f"{self._settings.controller}: {why}")
        for link in self._handles.values():
            link.fail(self._lost)
        self._queue.lose(self._lost)

    def _deliver(self, link: Link, message: bytes, taken: Taken, now: float) -> Taken:
        """Put a whole message into the queue, or say when to come again."""
        if not link.peer.messages.take(1, now):
            self._frames["limited"] += 1
            retry = link.peer.messages.seconds_until(1)
            return Taken((wire.refused(taken.xid, Status.LIMITED, retry),))
        frame = Frame(
            radio=self.name,
            payload=message,
            peer=link.address,
            received_unix_ns=self._clock.unix_ns(),
            reply_to=BlePath(link.id, taken.xid),
        )
        if not self._queue.put(frame):
            self._frames["queue_full"] += 1
            return Taken((wire.refused(taken.xid, Status.BUSY, BUSY_RETRY_S),))
        self._frames["ok"] += 1
        return taken

    def _over_limit(self, link: Link, value: bytes, now: float) -> None:
        """Past its bytes a minute: told once, then closed if it goes on."""
        link.excess += len(value)
        if not link.limited_told:
            link.limited_told = True
            self._frames["limited"] += 1
            xid = value[1] if len(value) > 1 else 0
            retry = link.peer.bytes.seconds_until(len(value))
            link.words.append(wire.refused(xid, Status.LIMITED, retry))
            self.room(link.handle)
        if link.excess > USELESS_BYTES:
            self._expel(link, "past its bytes a minute", now)

    def _expel(self, link: Link, why: str, now: float) -> None:
        if link.closing:
            return
        self._frames["expelled"] += 1
        link.peer.banned_until = now + self._settings.ban_s
        log.info(
            "a phone is closed for misconduct", extra={"radio": self.name, "peer": link.address, "why": why}
        )
        self._close(link)

    def _close(self, link: Link) -> None:
        link.closing = True
        if self._peripheral is not None:
            closing = asyncio.create_task(self._peripheral.disconnect(link.handle), name=f"{self.name}-close")
            self._closing.add(closing)  # at most one a link
            closing.add_done_callback(self._closing.discard)

    def _read_fact(self, fact: str) -> bytes:
        if fact == "time":
            clock = self._info.get("clock", bytes(CLOCK.size))
            ahead_ms: int = CLOCK.unpack(clock)[0]
            return max(0, self._clock.unix_ns() // 1_000_000 + ahead_ms).to_bytes(8) + clock[-1:]
        return self._info.get(fact, b"")

    # Its own two tasks

    def _task_ended(self, task: asyncio.Task[None]) -> None:
        """A bug in one of them, ours or bumble's, is a radio to be opened again, not a silent one."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self.lost(f"{type(error).__name__}: {error}")

    async def _keep_advertising(self) -> None:
        """A controller stops advertising at each connection; here it goes on while a link is free."""
        while True:
            await self._advertise.wait()
            self._advertise.clear()
            peripheral = self._peripheral
            if peripheral is None or self._lost is not None:
                return
            if len(self._handles) >= self._settings.max_links:
                continue
            self._refused = not await peripheral.advertise(self._info.get("hint", b""))

    async def _watch(self) -> None:
        """Ask the controller whether it lives, close idle links, forget what is parked too long."""
        asked = self._clock.monotonic()
        while self._peripheral is not None and self._lost is None:
            await self._clock.sleep(min(TICK_S, self._settings.watchdog_s, self._settings.idle_timeout_s))
            now = self._clock.monotonic()
            self._close_idle(now)
            self._uploads.expire(now)
            self._neighbours.tick(now)
            if self._refused:
                self._advertise.set()
            if now - asked < self._settings.watchdog_s:
                continue
            asked = now
            try:
                await self._peripheral.alive()
            except DriverLost as error:
                self.lost(str(error))

    def _close_idle(self, now: float) -> None:
        for link in list(self._handles.values()):
            if link.handle in self._neighbours:
                continue  # which knows by itself
            if not link.closing and link.idle_since(now) > self._settings.idle_timeout_s:
                self._frames["idle"] += 1
                self._close(link)
