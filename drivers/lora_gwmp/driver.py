"""The UDP shell round the Semtech protocol: frames from forwarders, downlinks back by the way they came."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import secrets
import socket
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from drivers.airtime import lora_airtime_us
from drivers.base import Clock, DriverStats, Frame, LoraDownlink, LoraUplink, TxReceipt, TxRequest
from drivers.errors import DriverConfigError, DriverError, DriverLost, TransmitRefused
from drivers.frames import FrameQueue
from drivers.lora_gwmp.forwarders import Address, Forwarder, Forwarders
from drivers.lora_gwmp.packets import MAX_PAYLOAD, GwmpError, RxPacket, TxPacket
from drivers.lora_gwmp.settings import GwmpSettings
from drivers.lora_gwmp.wire import PullAck, PullData, PullResp, PushAck, PushData, TxAck, decode

log = logging.getLogger(__name__)

RECEIVE_BUFFER = 1 << 20  # a burst of 8 channels while the loop is busy waits in the kernel
MAX_PENDING = 256  # downlinks whose TX_ACK is awaited; above it: queue_full

REASONS: Mapping[str, str] = {
    "TOO_LATE": "too_late",
    "TOO_EARLY": "too_early",
    "COLLISION_PACKET": "collision",
    "COLLISION_BEACON": "collision",
    "TX_FREQ": "frequency",
    "TX_POWER": "power",
    "GPS_UNLOCKED": "gps_unlocked",
}


@dataclass(frozen=True, slots=True)
class GwmpPath:
    """``reply_to`` of a frame: the forwarder that heard it."""

    eui: bytes


@dataclass(slots=True)
class _Pending:
    eui: bytes
    answer: asyncio.Future[str]


class GwmpDriver:
    """Packet forwarders as one radio: :class:`drivers.base.Receiver` and :class:`drivers.base.Transmitter`.

    Settings: see :class:`drivers.lora_gwmp.settings.GwmpSettings`. Every forwarder that hears a frame
    delivers its own copy, named by ``lora.concentrator``; whoever joins messages tells copies apart. Frames
    whose CRC failed are counted and dropped. Frames that wait at closing were acknowledged to their
    forwarder, which says nothing to the device: without a promise it sends again.
    """

    def __init__(self, name: str, settings: Mapping[str, Any], *, clock: Clock) -> None:
        self.name = name
        self._settings = GwmpSettings.from_mapping(settings)
        self._clock = clock
        self._forwarders = Forwarders(self._settings.forwarders, self._settings.max_forwarders)
        self._frames: Counter[str] = Counter()
        self._transmits: Counter[str] = Counter()
        self._pending: dict[int, _Pending] = {}
        self._queue = FrameQueue(self._settings.queue)
        self._transport: asyncio.DatagramTransport | None = None
        self._socket_closed = asyncio.Event()

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    @property
    def address(self) -> Address:
        """Where it listens; with port 0 in the settings only an open socket knows."""
        if self._transport is None:
            raise DriverError("not open")
        host, port = self._transport.get_extra_info("sockname")[:2]
        return host, port

    async def __aenter__(self) -> Self:
        self._queue = FrameQueue(self._settings.queue)
        self._frames.clear()
        self._transmits.clear()
        self._socket_closed.clear()
        where = (self._settings.host, self._settings.port)
        try:
            self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Endpoint(self), local_addr=where
            )
        except OSError as error:
            raise _cannot_listen(where, error) from error
        self._transport.get_extra_info("socket").setsockopt(
            socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER
        )
        host, port = self.address
        log.info("listening for packet forwarders", extra={"radio": self.name, "address": f"{host}:{port}"})
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        transport, self._transport = self._transport, None
        for pending in self._pending.values():
            if not pending.answer.done():
                pending.answer.set_exception(TransmitRefused("no_route", "closed before a TX_ACK came"))
        if transport is not None:
            transport.close()
            await self._socket_closed.wait()  # else the next opening may find the port still taken

    def frames(self) -> AsyncIterator[Frame]:
        return self._queue.frames()

    def stats(self) -> DriverStats:
        now = self._clock.monotonic()
        return DriverStats(
            frames=dict(self._frames) | self._queue.untaken,
            transmits=dict(self._transmits),
            gauges={
                "forwarders": len(self._forwarders),
                "forwarders_reachable": len(self._forwarders.reachable(now)),
                "queue_frames": len(self._queue),
                "pending_transmits": len(self._pending),
                "acknowledged_percent": self._forwarders.acknowledged_percent(),
            },
            note=self._missing(now),
        )

    def _missing(self, now: float) -> str:
        if not len(self._forwarders):
            where = f"UDP {self._settings.host}:{self._settings.port}"
            return f"no packet forwarder has called yet at {where}: start one, or name another driver"
        gone = self._forwarders.gone(now)
        return f"no PULL_DATA for 60 s from {', '.join(one.name for one in gone)}" if gone else ""

    async def transmit(self, request: TxRequest) -> TxReceipt:
        """Hand a downlink to the forwarder that heard the uplink, and wait for its TX_ACK.

        Without ``reply_to`` it goes to the only reachable forwarder there is. When no TX_ACK comes in time
        the receipt says ``confirmed=False``: the datagram or its answer was lost, or the forwarder never
        sends any.
        Raises :class:`TransmitRefused`: the forwarder's word, ``no_route``, ``size``, ``unsupported`` or
        ``queue_full``.
        """
        try:
            receipt = await self._transmit(request)
        except TransmitRefused as refusal:
            self._transmits[refusal.reason] += 1
            raise
        self._transmits["sent" if receipt.confirmed else "unconfirmed"] += 1
        return receipt

    def routes(self) -> Mapping[str, object]:
        """The forwarders that a downlink may be handed to."""
        reachable = self._forwarders.reachable(self._clock.monotonic())
        return {forwarder.name: GwmpPath(forwarder.eui) for forwarder in reachable}

    async def _transmit(self, request: TxRequest) -> TxReceipt:
        if self._transport is None:
            raise TransmitRefused("no_route", f"{self.name} is closed")
        if request.lora is None:
            raise TransmitRefused("unsupported", "only LoRa downlinks can be sent")
        if not 0 < len(request.payload) <= MAX_PAYLOAD:
            raise TransmitRefused("size", f"{len(request.payload)} bytes, at most {MAX_PAYLOAD}")
        forwarder = self._route(request.reply_to)
        if len(self._pending) >= MAX_PENDING:
            raise TransmitRefused("queue_full", f"{MAX_PENDING} downlinks await their TX_ACK")
        packet = _tx_packet(request.lora, request.payload)
        error = await self._exchange(
            forwarder, packet, min(request.timeout_s, self._settings.tx_ack_timeout_s)
        )
        if error not in (None, "NONE"):
            raise TransmitRefused(REASONS.get(error, "unsupported"), f"{forwarder.name} answered {error}")
        return TxReceipt(
            airtime_us=_airtime(packet), confirmed=error is not None, counter_us=packet.counter_us
        )

    async def _exchange(self, forwarder: Forwarder, packet: TxPacket, timeout_s: float) -> str | None:
        """Send a PULL_RESP; the word of its TX_ACK, or None when none came."""
        token = self._free_token()
        pending = _Pending(forwarder.eui, asyncio.get_running_loop().create_future())
        self._pending[token] = pending
        try:
            self._send(PullResp(token=token, packet=packet).to_bytes(), forwarder.down)
            return await asyncio.wait_for(pending.answer, timeout_s)
        except TimeoutError:
            return None
        finally:
            self._pending.pop(token, None)

    def _route(self, reply_to: object) -> Forwarder:
        now = self._clock.monotonic()
        if isinstance(reply_to, GwmpPath):
            forwarder = self._forwarders.get(reply_to.eui)
            if forwarder is None or not forwarder.reachable(now):
                raise TransmitRefused("no_route", f"no PULL_DATA for 60 s from {reply_to.eui.hex()}")
            return forwarder
        reachable = self._forwarders.reachable(now)
        if reply_to is not None or len(reachable) != 1:
            raise TransmitRefused("no_route", f"{len(reachable)} forwarders reachable and none named")
        return reachable[0]

    def _free_token(self) -> int:
        token = secrets.randbelow(1 << 16)
        while token in self._pending:
            token = (token + 1) & 0xFFFF
        return token

    def _send(self, datagram: bytes, address: Address | None) -> None:
        if self._transport is not None and address is not None:
            self._transport.sendto(datagram, address)

    # What the socket calls

    def datagram_received(self, datagram: bytes, address: Address) -> None:
        try:
            message = decode(datagram)
        except GwmpError as error:
            self._frames["malformed"] += 1
            log.debug("not GWMP", extra={"radio": self.name, "address": address[0], "seen": str(error)})
            return
        if not isinstance(message, PushData | PullData | TxAck):
            self._frames["malformed"] += 1  # a server's datagram: we are the server
            return
        if not self._forwarders.permits(message.eui):
            self._frames["not_allowed"] += 1
            return
        if isinstance(message, TxAck):
            self._acknowledged(message)
            return
        forwarder = self._forwarders.heard(message.eui, self._clock.monotonic())
        if forwarder is None:
            self._frames["too_many_forwarders"] += 1
        elif isinstance(message, PullData):
            self._pulled(forwarder, message, address)
        else:
            self._pushed(forwarder, message, hashlib.sha256(datagram).digest(), address)

    def connection_lost(self, error: Exception | None) -> None:
        self._socket_closed.set()
        if self._transport is not None:  # not closed by us
            self._queue.lose(DriverLost(f"{self.name}: the UDP socket closed: {error}"))

    def error_received(self, error: OSError) -> None:
        self._frames["icmp_error"] += 1  # a forwarder's port is closed: it will pull again when it is back
        log.debug("UDP error", extra={"radio": self.name, "seen": str(error)})

    def _pulled(self, forwarder: Forwarder, message: PullData, address: Address) -> None:
        now = self._clock.monotonic()
        if not forwarder.reachable(now):
            log.info("packet forwarder is here", extra={"radio": self.name, "forwarder": forwarder.name})
        forwarder.down, forwarder.pulled_at = address, now
        self._send(PullAck(token=message.token).to_bytes(), address)

    def _pushed(self, forwarder: Forwarder, message: PushData, digest: bytes, address: Address) -> None:
        self._send(PushAck(token=message.token).to_bytes(), address)
        if forwarder.doubled(message.token, digest, self._clock.monotonic()):
            self._frames["duplicate"] += 1
            return
        if message.stat is not None:
            forwarder.stat = message.stat
        self._frames["malformed"] += message.malformed
        self._frames["excess"] += message.excess
        for packet in message.packets:
            self._frames[self._deliver(forwarder, packet)] += 1

    def _deliver(self, forwarder: Forwarder, packet: RxPacket) -> str:
        """Queue one packet; the outcome to count it under."""
        if packet.crc < 0:
            return "crc_bad"
        frame = Frame(
            radio=self.name,
            payload=packet.payload,
            peer=forwarder.name,
            received_unix_ns=self._clock.unix_ns(),
            reply_to=GwmpPath(forwarder.eui),
            lora=_uplink(packet, forwarder),
        )
        return "ok" if self._queue.put(frame) else "queue_full"

    def _acknowledged(self, message: TxAck) -> None:
        pending = self._pending.get(message.token)
        if pending is None or pending.eui != message.eui or pending.answer.done():
            self._frames["tx_ack_unknown"] += 1  # late, doubled, or forged
            return
        pending.answer.set_result(message.error)


class _Endpoint(asyncio.DatagramProtocol):
    """Turns the loop's callbacks into the driver's."""

    def __init__(self, driver: GwmpDriver) -> None:
        self._driver = driver

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._driver.datagram_received(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        self._driver.error_received(OSError(str(exc)))

    def connection_lost(self, exc: Exception | None) -> None:
        self._driver.connection_lost(exc)


def _cannot_listen(where: Address, error: OSError) -> DriverError:
    what = f"cannot listen on UDP {where[0]}:{where[1]}: {error.strerror or error}"
    if error.errno == errno.EACCES:
        return DriverConfigError(what, fix="use a port from 1024 on")
    if error.errno == errno.EADDRINUSE:
        return DriverConfigError(what, fix="stop the other server on this port, or set another port")
    return DriverLost(what)  # an address that is not up yet may come


def _uplink(packet: RxPacket, forwarder: Forwarder) -> LoraUplink:
    lora = packet.spreading_factor != 0
    return LoraUplink(
        frequency_hz=packet.frequency_hz,
        spreading_factor=packet.spreading_factor,
        bandwidth_hz=packet.bandwidth_hz,
        coding_rate=packet.coding_rate,
        counter_us=packet.counter_us,
        rssi_dbm=packet.rssi_dbm,
        snr_db=packet.snr_db,
        channel=packet.channel,
        concentrator=forwarder.name,
        airtime_us=lora_airtime_us(
            len(packet.payload),
            spreading_factor=packet.spreading_factor,
            bandwidth_hz=packet.bandwidth_hz,
            coding_rate=packet.coding_rate,
            crc=packet.crc != 0,
        )
        if lora
        else 0,
    )


def _tx_packet(lora: LoraDownlink, payload: bytes) -> TxPacket:
    return TxPacket(
        counter_us=None if lora.counter_us is None else lora.counter_us & 0xFFFFFFFF,
        frequency_hz=lora.frequency_hz,
        power_dbm=int(lora.power_dbm // 1),  # whole dBm; never above what was asked
        spreading_factor=lora.spreading_factor,
        bandwidth_hz=lora.bandwidth_hz,
        coding_rate=lora.coding_rate,
        invert_iq=lora.invert_iq,
        preamble=lora.preamble,
        no_crc=lora.no_crc,
        payload=payload,
    )


def _airtime(packet: TxPacket) -> int:
    return lora_airtime_us(
        len(packet.payload),
        spreading_factor=packet.spreading_factor,
        bandwidth_hz=packet.bandwidth_hz,
        coding_rate=packet.coding_rate,
        crc=not packet.no_crc,
        preamble=packet.preamble,
    )
