"""A concentrator on the gateway's board: the register model in a process of its own, and the air over it."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from simulators.air.air import Air
from simulators.concentrator.images import TEST_SHA256
from simulators.demo.children import START_S, Child, Failed, child
from simulators.lora.plans import US915
from simulators.lora.windows import DeviceTiming

LOOK_EVERY_S = 0.05
LONGEST_SOCKET = 107  # bytes of a Unix socket's path; unix(7), sun_path


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
    with socket_beside(folder) as socket:
        arguments = ("simulators.concentrator", "--socket", str(socket), "--firmware", str(firmware))
        async with child("concentrator", arguments, folder) as process:
            await until(socket.with_name("lora.sock.ctl").exists, "the concentrator model did not start")
            yield Board(process, socket, firmware)


@contextmanager
def socket_beside(folder: Path) -> Iterator[Path]:
    """In the folder, or where its path is too long for a socket in a short one that goes again."""
    if len(os.fsencode(folder / "lora.sock.ctl")) <= LONGEST_SOCKET:
        yield folder / "lora.sock"
        return
    with tempfile.TemporaryDirectory(prefix="offgrid-", dir="/tmp") as short:
        yield Path(short, "lora.sock")


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
