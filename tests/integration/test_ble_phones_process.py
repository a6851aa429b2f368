"""Phones in a process of their own, behind a TCP port or a pty paced like a UART; the driver in this one."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from ble_rig import Wallet, receipt

from drivers.base import TxRequest
from drivers.ble import BleDriver
from drivers.errors import DriverLost, TransmitRefused
from gateway.systemclock import SystemClock
from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import PtyPort


@asynccontextmanager
async def phones(*arguments: str) -> AsyncIterator[tuple[str, asyncio.subprocess.Process]]:
    """The controller's address and the process."""
    command = (sys.executable, "-m", "simulators", "phones", *arguments)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield json.loads(await process.stdout.readline())["controller"], process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def answer(driver: BleDriver) -> None:
    async for frame in driver.frames():
        try:
            await driver.transmit(TxRequest(payload=receipt(frame.payload), reply_to=frame.reply_to))
        except TransmitRefused:
            continue  # cut


async def told(process: asyncio.subprocess.Process) -> list[dict[str, Any]]:
    assert process.stdout is not None
    return [json.loads(line) async for line in process.stdout]


@pytest.mark.parametrize("way", ["pty", "tcp"])
async def test_phones_that_are_cut_and_come_back_hand_over_all_they_have(way: str, tmp_path: Path) -> None:
    place = ("--pty", str(tmp_path / "hci")) if way == "pty" else ("--tcp", "0")
    crowd = ("--phones", "6", "--visits", "2", "--payload", "8000", "--cut", "0.4", "--seed", "3")
    async with (
        phones(*place, *crowd) as (address, process),
        BleDriver("ble", {"controller": address, "max_links": 20}, clock=SystemClock()) as driver,
    ):
        answering = asyncio.create_task(answer(driver))
        lines = await told(process)
        assert await process.wait() == 0
        answering.cancel()
        await asyncio.wait([answering])
    visits = [line for line in lines if "answers" in line and "phone" in line]
    assert len(visits) == 12
    assert all(visit["answers"] == visit["messages"] == 1 for visit in visits)
    assert lines[-1]["visits"] == 12
    assert lines[-1]["cut"] > 0


async def test_phones_with_a_misdeed_are_closed_and_the_process_ends_when_told(tmp_path: Path) -> None:
    arguments = ("--tcp", "0", "--phones", "2", "--payload", "500", "--misdeed", "flood")
    async with phones(*arguments) as (address, process):
        settings = {"controller": address, "ban_s": 1}
        async with BleDriver("ble", settings, clock=SystemClock()) as driver:
            answering = asyncio.create_task(answer(driver))
            telling = asyncio.create_task(told(process))  # else the pipe fills up and holds the phones up
            while min(driver.stats().frames.get(each, 0) for each in ("expelled", "ok")) < 1:
                await asyncio.sleep(0.01)
            process.terminate()
            lines = await telling
            assert await process.wait() == 0
            answering.cancel()
            await asyncio.wait([answering])
    assert "visits" in lines[-1]


async def test_a_uart_that_is_pulled_out_is_lost_and_its_path_can_be_opened_again(tmp_path: Path) -> None:
    air = Air()
    port = PtyPort(VirtualController(air, "dongle"), link=tmp_path / "hci0")
    async with port:
        driver = BleDriver("ble", {"controller": port.address}, clock=SystemClock())
        async with driver:
            frames = driver.frames()
            waiting = asyncio.ensure_future(anext(frames))
            await port.unplug()
            with pytest.raises(DriverLost, match="the way to the controller is gone"):
                await waiting
        with pytest.raises(DriverLost, match="is not there"):
            async with driver:
                pass
        port.plug()
        wallet = Wallet(b"back again")
        phone = Phone(air, 1, Traits(), next_message=wallet.next_message, on_answer=wallet.on_answer)
        async with driver:
            answering = asyncio.create_task(answer(driver))
            await phone.visit()
            answering.cancel()
            await asyncio.wait([answering])
        phone.close()
    assert wallet.left == []
