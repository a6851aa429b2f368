"""The gateway as a Bluetooth peripheral on bumble: advertises, takes writes, notifies, and says who is there.

Everything bumble is here and in :mod:`drivers.ble.outgoing`; above stands :class:`Station`, two methods and
three calls.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import struct
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol

from bumble import att, hci
from bumble.core import UUID, BaseBumbleError
from bumble.device import AdvertisingType, Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host
from bumble.keys import KeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import Transport, TransportLostError

from drivers.ble.central import Central, Dialled
from drivers.ble.neighbour import Way
from drivers.ble.outgoing import FairQueue
from drivers.ble.settings import NAME_PREFIX
from drivers.errors import DriverLost

log = logging.getLogger(__name__)

SERVICE, WRITE, NOTIFY = 0xFFF0, 0xFFF1, 0xFFF2
LINK_WRITE, LINK_NOTIFY = 0xFFF8, 0xFFF9
INFO: Mapping[str, int] = {
    "beacon": 0xFFF3,
    "id": 0xFFF4,
    "key": 0xFFF5,
    "checkpoint": 0xFFF6,
    "time": 0xFFF7,
}
BASE_UUID_TAIL = bytes.fromhex("fb349b5f80000080 00100000")  # of the Bluetooth base UUID, last byte first
ADVERTISING_INTERVAL_MS = 100.0
COMMAND_TIMEOUT_S = 3.0
START_TIMEOUT_S = 10.0
MAX_HINT = 20  # of an advertisement's 31: flags 3, service list 4, header and UUID 4
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
        self._notify = Characteristic[bytes](
            UUID.from_16_bits(NOTIFY), Characteristic.Properties.NOTIFY, Characteristic.Permissions(0)
        )
        self._notify.on(Characteristic.EVENT_SUBSCRIPTION, self._on_subscription)
        self._notify_link = Characteristic[bytes](
            UUID.from_16_bits(LINK_NOTIFY), Characteristic.Properties.NOTIFY, Characteristic.Permissions(0)
        )
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
        try:
            if self._transport.source.terminated.done():
                raise TransportLostError("the way to it is gone")
            async with self._commands():
                self._stopped = True
                await self._device.host.send_sync_command(hci.HCI_Reset_Command())
                await self._device.power_off()
        except (TimeoutError, BaseBumbleError, OSError) as error:
            log.debug("the controller did not take leave", extra={"seen": str(error)})
            self._device.host.emit("flush")  # what bumble waits for will not come
        await self._transport.close()

    async def advertise(self, hint: bytes) -> bool:
        """Advertise until the next phone connects. False when the controller takes no more for now."""
        try:
            async with self._commands():
                await self._device.start_advertising(
                    advertising_type=AdvertisingType.UNDIRECTED_CONNECTABLE_SCANNABLE,
                    own_address_type=self._own_address_type(),
                    advertising_data=advertisement(hint),
                    scan_response_data=scan_response(self._name),
                    advertising_interval_min=ADVERTISING_INTERVAL_MS,
                    advertising_interval_max=ADVERTISING_INTERVAL_MS * 1.5,
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
            raise DriverLost(f"the controller does not answer: {str(error) or 'no word in 3 s'}") from error

    @contextlib.asynccontextmanager
    async def _commands(self) -> AsyncIterator[None]:
        """A dead controller leaves commands pending for ever: every sequence has its time."""
        async with self._lock:
            if self._stopped:
                raise TransportLostError("closed")
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                yield

    async def disconnect(self, handle: int) -> None:
        """Ask the controller to; :meth:`Station.disconnected` follows."""
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

    def way(self, handle: int, close: Callable[[], None]) -> Way:
        """To a gateway that dialled us and has subscribed FFF9."""

        def write(value: bytes) -> None:
            self._send(handle, self._notify_link, value)

        return Way(write, lambda: self.has_room(handle), lambda: self.mtu(handle), close)

    def disconnect_soon(self, handle: int) -> None:
        """From where nobody can wait."""
        self._closing = asyncio.create_task(self.disconnect(handle), name="ble-disconnect")

    def _own_address_type(self) -> hci.OwnAddressType:
        if self._device.public_address not in (hci.Address.ANY, hci.Address.NIL):
            return hci.OwnAddressType.PUBLIC
        return hci.OwnAddressType.RANDOM

    def _make_device(self, name: str, read: Callable[[str], bytes]) -> Device:
        config = DeviceConfiguration(name=name, address=static_address(name))
        host = Host(self._transport.source, self._transport.sink)
        device = Device(config=config, host=host)
        # Encrypted if the phone wants it, anew each time. bumble keeps keys even without bonding, and so
        # addresses without end would fill the memory; its base class keeps none.
        device.keystore = KeyStore()
        device.pairing_config_factory = lambda _connection: PairingConfig(
            sc=True, mitm=False, bonding=False, delegate=PairingDelegate()
        )
        device.add_service(self._make_service(read))
        find = device.gatt_server.on_att_find_by_type_value_request
        device.gatt_server.on_att_find_by_type_value_request = lambda bearer, request: find(
            bearer, shortened(request)
        )
        device.on(Device.EVENT_CONNECTION, self._on_connection)
        # bumble has no ear for this event (Vol 4 Part E 7.7.16), but looks its ears up by such a name.
        host.on_hci_hardware_error_event = self._on_hardware_error  # type: ignore[attr-defined] # bumble has no hook
        return device

    def _make_service(self, read: Callable[[str], bytes]) -> Service:
        write = Characteristic[bytes](
            UUID.from_16_bits(WRITE),
            Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
            Characteristic.WRITEABLE,
            CharacteristicValue(write=self._on_write),
        )
        link_write = Characteristic[bytes](
            UUID.from_16_bits(LINK_WRITE),
            Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE,
            Characteristic.WRITEABLE,
            CharacteristicValue(write=self._on_link_write),
        )
        facts = [
            Characteristic[bytes](
                UUID.from_16_bits(number),
                Characteristic.Properties.READ,
                Characteristic.READABLE,
                CharacteristicValue(read=lambda _connection, fact=fact: read(fact)),
            )
            for fact, number in INFO.items()
        ]
        # 16-bit: the 128-bit form is not found by a central that looks FFF0 up by its short name.
        return Service(
            UUID.from_16_bits(SERVICE), [write, self._notify, *facts, link_write, self._notify_link]
        )

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
        # Synchronous, since bumble runs each write in a task of its own: with an await the order would break.
        self._station.written(connection.handle, bytes(value))

    def _on_link_write(self, connection: Connection, value: bytes) -> None:
        self._station.link_written(connection.handle, bytes(value))

    def _on_linked(self, handle: int, gateway_id: str, dialled: Dialled) -> None:
        def close() -> None:
            self.disconnect_soon(handle)

        way = Way(dialled.write, lambda: self.has_room(handle), dialled.mtu, close)
        self._station.linked(handle, gateway_id, way)

    def _on_hardware_error(self, event: hci.HCI_Event) -> None:
        self._station.lost(f"the controller reports a hardware error, code {event.parameters.hex()}")

    def _on_transport_gone(self, ended: asyncio.Future[None]) -> None:
        error = None if ended.cancelled() else ended.exception()
        self._station.lost(f"the way to the controller is gone{f': {error}' if error else ''}")


def shortened(request: att.ATT_Find_By_Type_Value_Request) -> att.ATT_Find_By_Type_Value_Request:
    """Some ask for FFF0 by its 128 bits, which is the same (Vol 3 Part B 2.5.1); bumble compares bytes."""
    value = request.attribute_value
    if len(value) == 16 and value[:12] == BASE_UUID_TAIL and value[14:] == b"\x00\x00":
        value = value[12:14]
    return att.ATT_Find_By_Type_Value_Request(
        starting_handle=request.starting_handle,
        ending_handle=request.ending_handle,
        attribute_type=request.attribute_type,
        attribute_value=value,
    )


def advertisement(hint: bytes) -> bytes:
    """Flags (LE general, no BR/EDR), the service by its 16 bits, and the hint as its service data."""
    service = struct.pack("<H", SERVICE)
    data = b"\x02\x01\x06" + b"\x03\x03" + service
    return data + bytes((3 + len(hint), 0x16)) + service + hint if hint else data


def scan_response(name: str) -> bytes:
    """The complete local name."""
    text = name.encode("ascii")
    return bytes((1 + len(text), 0x09)) + text


def static_address(name: str) -> hci.Address:
    """For a controller without an address of its own: the same after every start (Vol 6 Part B 1.3.2.1)."""
    raw = bytearray(hashlib.sha256(name.encode()).digest()[:6])
    raw[5] |= 0xC0
    return hci.Address(bytes(raw), hci.Address.RANDOM_DEVICE_ADDRESS)
