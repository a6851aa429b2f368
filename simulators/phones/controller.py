"""A Bluetooth controller that is not there: bumble's own, on the :class:`simulators.phones.air.Air`."""

from __future__ import annotations

from typing import Any

from bumble import hci, ll
from bumble.controller import Connection, Controller
from bumble.core import PhysicalTransport

from simulators.phones.air import Air, RadioAdvertiser
from simulators.phones.radio import TIMED_OUT, RadioConnection, RadioLink
from simulators.phones.timing import RadioTiming


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
        self.host_takes = True
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

    def host_has_room(self, room: bool) -> None:
        """The way to the host is full, or has emptied: until then every phone is asked to send again.

        Who is first when it has emptied is chance, as it is who has the next connection event.
        """
        self.host_takes = room
        if room:
            connections = self.radio_connections()
            for connection in self.link.random.sample(connections, len(connections)):
                connection.radio.wake()

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
