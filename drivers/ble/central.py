"""The gateway as a Bluetooth central on bumble: hears other gateways, connects to one, finds their link."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from bumble import att, hci
from bumble.core import UUID, AdvertisingData, BaseBumbleError, PhysicalTransport
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt_client import CharacteristicProxy

from drivers.ble import wire
from drivers.ble.settings import NAME_PREFIX

log = logging.getLogger(__name__)

SERVICE, LINK_WRITE, LINK_NOTIFY = (UUID.from_16_bits(short) for short in (0xFFF0, 0xFFF8, 0xFFF9))
SCAN_INTERVAL_MS, SCAN_WINDOW_MS = 1000.0, 100.0  # a tenth of the radio's time
CONNECT_S = 5.0
AGREE_S = 10.0
FAILURES = (BaseBumbleError, TimeoutError, OSError, asyncio.InvalidStateError, ValueError)

Linked = Callable[[int, str, "Dialled"], None]


class Dialled:
    """A connection that we made, with the other side's two characteristics."""

    def __init__(self, connection: Connection, write: CharacteristicProxy[bytes]) -> None:
        self.connection = connection
        self._write = write

    def write(self, value: bytes) -> None:
        """Without response, at most MTU - 3 bytes."""
        command = att.ATT_Write_Command(attribute_handle=self._write.handle, attribute_value=value)
        self.connection.gatt_client.send_gatt_pdu(bytes(command))

    def mtu(self) -> int:
        return int(self.connection.att_mtu)


class Central:
    """``linked`` is called with handle and id when both sides have agreed, before any value of the link."""

    def __init__(
        self,
        device: Device,
        own_id: str,
        address_type: Callable[[], hci.OwnAddressType],
        linked: Linked,
        received: Callable[[int, bytes], None],
        lost: Callable[[int], None],
    ) -> None:
        self._device = device
        self._id = own_id
        self._address_type = address_type
        self._linked = linked
        self._received = received
        self._lost = lost

    async def find(self, wanted: Callable[[str], bool], seconds: float) -> tuple[str, hci.Address] | None:
        """The first gateway heard that is wanted by its id; None when there was none in this time."""
        found: asyncio.Future[tuple[str, hci.Address]] = asyncio.get_running_loop().create_future()

        def heard(one: Advertisement) -> None:
            name = str(one.data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME) or "")
            gateway_id = name.removeprefix(NAME_PREFIX)
            if found.done() or not one.is_connectable or not name.startswith(NAME_PREFIX):
                return
            if wanted(gateway_id):
                found.set_result((gateway_id, one.address))

        self._device.on(Device.EVENT_ADVERTISEMENT, heard)
        try:
            await self._device.start_scanning(
                legacy=True,
                scan_interval=SCAN_INTERVAL_MS,
                scan_window=SCAN_WINDOW_MS,
                own_address_type=self._address_type(),
            )
            try:
                return await asyncio.wait_for(found, seconds)
            finally:
                await self._device.stop_scanning(legacy=True)
        except TimeoutError:
            return None
        except FAILURES as error:
            log.info("the controller does not scan", extra={"seen": str(error)})
            await asyncio.sleep(seconds)
            return None
        finally:
            self._device.remove_listener(Device.EVENT_ADVERTISEMENT, heard)

    async def dial(self, address: hci.Address, gateway_id: str) -> int | None:
        """Connect and say who we are; the handle, once the other side has said who it is."""
        connection = None
        try:
            connection = await self._device.connect(
                address,
                transport=PhysicalTransport.LE,
                own_address_type=self._address_type(),
                timeout=CONNECT_S,
            )
            async with asyncio.timeout(AGREE_S):
                await self._agree(connection, gateway_id)
        except (*FAILURES, asyncio.CancelledError) as error:
            if _cancelled_from_outside():
                raise
            log.debug("no link", extra={"gateway": gateway_id, "seen": f"{type(error).__name__}: {error}"})
            if connection is not None:
                await self.hang_up(connection)
            return None
        return int(connection.handle)

    async def hang_up(self, connection: Connection) -> None:
        """Disconnect, if it is not gone already."""
        if connection.handle in self._device.connections:
            try:
                await asyncio.wait_for(connection.disconnect(), CONNECT_S)
            except FAILURES as error:
                log.debug("not disconnected", extra={"seen": str(error)})

    async def _agree(self, connection: Connection, gateway_id: str) -> None:
        """Raises ValueError where the other side is no gateway of this id, or turns us away."""
        handle = connection.handle
        agreed: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def notified(value: bytes) -> None:
            if agreed.done():
                self._received(handle, bytes(value))
            else:
                agreed.set_result(bytes(value))
                if wire.linked(bytes(value)) == gateway_id:
                    self._linked(handle, gateway_id, dialled)

        def gone(_reason: int) -> None:
            if not agreed.done():
                agreed.set_exception(ConnectionResetError("it has gone"))
            self._lost(handle)

        connection.on(Connection.EVENT_DISCONNECTION, gone)
        peer = Peer(connection)
        await peer.request_mtu(517)
        (service,) = await peer.discover_service(SERVICE)
        await service.discover_characteristics()
        (write,) = service.get_characteristics_by_uuid(LINK_WRITE)
        (notify,) = service.get_characteristics_by_uuid(LINK_NOTIFY)
        dialled = Dialled(connection, write)
        await peer.discover_descriptors(notify)
        await peer.subscribe(notify, notified)
        dialled.write(wire.link(self._id))
        if wire.linked(await agreed) != gateway_id:
            raise ValueError("it has no room for a link, or is another gateway")


def _cancelled_from_outside() -> bool:
    """bumble cancels what waits on a connection that ends; that is not ours being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
