"""The modem driver on simulated modems: the working day, and every fault in the middle of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Clock, Frame, Receiver, Transmitter, TxRequest
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


@pytest.fixture(params=sorted(PROFILES))
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bench(profile: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(Bench(profile, tmp_path)) as bench:
        yield bench


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


def test_it_is_a_receiver_and_a_transmitter(tmp_path: Path) -> None:
    driver = Bench("EC25", tmp_path).driver()
    assert isinstance(driver, Receiver)
    assert isinstance(driver, Transmitter)


async def test_text_and_data_of_any_length_come_in_and_leave_the_sim(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver)
        for message in ("kurz {1}", LONG, BINARY, "中兴 😀" * 40):
            bench.phone.send(GATEWAY, message)
        frames = await listener.hears(4)
        assert {frame.payload for frame in frames} == {
            b"kurz {1}",
            LONG.encode(),
            BINARY,
            ("中兴 😀" * 40).encode(),
        }
        assert {frame.peer for frame in frames} == {PHONE}
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)
        await until(lambda: not bench.spooled("parts"))
        assert driver.stats().frames["ok"] == 4


async def test_answers_go_out_as_they_were_asked_and_numbers_by_what_they_are(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "text?")
        (question,) = await listener.hears(1)
        for payload, to in (
            (b"text!", question.reply_to),
            (LONG.encode(), PHONE),
            (BINARY, PHONE),
            ("😀".encode(), PHONE),
        ):
            receipt = await driver.transmit(TxRequest(payload=payload, reply_to=to, timeout_s=20))
            assert receipt.confirmed
        texts = [await received(bench.phone) for _ in range(4)]
        assert texts == ["text!", LONG, BINARY, "😀"]
        await until(lambda: part_count(driver, "delivered") == part_count(driver, "paid") > 4)
        assert bench.spooled("queue") == []


async def test_what_is_not_settled_is_delivered_again_and_what_is_settled_is_not(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver, settle=False)
        bench.phone.send(GATEWAY, "kept")
        bench.phone.send(GATEWAY, LONG)
        bench.phone.send(GATEWAY, "done")
        frames = await listener.hears(3)
        done = next(frame for frame in frames if frame.payload == b"done")
        await driver.settled(done)
        await until(lambda: len(bench.sim.messages) + len(bench.modem.own_memory) == 1)
    async with bench.driver() as driver:
        frames = await Listener(driver).hears(2)
        assert {frame.payload for frame in frames} == {b"kept", LONG.encode()}
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)
        await until(lambda: not bench.spooled("parts"))
    async with bench.driver() as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "only this")
        assert (await listener.hears(1))[0].payload == b"only this"


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
