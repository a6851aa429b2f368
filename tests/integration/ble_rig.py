"""A gateway's Bluetooth driver at a simulated controller, answering whatever it hears; phones around it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from drivers.base import Frame, TxRequest
from drivers.ble import BleDriver
from drivers.errors import DriverLost, TransmitRefused
from gateway.systemclock import SystemClock
from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import TcpPort

DONGLE_ADDRESS = "C0:FF:EE:00:00:01/P"


def receipt(message: bytes) -> bytes:
    """What this rig answers: as long as a promise."""
    return b"promise" + hashlib.sha256(message).digest() + bytes(56)


class Wallet:
    """Hands over its messages until each has its receipt."""

    def __init__(self, *messages: bytes) -> None:
        self.left = list(messages)
        self.answers: list[bytes] = []

    def next_message(self) -> bytes | None:
        return self.left[0] if self.left else None

    def on_answer(self, answer: bytes) -> None:
        self.answers.append(answer)
        self.left = [message for message in self.left if receipt(message) != answer]


class Rig:
    """``heard`` is every frame, in order. Answers go out at once unless ``silent``."""

    def __init__(self, **settings: Any) -> None:
        self.air = Air()
        self.dongle = VirtualController(self.air, "dongle", public_address=DONGLE_ADDRESS)
        self.port = TcpPort(self.dongle)
        self.settings = settings
        self.heard: list[Frame] = []
        self.refusals: list[str] = []
        self.lost: list[DriverLost] = []
        self.silent = False
        self.driver: BleDriver
        self._phones: list[Phone] = []
        self._answers: set[asyncio.Task[None]] = set()

    def build(self) -> BleDriver:
        settings = {"controller": self.port.address, "id": "hill-1", "max_links": 20, **self.settings}
        return BleDriver("ble", settings, clock=SystemClock())

    @asynccontextmanager
    async def running(self) -> AsyncIterator[BleDriver]:
        async with self.port:
            self.driver = self.build()
            async with self.opened() as driver:
                try:
                    yield driver
                finally:
                    for phone in self._phones:
                        phone.close()

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[BleDriver]:
        """Open the driver (again) and serve."""
        async with self.driver as driver:
            serving = asyncio.create_task(self._serve(driver))
            try:
                yield driver
            finally:
                serving.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await serving
                await asyncio.gather(*self._answers)

    def phone(self, number: int, wallet: Wallet, traits: Traits | None = None) -> Phone:
        phone = Phone(
            self.air,
            number,
            traits or Traits(),
            next_message=wallet.next_message,
            on_answer=wallet.on_answer,
        )
        self._phones.append(phone)
        return phone

    async def until(self, condition: Callable[[], bool]) -> None:
        """For what nobody can await: a count that the driver keeps."""
        while not condition():
            await asyncio.sleep(0.005)

    async def _serve(self, driver: BleDriver) -> None:
        try:
            async for frame in driver.frames():
                self.heard.append(frame)
                if not self.silent:
                    task = asyncio.create_task(self._answer(driver, frame))
                    self._answers.add(task)
                    task.add_done_callback(self._answers.discard)
        except DriverLost as error:
            self.lost.append(error)

    async def _answer(self, driver: BleDriver, frame: Frame) -> None:
        try:
            request = TxRequest(payload=receipt(frame.payload), reply_to=frame.reply_to, priority=0)
            await driver.transmit(request)
        except TransmitRefused as refusal:
            self.refusals.append(refusal.reason)
        except DriverLost as error:
            self.lost.append(error)


def snapshot(size: int, seed: int) -> bytes:
    """Bytes of a message; nobody here looks inside."""
    return Random(seed).randbytes(size)
