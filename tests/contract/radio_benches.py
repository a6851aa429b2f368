"""The simulated devices that the contract tests put behind each driver; a new driver adds one bench."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from drivers.base import Frame, LoraDownlink, TxRequest
from drivers.ble import BleDriver
from drivers.conformance import SMALL_QUEUE, Bench
from drivers.gsm_at import GsmDriver
from drivers.lora_gwmp import GwmpDriver
from drivers.lora_sx1301 import Sx1301Driver
from drivers.lora_sx1301 import driver as sx1301_driver
from gateway.systemclock import SystemClock
from simulators.concentrator.rig import Rig
from simulators.lora.ether import Ether, Transmission
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import EU868
from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Phone as TextingPhone
from simulators.modem.profiles import PROFILES
from simulators.modem.tty import ModemPorts
from simulators.phones.air import Air
from simulators.phones.call import Call
from simulators.phones.controller import VirtualController
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import TcpPort


def first_window(frame: Frame) -> TxRequest:
    assert frame.lora is not None
    downlink = LoraDownlink(
        frequency_hz=frame.lora.frequency_hz,
        spreading_factor=7,
        bandwidth_hz=125_000,
        counter_us=frame.lora.counter_us + 1_000_000,
    )
    return TxRequest(payload=b"answer", reply_to=frame.reply_to, lora=downlink)


class GwmpBench:
    """A forwarder that refuses a downlink whose payload is one of its error words."""

    lora = True
    comes_again = False
    WORDS: Mapping[str, str] = {
        "TOO_LATE": "too_late",
        "TOO_EARLY": "too_early",
        "COLLISION_PACKET": "collision",
        "COLLISION_BEACON": "collision",
        "TX_FREQ": "frequency",
        "TX_POWER": "power",
        "GPS_UNLOCKED": "gps_unlocked",
        "NO_SUCH_WORD": "unsupported",
    }

    def __init__(self, folder: Path) -> None:
        self._ether = Ether(EU868, Random(1))

    def build(self) -> GwmpDriver:
        return GwmpDriver("radio", {"port": 0, "queue": SMALL_QUEUE}, clock=SystemClock())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[GwmpDriver]:
        async with self.build() as self._driver:
            eui = bytes.fromhex("b827ebfffe010203")
            forwarder = SimForwarder(eui, self._driver.address, self._ether, Random(1), judge=self._judge)
            async with forwarder as self._forwarder:
                await self._forwarder.pulled.wait()
                yield self._driver

    def hear(self, payload: bytes) -> None:
        self._forwarder.hear(Transmission(payload, (868_100_000, 7, 125_000), inverted_iq=False, crc=True))

    def vanish(self) -> None:
        assert self._driver._transport is not None
        self._driver._transport.abort()  # nothing but the kernel can take a UDP socket away

    def answer(self, frame: Frame) -> TxRequest:
        return first_window(frame)

    def refused(self, frame: Frame) -> Sequence[tuple[TxRequest, str]]:
        good = first_window(frame)
        words = [(replace(good, payload=word.encode()), reason) for word, reason in self.WORDS.items()]
        return [
            *words,
            (replace(good, lora=None), "unsupported"),
            (replace(good, payload=b""), "size"),
            (replace(good, payload=bytes(256)), "size"),
            (replace(good, reply_to="elsewhere"), "no_route"),
        ]

    def _judge(self, txpk: Mapping[str, Any]) -> str | None:
        word = base64.b64decode(txpk["data"]).decode("latin-1")
        return word if word in self.WORDS else None


class Sx1301Bench:
    """The driver over the register model."""

    lora = True
    comes_again = False
    OPEN_RATE = 20.0
    ANSWER_RATE = 0.1  # an answer is programmed 30 ms before it leaves; a busy host wakes 300 ms later

    def __init__(self, folder: Path) -> None:
        self._rig = Rig(folder, rate=self.OPEN_RATE)
        self._depth = sx1301_driver.QUEUE_DEPTH

    def build(self) -> Sx1301Driver:
        return Sx1301Driver("radio", self._rig.settings(region="EU868"), clock=self._rig.clock)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Sx1301Driver]:
        sx1301_driver.QUEUE_DEPTH = SMALL_QUEUE
        try:
            with self._rig:
                async with self.build() as driver:
                    self._rig.clock.set_rate(1.0)
                    yield driver
                    self._rig.clock.set_rate(self.OPEN_RATE)
        finally:
            sx1301_driver.QUEUE_DEPTH = self._depth

    def hear(self, payload: bytes) -> None:
        self._rig.hear(payload)

    def vanish(self) -> None:
        self._rig.set_fault("spi_gone", True)

    def answer(self, frame: Frame) -> TxRequest:
        self._rig.clock.set_rate(self.ANSWER_RATE)
        return first_window(frame)

    def refused(self, frame: Frame) -> Sequence[tuple[TxRequest, str]]:
        good = first_window(frame)
        assert good.lora is not None and good.lora.counter_us is not None
        late = replace(good.lora, counter_us=good.lora.counter_us - 10_000_000)
        return [
            (replace(good, lora=late), "too_late"),
            (replace(good, lora=replace(good.lora, frequency_hz=868_650_000)), "frequency"),
            (replace(good, lora=None), "unsupported"),
            (replace(good, payload=b""), "size"),
            (replace(good, payload=bytes(256)), "size"),
        ]


class BleBench:
    """A phone that stays connected and writes what it is given, one value each."""

    lora = False
    comes_again = False

    def __init__(self, folder: Path) -> None:
        self._controller = "tcp-client:127.0.0.1:9"
        self._writes: asyncio.Queue[bytes] = asyncio.Queue()
        self._unplugging: asyncio.Task[None] | None = None

    def build(self) -> BleDriver:
        settings = {"controller": self._controller, "queue": SMALL_QUEUE}
        return BleDriver("radio", settings, clock=SystemClock())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[BleDriver]:
        air = Air()
        self._port = TcpPort(VirtualController(air, "dongle", public_address="C0:FF:EE:00:00:01/P"))
        phone = Phone(air, 1, Traits(), next_message=lambda: None, on_answer=lambda _: None)
        async with self._port:
            self._controller = self._port.address
            async with self._with(phone) as driver:
                yield driver

    @asynccontextmanager
    async def _with(self, phone: Phone) -> AsyncIterator[BleDriver]:
        async with self.build() as driver:
            call = await phone.dial()
            writing = asyncio.create_task(self._write(call))
            try:
                yield driver
            finally:
                writing.cancel()
                await asyncio.wait([writing, *([self._unplugging] if self._unplugging else [])])
                phone.close()

    def hear(self, payload: bytes) -> None:
        self._writes.put_nowait(payload)

    def vanish(self) -> None:
        self._unplugging = asyncio.create_task(self._port.unplug())

    def answer(self, frame: Frame) -> TxRequest:
        return TxRequest(payload=b"answer", reply_to=frame.reply_to)

    def refused(self, frame: Frame) -> Sequence[tuple[TxRequest, str]]:
        good = self.answer(frame)
        return [
            (replace(good, payload=b""), "size"),
            (replace(good, payload=bytes((4 << 20) + 1)), "size"),
            (replace(good, reply_to="elsewhere"), "no_route"),
            (replace(good, reply_to=None), "no_route"),
        ]

    async def _write(self, call: Call) -> None:
        while True:
            await call.write(b"\x15\x01" + await self._writes.get())


class GsmBench:
    """A phone on the network of an EC25, whose ports are pseudo-terminals."""

    lora = False
    comes_again = True
    PHONE = "+491700000002"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._network = Network()
        self._network.conditions.delay_s = (0.0, 0.0)  # in order
        self._modem = Modem(PROFILES["EC25"], self._network, Sim("+491700000001"))
        self._ports = ModemPorts(self._modem, folder / "dev")
        self._phone = TextingPhone(self._network, self.PHONE)

    def build(self) -> GsmDriver:
        settings = {"port": str(self._folder / "dev" / "*"), "spool": self._folder, "queue": SMALL_QUEUE}
        return GsmDriver("radio", settings, clock=SystemClock())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[GsmDriver]:
        async with self._ports, self.build() as driver:
            yield driver
        self._network.close()

    def hear(self, payload: bytes) -> None:
        self._phone.send("+491700000001", payload)

    def vanish(self) -> None:
        self._ports.vanish()

    def answer(self, frame: Frame) -> TxRequest:
        return TxRequest(payload=b"answer", reply_to=frame.reply_to)

    def refused(self, frame: Frame) -> Sequence[tuple[TxRequest, str]]:
        good = self.answer(frame)
        return [
            (replace(good, payload=b""), "size"),
            (replace(good, payload=bytes(134 * 10 + 1)), "size"),
            (replace(good, reply_to="elsewhere"), "no_route"),
            (replace(good, reply_to=None), "no_route"),
        ]


BENCHES: Mapping[str, Callable[[Path], Bench]] = {
    "ble": BleBench,
    "gsm_at": GsmBench,
    "lora_gwmp": GwmpBench,
    "lora_sx1301": Sx1301Bench,
}
