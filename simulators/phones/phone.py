"""A phone with a wallet that passes a gateway: finds it, hands over, takes the answers, walks on."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError, PhysicalTransport
from bumble.device import Advertisement, Connection, Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport.common import AsyncPipeSink

from simulators.phones.air import Air
from simulators.phones.call import Call, Gone, PhoneError
from simulators.phones.controller import VirtualController
from simulators.phones.exchange import Answer, Delivered, Refused
from simulators.phones.misdeeds import MISDEEDS, Misdeed
from simulators.phones.timing import RadioTiming

log = logging.getLogger(__name__)

NAME_PREFIX = "OFFGRID_"
SERVICE_DATA = AdvertisingData.Type.SERVICE_DATA_16_BIT_UUID
SILENCE_S = 5.0
GIVE_UP_AFTER = 3  # silences


@dataclass(frozen=True)
class Traits:
    """How this phone's stack behaves. ``mtu`` it asks for; 23: it never asks. ``pings``: reads a contact.
    ``bare``: it writes its messages as they are, without the protocol, to see what the link carries.
    """

    mtu: int = 185
    with_response: bool = False
    timing: RadioTiming = field(default_factory=RadioTiming)
    pings: int = 0
    bare: bool = False


@dataclass
class Visit:
    """What one contact came to; times in seconds of the loop's clock."""

    messages: int = 0
    answers: int = 0
    refusals: list[int] = field(default_factory=list)
    sent_bytes: int = 0
    resumed_at: list[int] = field(default_factory=list)
    answer_s: list[float] = field(default_factory=list)
    delivered_s: list[float] = field(default_factory=list)
    round_trip_s: list[float] = field(default_factory=list)  # of a read: the link's own


