"""One connection on the air: LL packets both ways, in range and out of it, until one end has gone."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bumble import hci, ll
from bumble.controller import Connection

if TYPE_CHECKING:
    from simulators.phones.air import Air, RadioAdvertiser
    from simulators.phones.controller import VirtualController

INSTANT_BATCH = 16  # packets each way before others get their turn
TIMED_OUT = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR


@dataclass
class Outgoing:
    """One HCI packet on its way over the air, in LL pieces."""

    pieces: deque[tuple[int, bytes]] = field(default_factory=deque)  # packet boundary flag, bytes


class RadioConnection(Connection):
    """One end of a :class:`RadioLink`."""

    controller: VirtualController
    radio: RadioLink
    far: RadioConnection

    def __post_init__(self) -> None:
        super().__post_init__()
        self.out: deque[Outgoing] = deque()
        self.gone = False

    def on_hci_acl_data_packet(self, packet: hci.HCI_AclDataPacket) -> None:
        size, data = self.radio.timing.ll_payload, packet.data
        first = 1 if packet.pb_flag == 1 else 2  # controller to host: 2 starts, 1 continues
        pieces = [(1 if at else first, data[at : at + size]) for at in range(0, len(data), size)]
        self.out.append(Outgoing(deque(pieces)))
        self.radio.wake()

    def send_ll_control_pdu(self, packet: ll.ControlPdu) -> None:
        """Control packets are few: they cross between events."""
        if self.radio.in_range:
            controller = self.far.controller
            asyncio.get_running_loop().call_soon(controller.on_ll_control_pdu, self.self_address, packet)

    @property
    def can_send(self) -> bool:
        """Something waits, and the far controller would acknowledge it."""
        return bool(self.out) and self.far.controller.host_takes

    def take(self) -> tuple[int, bytes] | None:
        """The next LL packet; the host learns of a completed HCI packet."""
        if not self.can_send:
            return None
        piece = self.out[0].pieces.popleft()
        if not self.out[0].pieces:
            self.out.popleft()
            self.controller.send_hci_packet(
                hci.HCI_Number_Of_Completed_Packets_Event(
                    connection_handles=[self.handle], num_completed_packets=[1]
                )
            )
        return piece

    def next_size(self) -> int:
        return len(self.out[0].pieces[0][1]) if self.can_send else 0

    def deliver(self, piece: tuple[int, bytes]) -> None:
        if self.gone:
            return
        flag, data = piece
        self.controller.send_hci_packet(hci.HCI_AclDataPacket(self.handle, flag, 0, len(data), data))


class RadioLink:
    """A connection on the air, from CONNECT_IND to its end."""

    def __init__(self, air: Air, central: VirtualController, advertiser: RadioAdvertiser) -> None:
        peripheral = advertiser.controller
        self.timing = central.timing
        self._random = air.random
        self._loop = asyncio.get_running_loop()
        own = central.own_address()
        self._near = central.accept(hci.Role.CENTRAL, own, advertiser.address, self)
        self._far = peripheral.accept(hci.Role.PERIPHERAL, advertiser.address, own, self)
        self._near.far, self._far.far = self._far, self._near
        self._anchor = self._loop.time() + self._random.random() * self.timing.interval_s
        self._event: asyncio.TimerHandle | asyncio.Handle | None = None
        self._silence: asyncio.TimerHandle | None = None
        self.up = True
        central.announce(self._near)
        peripheral.announce(self._far)

    @property
    def in_range(self) -> bool:
        return self.up and self._near.controller.in_range and self._far.controller.in_range

    @property
    def _can_send(self) -> bool:
        return self._near.can_send or self._far.can_send

    def wake(self) -> None:
        """There is something to send: the next connection event will carry it."""
        if self._event is not None or not self.in_range:
            return
        if self.timing.instant:
            self._event = self._loop.call_soon(self._cross)
            return
        interval, now = self.timing.interval_s, self._loop.time()
        passed = max(0, int((now - self._anchor) / interval) + 1)
        self._event = self._loop.call_at(self._anchor + passed * interval, self._run_event)

    def range_changed(self) -> None:
        """Out of range: both ends give up after the supervision timeout, unless the phone comes back."""
        if self.in_range:
            if self._silence is not None:
                self._silence.cancel()
                self._silence = None
            self.wake()
        elif self.up and self._silence is None:
            self._silence = self._loop.call_later(self.timing.supervision_s, self._time_out)

    def end(self, connection: RadioConnection) -> None:
        """One end has gone; the other is told by LL_TERMINATE_IND, or by the supervision timeout."""
        connection.gone = True
        connection.out.clear()
        if self._near.gone and self._far.gone:
            self._cancel()
        elif self._silence is None and self.up:
            self._silence = self._loop.call_later(self.timing.supervision_s, self._time_out)

    def drop(self) -> None:
        """At once and for both: a cut that nobody announced."""
        self._time_out()

    def _time_out(self) -> None:
        self._cancel()
        for connection in (self._near, self._far):
            connection.controller.on_le_disconnected(connection, TIMED_OUT)

    def _cancel(self) -> None:
        self.up = False
        for handle in (self._silence, self._event):
            if handle is not None:
                handle.cancel()

    def _cross(self) -> None:
        self._event = None
        if not self.in_range:
            return
        for sender in (self._near, self._far):
            for _ in range(INSTANT_BATCH):
                piece = sender.take()
                if piece is None:
                    break
                sender.far.deliver(piece)
        if self._can_send:
            self.wake()

    def _run_event(self) -> None:
        """One connection event: pairs of packets until there is nothing more, or no more time."""
        self._event = None
        if not self.in_range:
            return
        radios = (self._near.controller, self._far.controller)
        start = at = max(self._loop.time(), *(radio.busy_until for radio in radios))
        carried: list[tuple[RadioConnection, tuple[int, bytes]]] = []
        for _ in range(self.timing.packets_per_event):
            pair = self.timing.pair_s(self._near.next_size(), self._far.next_size())
            if at + pair > start + self.timing.interval_s:
                break
            at += pair
            if self.timing.loss and self._random.random() < self.timing.loss:
                continue
            for sender in (self._near, self._far):
                piece = sender.take()
                if piece is not None:
                    carried.append((sender.far, piece))
            if not self._can_send:
                break
        for radio in radios:
            radio.busy_until = at
        self._loop.call_at(at, self._arrive, carried)
        if self._can_send:
            self.wake()

    def _arrive(self, carried: list[tuple[RadioConnection, tuple[int, bytes]]]) -> None:
        if self.up:
            for receiver, piece in carried:
                receiver.deliver(piece)
