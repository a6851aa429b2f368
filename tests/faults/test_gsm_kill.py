"""kill -9 between SIM read, commit, settle and delete, at every step there is."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from gsm_rig import BINARY, GATEWAY, LONG, PHONE, Bench, received, running, until

CHILD = Path(__file__).with_name("gsm_child.py")
ROOT = Path(__file__).parents[2]
KILLED = -9
MAX_STEPS = 200


class Child(Protocol):
    async def __call__(self, kill_at: int, stop_after: int, *message: str) -> int: ...


@asynccontextmanager
async def gateways(bench: Bench) -> AsyncIterator[Child]:
    """One after the other; each call is a process on the bench's modem, until it ends or is killed."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(CHILD)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    orders, codes = process.stdin, process.stdout

    async def child(kill_at: int, stop_after: int, *message: str) -> int:
        order = [str(bench.ports.path), str(bench.directory), kill_at, stop_after, *message]
        orders.write(json.dumps(order).encode() + b"\n")
        return int(await asyncio.wait_for(codes.readline(), 60))

    try:
        yield child
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def test_kill_at_every_step_of_receiving_loses_nothing_and_delivers_once(tmp_path: Path) -> None:
    """A run is killed at its first step, another at its second, and so on; after each one lives."""
    bench = Bench("EC25", tmp_path)
    wanted: list[bytes] = []
    left_over = 0
    async with running(bench), gateways(bench) as child:
        for kill_at in range(1, MAX_STEPS):
            for message in (f"short {kill_at}".encode(), BINARY[: 2 * 134] + b"%d" % kill_at):
                wanted.append(message)
                bench.phone.send(GATEWAY, message)
            await until(lambda: len(bench.modem.memory("MT")) == 4)
            code = await child(kill_at, len(wanted))
            assert code in (0, KILLED)
            assert await child(0, len(wanted)) == 0
            log = (tmp_path / "log").read_text().split()
            assert sorted(bytes.fromhex(line) for line in log) == sorted(wanted)
            assert not bench.modem.memory("MT")
            # Killed between removing the parts of one settled message, it leaves the others to expire.
            assert len(bench.spooled("parts")) in (left_over, left_over + 1, left_over + 2)
            left_over = len(bench.spooled("parts"))
            if code == 0:
                break
        assert kill_at > 12, "there were steps to be killed at"


async def test_kill_at_every_step_of_sending_sends_all_and_joins_once(tmp_path: Path) -> None:
    bench = Bench("EC25", tmp_path)
    out = tmp_path / "out"
    async with running(bench), gateways(bench) as child:
        for kill_at in range(1, MAX_STEPS):
            text = f"{kill_at} {LONG}"[:300]
            out.unlink(missing_ok=True)
            code = await child(kill_at, 0, PHONE, text)
            assert code in (0, KILLED)
            if any(not name.endswith(".new") for name in bench.spooled("queue")):
                assert await child(0, 0) == 0
            elif not out.exists():
                continue  # killed before it was on disk: nobody was told that it would be sent
            assert await received(bench.phone) == text
            assert bench.spooled("queue") == []
            if code == 0:
                break
        assert kill_at > 6, "there were steps to be killed at"
        assert bench.phone.inbox.empty()
