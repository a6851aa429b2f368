"""A driver on a simulated modem, a phone on the same network, and a gateway that keeps what it hears."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from drivers.base import Clock, Frame, TxReceipt, TxRequest
from drivers.errors import DriverLost
from drivers.gsm_at import GsmDriver
from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Message, Phone
from simulators.modem.profiles import PROFILES
from simulators.modem.tty import ModemPorts

GATEWAY, PHONE = "+491700000001", "+491700000002"
LONG = "Ein langer Beleg {mit Klammern} 5€. " * 20
BINARY = bytes(range(256)) * 3
QUICK = {
    "answer_s": 0.3,
    "send_s": 1.0,
    "sweep_s": 1.0,
    "poll_s": 1.0,
    "restart_s": 3.0,
    "reset_interval_s": 0.0,
    "per_minute": 60,
}


class MachineClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def unix_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class HastyClock(MachineClock):
    """Ten times as fast, so that backoffs and rates do not hold a test up."""

    def monotonic(self) -> float:
        return 10 * time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


class Bench:
    """A modem, a phone, one network; drivers are opened on it."""

    def __init__(self, profile: str, directory: Path, **sim: Any) -> None:
        self.directory = directory
        self.network = Network()
        self.sim = Sim(GATEWAY, **sim)
        self.modem = Modem(PROFILES[profile], self.network, self.sim)
        self.ports = ModemPorts(self.modem, directory / "dev")
        self.phone = Phone(self.network, PHONE)

    def driver(self, clock: Clock | None = None, **settings: Any) -> GsmDriver:
        chosen = {**QUICK, "port": str(self.directory / "dev" / "*"), "spool": self.directory / "spool"}
        return GsmDriver("gsm", {**chosen, **settings}, clock=clock or HastyClock())

    def spooled(self, box: str) -> list[str]:
        folder = self.directory / "spool" / box
        return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


@asynccontextmanager
async def running(bench: Bench) -> AsyncIterator[Bench]:
    async with bench.ports:
        yield bench
    bench.network.close()


class Listener:
    """Settles what it hears, and remembers it."""

    def __init__(self, driver: GsmDriver, *, settle: bool = True) -> None:
        self.heard: list[Frame] = []
        self._driver, self._settle = driver, settle
        self._task = asyncio.create_task(self._listen())
        self._news = asyncio.Event()

    async def _listen(self) -> None:
        async for frame in self._driver.frames():
            self.heard.append(frame)
            self._news.set()
            if self._settle:
                await self._driver.settled(frame)

    async def hears(self, count: int, seconds: float = 20) -> list[Frame]:
        async with asyncio.timeout(seconds):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard[:count]

    async def lost(self, seconds: float = 20) -> DriverLost:
        with pytest.raises(DriverLost) as lost:
            await asyncio.wait_for(self._task, seconds)
        return lost.value


class GatewayLog:
    """Opens the driver again whenever it is lost, as supervision does; keeps each content once, settles."""

    def __init__(self, bench: Bench, **settings: Any) -> None:
        self.driver = bench.driver(**settings)
        self.log: list[bytes] = []
        self.opened = asyncio.Event()
        self._task = asyncio.create_task(self._serve())
        self._news = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def holds(self, messages: Sequence[str | bytes], seconds: float = 30) -> None:
        """All of these, each once, and nothing else."""
        wanted = sorted(one.encode() if isinstance(one, str) else one for one in messages)
        async with asyncio.timeout(seconds):
            while len(self.log) < len(wanted):
                self._news.clear()
                await self._news.wait()
        assert sorted(self.log) == wanted

    async def transmit(self, request: TxRequest) -> TxReceipt | None:
        await self.opened.wait()
        return await self.driver.transmit(request)

    async def _serve(self) -> None:
        while True:
            try:
                async with self.driver:
                    self.opened.set()
                    async for frame in self.driver.frames():
                        if frame.payload not in self.log:
                            self.log.append(frame.payload)
                            self._news.set()
                        await self.driver.settled(frame)
            except DriverLost:
                self.opened.clear()
                await asyncio.sleep(0.05)


def part_count(driver: GsmDriver, outcome: str) -> float:
    return driver.stats().gauges.get(f"parts_{outcome}", 0)


async def received(phone: Phone, seconds: float = 20) -> str | bytes:
    message: Message = await asyncio.wait_for(phone.inbox.get(), seconds)
    return message.text


async def until(reached: Callable[[], bool], seconds: float = 20) -> None:
    """Simulators announce nothing: look until it is so."""
    async with asyncio.timeout(seconds):
        while not reached():
            await asyncio.sleep(0.01)
