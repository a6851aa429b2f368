"""The gateway as a Bluetooth peripheral on bumble: advertises, takes writes, notifies, and says who is there.

Above it stands :class:`Station`, which knows no bumble; beside it :mod:`drivers.ble.gatt`, what can be read
and written, :mod:`drivers.ble.advertising`, what is shown, and :mod:`drivers.ble.outgoing`, who sends next.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from typing import Protocol

from bumble import att, hci
from bumble.core import BaseBumbleError
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic
from bumble.host import Host
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import Transport, TransportLostError

from drivers.ble import advertising, gatt
from drivers.ble.central import Central, Dialled
from drivers.ble.neighbour import Way
from drivers.ble.outgoing import FairQueue
from drivers.ble.settings import NAME_PREFIX
from drivers.errors import DriverLost

log = logging.getLogger(__name__)

COMMAND_TIMEOUT_S = 3.0
START_TIMEOUT_S = 10.0
USER_TERMINATED = hci.HCI_REMOTE_USER_TERMINATED_CONNECTION_ERROR


class Station(Protocol):
    """Who owns the peripheral. Calls come on the loop, in the order of events; they must not block."""

    def connected(self, handle: int, address: str) -> None: ...

    def disconnected(self, handle: int) -> None: ...

    def written(self, handle: int, value: bytes) -> None:
        """One value of FFF1, in the order of writing."""
        ...

    def link_written(self, handle: int, value: bytes) -> None:
        """One value of FFF8: of a gateway that dialled us."""
        ...

    def linked(self, handle: int, gateway_id: str, way: Way) -> None:
        """A gateway that we dialled has agreed; values of it follow by :meth:`link_written`."""
        ...

    def room(self, handle: int) -> None:
        """Packets of this link were completed, or it subscribed: there may be room for more."""
        ...

    def lost(self, why: str) -> None:
        """The controller or the way to it is gone."""
        ...


class Peripheral:
    """One opening of one controller."""

    def __init__(
        self, transport: Transport, name: str, station: Station, read: Callable[[str], bytes]
    ) -> None:
        self._transport = transport
        self._station = station
        self._lock = asyncio.Lock()  # one sequence of commands at a time; none is broken off by us
        self._stopped = False
        self._queue: FairQueue | None = None
        self._subscribed: set[int] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._notify, self._notify_link = gatt.notifying(gatt.NOTIFY), gatt.notifying(gatt.LINK_NOTIFY)
        self._notify.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        self._device = self._make_device(name, read)
        self._name = name
        self.central = Central(
            self._device,
            name.removeprefix(NAME_PREFIX),
            self._own_address_type,
            self._on_linked,
            station.link_written,
            station.disconnected,
        )

    async def start(self) -> None:
        """Reset the controller. Raises :class:`DriverLost`."""
        self._transport.source.terminated.add_done_callback(self._on_transport_gone)
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                await self._device.power_on()
        except TimeoutError as error:
            raise DriverLost(f"the controller did not answer its reset in {START_TIMEOUT_S:.0f} s") from error
        except (BaseBumbleError, OSError) as error:
            raise DriverLost(f"the controller failed its reset: {error}") from error
        host = self._device.host
        plain = host.le_acl_packet_queue
        if plain is None:
            raise DriverLost("the controller has no buffers for LE data")
        self._queue = FairQueue(
            plain.max_packet_size, plain.max_in_flight, host.send_hci_packet, self._station.room
        )
        host.le_acl_packet_queue = self._queue

    async def stop(self) -> None:
        """Leave the controller silent if it still answers; closing twice is harmless."""
        self._stopped = True  # who waits for the lock gives up at once
        try:
            if self._transport.source.terminated.done():
                raise TransportLostError("the way to it is gone")
            async with self._lock, asyncio.timeout(COMMAND_TIMEOUT_S):
                await self._device.host.send_sync_command(hci.HCI_Reset_Command())
                await self._device.power_off()
        except (TimeoutError, BaseBumbleError, OSError) as error:
            log.debug("the controller did not take leave", extra={"seen": str(error)})
            self._device.host.emit("flush")  # what bumble waits for will not come
        if self._closing:
            await asyncio.wait(self._closing)
        await self._transport.close()

    async def advertise(self, hint: bytes) -> bool:
        """Advertise until the next phone connects. False when the controller takes no more for now."""
        try:
            async with self._commands():
                await self._device.start_advertising(
                    advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
                    own_address_type=self._own_address_type(),
                    advertising_data=advertising.advertisement(hint),
                    scan_response_data=advertising.scan_response(self._name),
                    advertising_interval_min=advertising.INTERVAL_MS,
                    advertising_interval_max=advertising.INTERVAL_MS * 1.5,
                )
        except hci.HCI_Error as error:
            log.info("the controller takes no more phones for now", extra={"seen": str(error)})
            return False
        except (TimeoutError, BaseBumbleError, OSError) as error:
            self._station.lost(f"advertising could not be started: {str(error) or 'no answer'}")
            return False
        return True

    async def alive(self) -> None:
        """Ask the controller anything. Raises :class:`DriverLost` when no answer comes."""
        try:
            async with self._commands():
                await self._device.host.send_sync_command(hci.HCI_Read_BD_ADDR_Command())
        except hci.HCI_Error:
            return  # it refused, so it lives
        except (TimeoutError, BaseBumbleError, OSError) as error:
            seen = str(error) or "no word in 3 s"
            raise DriverLost(
                f"the controller does not answer: {seen}; if it goes on, plug it anew"
            ) from error

    @contextlib.asynccontextmanager
    async def _commands(self) -> AsyncIterator[None]:
        """A dead controller leaves commands pending for ever: every sequence has its time."""
        async with self._lock:
            if self._stopped:
                raise TransportLostError("closed")
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                yield

    def disconnect_soon(self, handle: int) -> None:
        """Ask the controller to; :meth:`Station.disconnected` follows."""
        closing = asyncio.create_task(self._disconnect(handle), name="ble-disconnect")
        self._closing.add(closing)  # at most one a link and reason
        closing.add_done_callback(self._closing.discard)

    async def _disconnect(self, handle: int) -> None:
        command = hci.HCI_Disconnect_Command(connection_handle=handle, reason=USER_TERMINATED)
        try:
            async with self._commands():
                await self._device.host.send_async_command(command)
        except hci.HCI_Error:
            return  # it has left by itself
        except (TimeoutError, BaseBumbleError, OSError) as error:
            self._station.lost(f"a phone could not be disconnected: {str(error) or 'no answer'}")

    def subscribed(self, handle: int) -> bool:
        return handle in self._subscribed

    def mtu(self, handle: int) -> int:
        connection = self._device.connections.get(handle)
        return connection.att_mtu if connection is not None else att.ATT_DEFAULT_MTU

    def has_room(self, handle: int) -> bool:
        """Nothing of this link waits here, so at most :data:`~drivers.ble.outgoing.LINK_SHARE` packets do."""
        return self._queue is not None and not self._queue.lane(handle).waiting

    def notify(self, handle: int, value: bytes) -> int:
        """Queue one value of at most MTU - 3 bytes; how many packets this link was ever given."""
        self._send(handle, self._notify, value)
        return self._queue.lane(handle).queued if self._queue is not None else 0

    def _send(self, handle: int, by: Characteristic[bytes], value: bytes) -> None:
        pdu = att.ATT_Handle_Value_Notification(attribute_handle=by.handle, attribute_value=value)
        self._device.gatt_server.send_gatt_pdu(self._device.connections[handle], bytes(pdu))

    def completed(self, handle: int) -> int:
        """How many of them the phone's controller has acknowledged."""
        return self._queue.lane(handle).completed if self._queue is not None else 0

    def way(self, handle: int, hang_up: Callable[[int], None]) -> Way:
        """To a gateway that dialled us and has subscribed FFF9."""

        def write(value: bytes) -> None:
            self._send(handle, self._notify_link, value)

        return Way(write, lambda: self.has_room(handle), lambda: self.mtu(handle), lambda: hang_up(handle))

    def _own_address_type(self) -> hci.OwnAddressType:
        if self._device.public_address not in (hci.Address.ANY, hci.Address.NIL):
            return hci.OwnAddressType.PUBLIC
        return hci.OwnAddressType.RANDOM

    def _make_device(self, name: str, read: Callable[[str], bytes]) -> Device:
        config = DeviceConfiguration(name=name, address=advertising.static_address(name))
        host = Host(self._transport.source, self._transport.sink)
        device = Device(config=config, host=host)
        # Encrypted if the phone wants it, anew each time. bumble keeps keys even without bonding, and so
        # addresses without end would fill the memory; its base class keeps none.
        device.keystore = KeyStore()
        device.pairing_config_factory = lambda _connection: PairingConfig(
            sc=True, mitm=False, bonding=False, delegate=PairingDelegate()
        )
        device.add_service(
            gatt.service(self._on_write, self._notify, read, self._on_link_write, self._notify_link)
        )
        find = device.gatt_server.on_att_find_by_type_value_request
        device.gatt_server.on_att_find_by_type_value_request = lambda bearer, request: find(
            bearer, gatt.shortened(request)
        )
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        # bumble has no ear for this event (Vol 4 Part E 7.7.16), but looks its ears up by such a name.
        host.on_hci_hardware_error_event = self._on_hardware_error  # type: ignore[attr-defined] # bumble has no hook
        return device

    # What bumble calls

    def _on_connection(self, connection: Connection) -> None:
        handle = connection.handle
        if connection.role == hci.Role.CENTRAL:
            return  # we dialled it
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: self._on_disconnection(handle))
        self._station.connected(handle, str(connection.peer_address))

    def _on_disconnection(self, handle: int) -> None:
        self._subscribed.discard(handle)
        self._station.disconnected(handle)

    def _on_subscription(self, connection: Connection, notify: bool, _indicate: bool) -> None:
        if not notify:
            self._subscribed.discard(connection.handle)
            return
        self._subscribed.add(connection.handle)
        self._station.room(connection.handle)

    def _on_write(self, connection: Connection, value: bytes) -> None:
        self._station.written(connection.handle, bytes(value))

    def _on_link_write(self, connection: Connection, value: bytes) -> None:
        self._station.link_written(connection.handle, bytes(value))

    def _on_linked(self, handle: int, gateway_id: str, dialled: Dialled) -> None:
        way = Way(
            dialled.write,
            lambda: self.has_room(handle),
            dialled.mtu,
            lambda: self.disconnect_soon(handle),
        )
        self._station.linked(handle, gateway_id, way)

    def _on_hardware_error(self, event: hci.HCI_Event) -> None:
        self._station.lost(f"the controller reports a hardware error, code {event.parameters.hex()}")

    def _on_transport_gone(self, ended: asyncio.Future[None]) -> None:
        error = None if ended.cancelled() else ended.exception()
        self._station.lost(f"the way to the controller is gone{f': {error}' if error else ''}")
