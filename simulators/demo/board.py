"""A concentrator on the gateway's board: the register model in a process of its own, and the air over it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from simulators.air.air import Air
from simulators.concentrator.images import TEST_SHA256
from simulators.demo.children import START_S, Child, Failed, child
from simulators.demo.sockets import room_for
from simulators.lora.plans import US915
from simulators.lora.windows import DeviceTiming

LOOK_EVERY_S = 0.05
CONTROL = "lora.sock.ctl"


@dataclass(frozen=True, slots=True)
class Board:
    """It runs; `socket` is where its pins are, `firmware` where its images stand."""

    process: Child
    socket: Path
    firmware: Path

    def options(self) -> Mapping[str, object]:
        """For a radio's section of the configuration."""
        return {
            "address": f"unix:{self.socket}",
            "firmware": str(self.firmware),
            "firmware_sha256": dict(TEST_SHA256),
        }


@asynccontextmanager
async def board(folder: Path) -> AsyncIterator[Board]:
    """Raises `Failed` when it does not start."""
    firmware = folder / "firmware"
    with room_for(CONTROL, folder) as sockets:
        socket = sockets / "lora.sock"
        arguments = ("simulators.concentrator", "--socket", str(socket), "--firmware", str(firmware))
        async with child("concentrator", arguments, folder) as process:
            await until((sockets / CONTROL).exists, "the concentrator model did not start")
            yield Board(process, socket, firmware)


@asynccontextmanager
async def over(board: Board, random: Random, loss: float, timing: DeviceTiming) -> AsyncIterator[Air]:
    """The air, once the gateway receives. Raises `Failed` when it never does."""
    async with Air(US915, board.socket, random, loss=loss, timing=timing) as air:
        await until(air.gateway_receives, "the gateway did not open the concentrator")
        yield air


async def until(condition: Callable[[], bool], complaint: str) -> None:
    """Returns once another process has done it; raises `Failed` when it does not."""
    try:
        async with asyncio.timeout(START_S):
            while not condition():  # noqa: ASYNC110 - neither a file nor a chip's register calls us
                await asyncio.sleep(LOOK_EVERY_S)
    except TimeoutError:
        raise Failed(f"{complaint} within {START_S:.0f} s") from None
