"""The radio between virtual Bluetooth controllers: range, timing, who connects first; on bumble's controller.

bumble's virtual controllers are a host's test bed, not a radio. Corrected here:

* data goes along the connection it belongs to, not to whoever has the address of the sender's last setting;
* of two initiators that hear one advertisement, the first connects and the other goes on waiting;
* the scan response is its own packet; only scanners and initiators hear anything;
* a packet counts as completed when the far controller has it: buffers fill up behind a vanished phone;
* connection events, packets an event, PHY, LL payload and supervision timeout take their time; one radio
  serves one connection at a time;
* reset drops connections, a pending connection can be cancelled, a full controller refuses to advertise, a
  connection already gone cannot be ended.

With ``RadioTiming.instant`` packets cross at once and only the transport to the host limits the rate.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from bumble import hci, ll
from bumble.controller import Connection, Controller, LegacyAdvertiser
from bumble.core import PhysicalTransport
from bumble.link import LocalLink

T_IFS_S = 150e-6  # Vol 6 Part B 4.1.1
LL_OVERHEAD = {"1M": (10, 8e-6), "2M": (11, 4e-6)}  # preamble, access address, header, CRC; seconds a byte
INSTANT_BATCH = 16  # packets each way before others get their turn
LOCAL_ERROR = hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR
TIMED_OUT = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR


@dataclass(frozen=True)
class RadioTiming:
    """How a connection runs: the phone, as central, decides."""

    instant: bool = True
    interval_s: float = 0.030
    packets_per_event: int = 6
    phy: str = "1M"
    ll_payload: int = 251  # 27 without data length extension
    supervision_s: float = 2.0
    loss: float = 0.0  # of packet pairs, sent again

    def pair_s(self, down: int, up: int) -> float:
        """A packet each way, with the pauses."""
        overhead, byte_s = LL_OVERHEAD[self.phy]
        return (2 * overhead + down + up) * byte_s + 2 * T_IFS_S

    def capacity_bytes_per_s(self) -> float:
        """LL payload one way, the other way empty: what the link can carry at most."""
        pair = self.pair_s(self.ll_payload, 0)
        pairs = min(self.packets_per_event, int(self.interval_s / pair))
        return pairs * self.ll_payload / self.interval_s


class Air(LocalLink):
    """All controllers in one place. ``seed`` settles losses and phases."""

    controllers: set[VirtualController]  # type: ignore[assignment]

    def __init__(self, seed: int = 1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.random = random.Random(seed)

    def advertise(self, advertiser: RadioAdvertiser) -> None:
        """One advertising event; a copy of the list, since a connection changes who listens."""
        for controller in sorted(self.controllers, key=lambda _: self.random.random()):
            if advertiser.enabled and controller is not advertiser.controller and controller.in_range:
                controller.hears(advertiser)

    def connect(self, central: VirtualController, advertiser: RadioAdvertiser) -> None:
        """CONNECT_IND: from here on the advertiser is taken."""
        advertiser.stop()
        RadioLink(self, central, advertiser)


class RadioAdvertiser(LegacyAdvertiser):
    """Advertising events in true milliseconds."""

    controller: VirtualController

    def _on_timer_fired(self) -> None:
        self.send_advertising_data()
        if self.enabled:
            seconds = self.advertising_interval_min * 0.625e-3 + self.controller.link.random.random() * 10e-3
            self.timer_handle = asyncio.get_running_loop().call_later(seconds, self._on_timer_fired)

    def send_advertising_data(self) -> None:
        if self.enabled and self.controller.in_range:
            self.controller.link.advertise(self)


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

    def take(self) -> tuple[int, bytes] | None:
        """The next LL packet; the host learns of a completed HCI packet."""
        if not self.out:
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
        return len(self.out[0].pieces[0][1]) if self.out else 0

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
        if self._near.out or self._far.out:
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
            if not self._near.out and not self._far.out:
                break
        for radio in radios:
            radio.busy_until = at
        self._loop.call_at(at, self._arrive, carried)
        if self._near.out or self._far.out:
            self.wake()

    def _arrive(self, carried: list[tuple[RadioConnection, tuple[int, bytes]]]) -> None:
        if self.up:
            for receiver, piece in carried:
                receiver.deliver(piece)


class VirtualController(Controller):
    """A controller on the :class:`Air`. ``timing`` holds for the connections it initiates."""

    le_acl_data_packet_length = 251
    total_num_le_acl_data_packets = 8
    # Legacy advertising only: bumble's extended advertisements are not heard by legacy scanners.
    le_features = Controller.le_features & ~(
        hci.LeFeatureMask.LE_EXTENDED_ADVERTISING | hci.LeFeatureMask.LE_PERIODIC_ADVERTISING
    )

    link: Air

    def __init__(
        self,
        air: Air,
        name: str,
        public_address: str | None = None,
        timing: RadioTiming | None = None,
        max_connections: int = 20,
    ) -> None:
        super().__init__(name, link=air, public_address=public_address)
        self.timing = timing or RadioTiming()
        self.busy_until = 0.0
        self.in_range = True
        self.max_connections = max_connections
        self._seen: set[tuple[hci.Address, bytes]] = set()
        self.le_legacy_advertiser = RadioAdvertiser(self)

    def radio_connections(self) -> list[RadioConnection]:
        return [c for c in self.le_connections.values() if isinstance(c, RadioConnection)]

    def set_range(self, in_range: bool) -> None:
        """Walk in or out. Connections live on for their supervision timeout."""
        self.in_range = in_range
        for connection in self.radio_connections():
            connection.radio.range_changed()

    def leave(self) -> None:
        """Off the air, with all its connections."""
        self.in_range = False
        self.le_legacy_advertiser.stop()
        for connection in self.radio_connections():
            connection.radio.drop()
        self.link.controllers.discard(self)

    def own_address(self) -> hci.Address:
        """Of a connection being initiated."""
        pending = self.pending_le_connection
        public = pending is not None and pending.own_address_type == hci.OwnAddressType.PUBLIC
        return self.public_address if public else self.random_address

    def hears(self, advertiser: RadioAdvertiser) -> None:
        pending = self.pending_le_connection
        if pending is not None and pending.peer_address == advertiser.address:
            self.link.connect(self, advertiser)
        elif self.le_scan_enable:
            kinds = hci.HCI_LE_Advertising_Report_Event.EventType
            self._report(kinds.ADV_IND, advertiser.address, advertiser.advertising_data)
            self._report(kinds.SCAN_RSP, advertiser.address, advertiser.scan_response_data)

    def _report(self, kind: int, address: hci.Address, data: bytes) -> None:
        if self.filter_duplicates and (address, data) in self._seen:
            return
        self._seen.add((address, data))
        report = hci.HCI_LE_Advertising_Report_Event.Report(
            event_type=kind, address_type=address.address_type, address=address, data=data, rssi=-50
        )
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([report]))

    def accept(
        self, role: hci.Role, own: hci.Address, peer: hci.Address, radio: RadioLink
    ) -> RadioConnection:
        connection = RadioConnection(
            controller=self,
            handle=self.allocate_connection_handle(),
            role=role,
            self_address=own,
            peer_address=peer,
            link=self.link,
            transport=PhysicalTransport.LE,
            link_type=hci.HCI_Connection_Complete_Event.LinkType.ACL,
        )
        connection.radio = radio
        self.le_connections[peer] = connection
        if role == hci.Role.CENTRAL:
            self.pending_le_connection = None
        return connection

    def announce(self, connection: RadioConnection) -> None:
        """Tell the host; both ends know of each other by now."""
        timing, peer = connection.radio.timing, connection.peer_address
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.SUCCESS,
                connection_handle=connection.handle,
                role=connection.role,
                peer_address_type=peer.address_type,
                peer_address=peer,
                connection_interval=max(6, round(timing.interval_s / 1.25e-3)),
                peripheral_latency=0,
                supervision_timeout=max(10, round(timing.supervision_s / 10e-3)),
                central_clock_accuracy=0,
            )
        )

    def on_le_disconnected(self, connection: Connection, reason: int) -> None:
        if self.le_connections.get(connection.peer_address) is not connection:
            return  # both ends said so at once
        super().on_le_disconnected(connection, reason)
        if isinstance(connection, RadioConnection):
            connection.radio.end(connection)

    def on_hci_disconnect_command(self, command: hci.HCI_Disconnect_Command) -> None:
        if self.find_connection_by_handle(command.connection_handle) is None:
            unknown = hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR
            self._send_hci_command_status(unknown, command.op_code)
        else:
            super().on_hci_disconnect_command(command)

    def on_hci_reset_command(self, command: hci.HCI_Reset_Command) -> Any:
        self.le_legacy_advertiser.stop()
        self.le_scan_enable = False
        self.pending_le_connection = None
        for connection in self.radio_connections():
            connection.send_ll_control_pdu(ll.TerminateInd(TIMED_OUT))
            del self.le_connections[connection.peer_address]
            connection.radio.end(connection)
        return super().on_hci_reset_command(command)

    def on_hci_le_set_scan_enable_command(self, command: hci.HCI_LE_Set_Scan_Enable_Command) -> Any:
        self._seen.clear()
        return super().on_hci_le_set_scan_enable_command(command)

    def on_hci_le_set_advertising_enable_command(
        self, command: hci.HCI_LE_Set_Advertising_Enable_Command
    ) -> Any:
        if command.advertising_enable and len(self.le_connections) >= self.max_connections:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.CONNECTION_LIMIT_EXCEEDED_ERROR)
        return super().on_hci_le_set_advertising_enable_command(command)

    def on_hci_le_create_connection_cancel_command(
        self, command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> Any:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)