class Phone:
    """``next_message`` gives what the wallet wants to hand over, None when nothing is left;
    ``on_answer`` takes each answer's bytes, ``on_notice`` what was not asked for. A message that was cut is
    asked for again with ``next_message`` of the next visit: the wallet decides what it still wants.
    """

    def __init__(
        self,
        air: Air,
        number: int,
        traits: Traits,
        *,
        next_message: Callable[[], bytes | None],
        on_answer: Callable[[bytes], object],
        on_notice: Callable[[bytes], object] = lambda _: None,
    ) -> None:
        self.number = number
        self.traits = traits
        self._next_message = next_message
        self._on_answer = on_answer
        self._on_notice = on_notice
        address = hci.Address(
            f"F0:F1:{number >> 24 & 255:02X}:{number >> 16 & 255:02X}:"
            f"{number >> 8 & 255:02X}:{number & 255:02X}",
            hci.Address.RANDOM_DEVICE_ADDRESS,
        )
        self.controller = VirtualController(air, f"phone-{number}", timing=traits.timing)
        host = Host(self.controller, AsyncPipeSink(self.controller))
        config = DeviceConfiguration(name=f"phone-{number}", address=address)
        self._device = Device(config=config, host=host)
        self._powered = False
        self.service_data = b""  # of the gateway last found: FFF0 and its hint
        self._unfinished = b""
        self.cut_after: int | None = (
            None  # message bytes of this visit, after which the phone is out of range
        )
        self.newest = Visit()  # the contact that is, or was last, also one that came to nothing
        self.on_sent: Callable[[int], None] | None = None  # message bytes, piece by piece, over all visits

    @property
    def address(self) -> str:
        """As the gateway's log has it."""
        return str(self._device.random_address)

    def hand_over_for(
        self, next_message: Callable[[], bytes | None], on_answer: Callable[[bytes], object]
    ) -> None:
        """From the next contact on it carries another wallet."""
        self._next_message, self._on_answer = next_message, on_answer

    def walk_away(self) -> None:
        """Out of range: what is under way is lost; the gateway learns of it by the supervision timeout."""
        self.controller.set_range(False)

    def come_back(self) -> None:
        self.controller.set_range(True)

    async def visit(self, gateway: str = "", *, misdeed: Misdeed | None = None, stay_s: float = 0.0) -> Visit:
        """One contact: connect to ``gateway`` (its name; "" takes any), hand over, stay for notices.

        Raises :class:`PhoneError` when it was cut or the gateway was silent.
        """
        self.newest = visit = Visit()
        try:
            call = await self.dial(gateway)
            try:
                for _ in range(self.traits.pings):
                    visit.round_trip_s.append(await call.ping())
                if misdeed is None:
                    await self._hand_over(call, visit)
                    await self._stay(call, stay_s)
                else:
                    await MISDEEDS[misdeed](call, self._next_message() or b"{}")
            finally:
                visit.sent_bytes += call.exchange.sent_bytes
                visit.refusals += call.refusals
                await self._hang_up(call.connection)
        except (BaseBumbleError, TimeoutError, asyncio.InvalidStateError, asyncio.CancelledError) as error:
            if _cancelled_from_outside():
                raise asyncio.CancelledError from error
            raise PhoneError(f"phone {self.number}: {type(error).__name__} {error}") from error
        return visit

    async def dial(self, gateway: str = "") -> Call:
        """Connect and subscribe, and leave it at that."""
        connection = await self._connect(gateway)
        try:
            if connection.handle not in self._device.connections:  # closed before anybody could look
                raise PhoneError(f"phone {self.number}: turned away")
            return await self._unless_gone(connection)
        except BaseException:
            await self._hang_up(connection)
            raise

    async def _unless_gone(self, connection: Connection) -> Call:
        """A request made after the connection's end would wait 30 s for its answer."""
        gone = asyncio.Event()
        connection.on(Connection.EVENT_DISCONNECTION, lambda _reason: gone.set())
        traits, ending = self.traits, asyncio.create_task(gone.wait())
        dialling = asyncio.create_task(
            Call.dial(connection, mtu=traits.mtu, with_response=traits.with_response)
        )
        try:
            await asyncio.wait((dialling, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            while not dialling.done():
                dialling.cancel()  # again and again: wait_for() of Python 3.11, in bumble, may swallow one
                await asyncio.wait([dialling], timeout=0.1)
        if dialling.cancelled():
            raise PhoneError(f"phone {self.number}: the connection is gone")
        return dialling.result()

    def close(self) -> None:
        """Switch the phone off, as it is: no word to anybody, nothing to wait for."""
        self._device.host.emit("flush")
        self.controller.leave()

    async def _connect(self, gateway: str) -> Connection:
        if not self._powered:
            await self._device.power_on()
            self._powered = True
        address = await self._find(gateway)
        return await self._device.connect(
            address, transport=PhysicalTransport.LE, own_address_type=hci.OwnAddressType.RANDOM, timeout=60.0
        )

    async def _find(self, gateway: str) -> hci.Address:
        found: asyncio.Future[hci.Address] = asyncio.get_running_loop().create_future()

        def heard(advertisement: Advertisement) -> None:
            text = str(advertisement.data.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME) or "")
            wanted = text == gateway if gateway else text.startswith(NAME_PREFIX)
            if wanted and advertisement.is_connectable and not found.done():
                self.service_data = bytes(advertisement.data.get(SERVICE_DATA, raw=True) or b"")
                found.set_result(advertisement.address)

        self._device.on(Device.EVENT_ADVERTISEMENT, heard)
        try:
            await self._device.start_scanning(legacy=True, filter_duplicates=False)
            return await asyncio.wait_for(found, 60.0)
        finally:
            self._device.remove_listener(Device.EVENT_ADVERTISEMENT, heard)
            await self._device.stop_scanning(legacy=True)

    async def _hand_over(self, call: Call, visit: Visit) -> None:
        refused = b""
        while (message := self._next_message()) is not None:
            if message == refused:
                await asyncio.sleep(call.retry_after_s)
            visit.messages += 1
            started = asyncio.get_running_loop().time()
            if self.traits.bare:
                await _write_bare(call, message)
                visit.delivered_s.append(asyncio.get_running_loop().time() - started)
                self._on_answer(b"")
                continue
            answer = await self._one(call, message, visit, started)
            if answer is None:
                refused = message
                continue
            visit.answers += 1
            visit.answer_s.append(asyncio.get_running_loop().time() - started)
            self._on_answer(answer)

    async def _one(self, call: Call, message: bytes, visit: Visit, started: float) -> bytes | None:
        """One message until its answer, or None when it was refused."""
        xid = call.exchange.offer(message, cut_before=message == self._unfinished)
        self._unfinished = message
        silences = 0
        while True:
            while (piece := call.exchange.next_piece()) is not None:
                await call.write(piece)
                self._count(call)
            try:
                event = await asyncio.wait_for(call.events.get(), SILENCE_S)
            except TimeoutError:
                silences += 1
                if silences == GIVE_UP_AFTER:
                    raise
                call.exchange.ask_again()
                continue
            if call.exchange.resumed_at is not None and call.exchange.resumed_at not in visit.resumed_at:
                visit.resumed_at.append(call.exchange.resumed_at)
            if isinstance(event, Delivered):
                visit.delivered_s.append(asyncio.get_running_loop().time() - started)
            elif isinstance(event, Refused) and event.xid == xid:
                return None
            elif isinstance(event, Answer) and event.xid == xid:
                return event.message
            elif isinstance(event, Answer):
                self._on_notice(event.message)
            elif event is Gone.GONE:
                raise PhoneError(f"phone {self.number}: the connection is gone")

    async def _stay(self, call: Call, seconds: float) -> None:
        """What the gateway has to say besides."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (event := await call.events.get()) is not Gone.GONE:
                    if isinstance(event, Answer):
                        self._on_notice(event.message)

    def _count(self, call: Call) -> None:
        if self.on_sent is not None:
            self.on_sent(call.exchange.sent_bytes - call.counted)
        call.counted = call.exchange.sent_bytes
        if self.cut_after is not None and call.exchange.sent_bytes >= self.cut_after:
            self.cut_after = None
            self.walk_away()

    async def _hang_up(self, connection: Connection) -> None:
        if connection.handle in self._device.connections and not _cancelled_from_outside():
            await asyncio.wait_for(connection.disconnect(), 2 * SILENCE_S)


async def _write_bare(call: Call, message: bytes) -> None:
    room = min(call.connection.att_mtu - 3, 495)
    for at in range(0, len(message), room):
        await call.write(message[at : at + room], with_response=at + room >= len(message))


def _cancelled_from_outside() -> bool:
    """bumble cancels what waits on a connection that ends; that is not ours being cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
