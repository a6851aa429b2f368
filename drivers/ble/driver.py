"""Phones over Bluetooth as one radio: whole messages up, answers down; a controller that dies is named."""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self

from drivers.base import Clock, DriverStats, Frame, TxReceipt, TxRequest
from drivers.ble import wire
from drivers.ble.advertising import MAX_HINT
from drivers.ble.neighbour import Neighbour, Way
from drivers.ble.neighbours import Neighbours, turned_away
from drivers.ble.peripheral import Peripheral
from drivers.ble.phones import Phones
from drivers.ble.settings import BleSettings
from drivers.errors import DriverLost
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
        self._phones = Phones(name, self._settings, clock)
        self._info: dict[str, bytes] = {"id": self._settings.id.encode()}
        self._queue = FrameQueue(self._settings.queue)
        self._neighbours = Neighbours(
            self._settings.id, self._settings.max_gateways, self._settings.max_message_bytes, clock
        )
        self._peripheral: Peripheral | None = None
        self._lost: DriverLost | None = None
        self._advertise = asyncio.Event()
        self._refused = False  # the controller, to advertise
        self._tasks: list[asyncio.Task[None]] = []

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
        self._lost = None
        transport = await open_hci(self._settings.controller)
        self._peripheral = Peripheral(transport, self._settings.name, self, self._read_fact)
        try:
            await self._peripheral.start()
        except BaseException:
            peripheral, self._peripheral = self._peripheral, None
            await peripheral.stop()
            raise
        self._phones.open(self._peripheral, self._queue)
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
        self._phones.close()
        peripheral, self._peripheral = self._peripheral, None
        if peripheral is not None:
            await peripheral.stop()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            while not task.done():
                task.cancel()  # again and again: wait_for() of Python 3.11, in bumble, may swallow one
                await asyncio.wait([task], timeout=1.0)
        self._neighbours.close()

    def links(self) -> AsyncIterator[Neighbour]:
        """See :class:`drivers.base.GatewayLinks`."""
        return self._neighbours.links()

    def frames(self) -> AsyncIterator[Frame]:
        return self._queue.frames()

    def stats(self) -> DriverStats:
        lost = self._lost
        return DriverStats(
            frames=dict(self._phones.frames) | self._queue.untaken,
            transmits=dict(self._phones.transmits),
            gauges={
                **self._phones.gauges,
                "gateway_links": len(self._neighbours),
                "queue_frames": len(self._queue),
            },
            note=str(lost) if lost else "",
        )

    async def transmit(self, request: TxRequest) -> TxReceipt:
        """Notify a message to the phone it answers, and wait until that phone's controller has it all.

        Raises :class:`TransmitRefused` (``no_route``: that connection is gone or never subscribed; ``size``;
        ``queue_full``; ``too_late``: not all of it went within ``timeout_s``) and :class:`DriverLost`.
        """
        return await self._send(request, notice=False)

    async def notify(self, request: TxRequest) -> TxReceipt:
        """As :meth:`transmit`, to the phone that a frame came from; it goes when no answer waits."""
        return await self._send(request, notice=True)

    async def _send(self, request: TxRequest, *, notice: bool) -> TxReceipt:
        if self._lost is not None:
            raise DriverLost(str(self._lost))
        await self._phones.send(request, notice=notice)
        return TxReceipt()

    # What the peripheral calls

    def connected(self, handle: int, address: str) -> None:
        self._phones.connected(handle, address)
        self._advertise.set()

    def disconnected(self, handle: int) -> None:
        self._neighbours.disconnected(handle)
        self._phones.disconnected(handle)
        self._advertise.set()

    def written(self, handle: int, value: bytes) -> None:
        self._phones.written(handle, value)

    def link_written(self, handle: int, value: bytes) -> None:
        peripheral = self._peripheral
        if handle in self._neighbours:
            self._neighbours.received(handle, value)
        elif handle in self._phones and peripheral is not None:
            way, gateway_id = peripheral.way(handle, self._phones.hang_up), wire.linked(value)
            if gateway_id is None or not self._neighbours.accepts(gateway_id):
                way.write(turned_away())
            else:
                way.write(wire.link(self._settings.id))
                self._neighbours.add(handle, gateway_id, way)

    def linked(self, handle: int, gateway_id: str, way: Way) -> None:
        self._neighbours.add(handle, gateway_id, way)

    def room(self, handle: int) -> None:
        self._neighbours.room(handle)
        self._phones.room(handle)

    def lost(self, why: str) -> None:
        if self._lost is not None or self._peripheral is None:
            return
        self._lost = DriverLost(f"{self._settings.controller}: {why}")
        self._phones.fail(self._lost)
        self._queue.lose(self._lost)

    def _read_fact(self, fact: str) -> bytes:
        if fact == "time":
            clock = self._info.get("clock", bytes(CLOCK.size))
            ahead_ms: int = CLOCK.unpack(clock)[0]
            return max(0, self._clock.unix_ns() // 1_000_000 + ahead_ms).to_bytes(8) + clock[-1:]
        return self._info.get(fact, b"")

    # Its own tasks

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
            if len(self._phones) >= self._settings.max_links:
                continue
            self._refused = not await peripheral.advertise(self._info.get("hint", b""))

    async def _watch(self) -> None:
        """Ask the controller whether it lives, close idle links, forget what is parked too long."""
        asked = self._clock.monotonic()
        while self._peripheral is not None and self._lost is None:
            await self._clock.sleep(min(TICK_S, self._settings.watchdog_s, self._settings.idle_timeout_s))
            now = self._clock.monotonic()
            self._phones.tick(now, spared=self._neighbours)  # which know by themselves
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
