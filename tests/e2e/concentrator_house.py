"""The daemon in this process, on a clock that can run faster, with a simulated concentrator beside HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from daemon_rig import GATEWAY, Answer, House, Row, ask, house, origin_of, upload_of, wallet_rows
from vector_wallet import CASES, message_of

from gateway.app import plan
from gateway.config import load
from simulators.concentrator.air import Emission
from simulators.concentrator.rig import Rig
from simulators.lora.frames import ANSWER, data_frame, divide, read_downlink, transfer_id

RATE = 10.0
ANSWER_RATE = 2.0  # an answer is programmed 30 ms before it leaves
LONGEST_UPLINK_US = 500_000
WINDOWS_US = 21_000_000
ROWS = [row for row in wallet_rows() if row["expect"]["accept"]][:5]
"""What goes by HTTP."""
SMALL = [
    case
    for case in CASES
    if case["expect"]["accept"]
    and len(message_of(case)) < 900
    and case["name"] not in {row["name"] for row in ROWS}
]
"""What goes by radio."""


@dataclass
class Home:
    """A running daemon, its board and its log."""

    house: House
    rig: Rig
    task: asyncio.Task[None]
    records: list[logging.LogRecord]

    def said(self, words: str) -> bool:
        """Whether a log line has them, in its message or in what stands beside it."""
        return any(
            words in record.getMessage() or words in str(getattr(record, "reason", ""))
            for record in self.records
        )

    async def until(self, condition: Callable[[], bool]) -> None:
        """The test's own timeout is the bound."""
        while not condition():
            if self.task.done():
                await self.task
            await asyncio.sleep(0.01)

    async def get(self, path: str) -> Any:
        return (await ask(await self.address("http"), "GET", path)).json

    async def post(self, row: Row) -> Answer:
        address = await self.address("http")
        return await ask(address, "POST", "/v1/snapshots", upload_of(row), "application/json")

    async def metrics(self) -> str:
        return (await ask(await self.address("metrics"), "GET", "/metrics")).body.decode()

    async def address(self, server: str) -> str:
        def listening() -> list[str]:
            return [
                record.__dict__["address"]
                for record in self.records
                if record.getMessage() == "listening" and record.__dict__["server"] == server
            ]

        await self.until(lambda: bool(listening()))
        return listening()[-1]

    async def service(self, **wanted: str) -> dict[str, Any]:
        """The LoRa radio's and its service's status, as soon as it contains what is wanted."""
        while True:
            status = await self.get("/status")
            told: dict[str, Any] = {**status["radios"]["lora"], **status["services"]["lora"]}
            if all(value in told[name] for name, value in wanted.items()):
                return told
            if self.task.done():
                await self.task
            await asyncio.sleep(0.02)

    async def heard_by_lora(self, case: dict[str, Any]) -> Emission:
        """Hand a snapshot over by radio, as a device would; what the gateway sent back."""
        message = message_of(case)
        before = len(self.rig.emissions())
        while (answer := self._answer_to(message, before)) is None:
            await self._say(message)
        return answer

    def _answer_to(self, message: bytes, before: int) -> Emission | None:
        for sent in self.rig.emissions()[before:]:
            told = read_downlink(sent.payload)
            if told is not None and (told.kind, told.xid) == (ANSWER, transfer_id(message)):
                return sent
        return None

    async def _say(self, message: bytes) -> None:
        """Until something is sent back or the last window closed: a host this busy may miss them all, a chip
        that is reset while it hears forgets the frame, and noise spoils one: the gateway asks for it."""
        chunks, before = divide(message, 230), len(self.rig.emissions())
        await self.until(self._may_speak)
        self.rig.clock.set_rate(ANSWER_RATE)
        for index, chunk in enumerate(chunks):
            last = index == len(chunks) - 1
            with contextlib.suppress(RuntimeError):  # not receiving
                self.rig.hear(data_frame(transfer_id(message), index, len(chunks), chunk, listening=last))
        over_us = self.rig.clock.micros() + WINDOWS_US
        await self.until(lambda: len(self.rig.emissions()) > before or self.rig.clock.micros() > over_us)
        self.rig.clock.set_rate(RATE)

    def _may_speak(self) -> bool:
        """Whether a frame that ends now began after the gateway's last one had ended."""
        sent = self.rig.emissions()
        return not sent or self.rig.clock.micros() - sent[-1].end_us > LONGEST_UPLINK_US

    async def all_promised_is_cosigned(self, size: int) -> None:
        """What was acked, on either way, is at the coordinator."""
        await self.house.coordinator.until(lambda counts: origin_of(counts)["size"] >= size)


@asynccontextmanager
async def home(
    root: Path,
    rig: Rig | None,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    **sections: Any,
) -> AsyncIterator[Home]:
    """The daemon with the board, or with what ``lora`` in ``sections`` says."""
    caplog.set_level(logging.DEBUG)
    clock = None if rig is None else rig.clock
    if clock is not None:
        monkeypatch.setattr(plan, "SystemClock", lambda: clock)
    async with house(root) as here:
        options = {} if rig is None else rig.settings(watchdog_s=0.5)
        lora = {"frequency": 868, "region": "EU868", "driver": "lora_sx1301", "options": options}
        here.configure(**{"lora": lora, **sections})
        running = asyncio.create_task(plan.run(here.config, load(here.config)))
        there = Home(here, rig, running, caplog.records)  # type: ignore[arg-type]
        try:
            yield there
        finally:
            if clock is not None:
                clock.set_rate(RATE)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


__all__ = ["GATEWAY", "RATE", "ROWS", "SMALL", "Home", "home"]
