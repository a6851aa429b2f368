"""One connection of a phone to a gateway: the service found, pieces written, notifications taken."""

from __future__ import annotations

import asyncio
from enum import Enum, auto

from bumble.core import UUID
from bumble.device import Connection, Peer
from bumble.gatt_client import ServiceProxy

from simulators.phones.exchange import Exchange, Refused

SERVICE, WRITE, NOTIFY, GATEWAY_ID = (
    UUID.from_16_bits(number) for number in (0xFFF0, 0xFFF1, 0xFFF2, 0xFFF4)
)
PACKETS_AHEAD = 8  # writes without response that the phone's own stack holds


class PhoneError(Exception):
    """This contact came to nothing; the next may do better."""


class Gone(Enum):
    """Among the events of a call: its end."""

    GONE = auto()


class Call:
    """One connection with its service found and FFF2 subscribed."""

    def __init__(
        self,
        connection: Connection,
        service: ServiceProxy,
        with_response: bool,
    ) -> None:
        self.exchange = Exchange(connection.att_mtu)
        self.events: asyncio.Queue[object] = asyncio.Queue()
        self.refusals: list[int] = []
        self.retry_after_s = 0
        self.connection = connection
        self._with_response = with_response
        self._service = service
        (self._write,) = service.get_characteristics_by_uuid(WRITE)
        (self._read,) = service.get_characteristics_by_uuid(GATEWAY_ID)
        self.gone = False
        self.counted = 0
        connection.on(Connection.EVENT_DISCONNECTION, self._disconnected)

    @classmethod
    async def dial(cls, connection: Connection, *, mtu: int, with_response: bool) -> Call:
        peer = Peer(connection)
        if mtu > 23:
            await peer.request_mtu(mtu)
        (service,) = await peer.discover_service(SERVICE)
        await service.discover_characteristics()
        (notify,) = service.get_characteristics_by_uuid(NOTIFY)
        call = cls(connection, service, with_response)
        await peer.discover_descriptors(notify)
        await peer.subscribe(notify, call._notified)
        return call

    async def ping(self) -> float:
        """Seconds that a read takes."""
        started = asyncio.get_running_loop().time()
        await self._read.read_value()
        return asyncio.get_running_loop().time() - started

    async def read(self, short: int) -> bytes:
        """One of the service's characteristics, by its 16-bit UUID."""
        (one,) = self._service.get_characteristics_by_uuid(UUID.from_16_bits(short))
        return bytes(await one.read_value())

    async def write(self, piece: bytes, *, with_response: bool | None = None) -> None:
        """As this phone's stack does; without response it holds a few packets, then makes the app wait."""
        if self.gone:
            raise PhoneError("the connection is gone")
        if self._with_response if with_response is None else with_response:
            await self._write.write_value(piece, with_response=True)
            return
        await self._write.write_value(piece, with_response=False)
        queue = self.connection.device.host.le_acl_packet_queue
        assert queue is not None  # noqa: S101 - there since power-on
        while queue.pending > PACKETS_AHEAD and not self.gone:
            moved = asyncio.Event()
            queue.once("flow", moved.set)
            self._wake = moved
            await moved.wait()
        await asyncio.sleep(0)

    _wake: asyncio.Event | None = None

    def _notified(self, value: bytes) -> None:
        event = self.exchange.notified(bytes(value))
        if isinstance(event, Refused):
            self.refusals.append(event.status)
            self.retry_after_s = event.retry_after_s
        self.events.put_nowait(event)  # None too: the window may have moved

    def _disconnected(self, _reason: int) -> None:
        self.gone = True
        if self._wake is not None:
            self._wake.set()
        self.events.put_nowait(Gone.GONE)
