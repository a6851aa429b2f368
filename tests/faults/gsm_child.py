"""Gateways in processes of their own that kill themselves at the nth step between SIM, spool, log and modem.

A line of JSON on standard input starts one, ``[port, directory, kill_at, stop_after, number, text]``; the
line on standard output is its exit code. It is forked, for the imports take longer than its whole life.

Frames are committed to ``directory/log`` (hex, one a line, synced), then settled; ``stop_after`` of them
end it, once nothing waits to be sent. With a number and a text it sends that as well, before it listens; once
the text is out, and before it is off the disk, there is ``directory/out``.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gsm_rig import HastyClock

from drivers.base import TxRequest
from drivers.gsm_at import GsmDriver
from drivers.gsm_at.session import Session
from drivers.gsm_at.spool import FileSpool

steps = 0
kill_at = 0


def step() -> None:
    global steps
    steps += 1
    if steps == kill_at:
        os.kill(os.getpid(), signal.SIGKILL)


class SteppingSpool(FileSpool):
    """Each change on disk is a step before it and a step after it."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "spool")
        self._out = directory / "out"

    def put(self, box: str, name: str, record: bytes) -> None:
        step()
        super().put(box, name, record)
        step()

    def remove(self, box: str, name: str) -> None:
        step()
        if box == "queue":
            self._out.touch()
        super().remove(box, name)
        step()


def stepping(method: Any) -> Any:
    async def around(self: Session, first: Any, *rest: Any) -> Any:
        counted = isinstance(first, int) or any(word in first for word in ("CMGR", "CMGL", "CMGD"))
        if counted:
            step()
        reply = await method(self, first, *rest)
        if counted:
            step()
        return reply

    return around


def main() -> None:
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            asyncio.run(gateway(*json.loads(line)))
            return
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


async def gateway(port: str, directory: str, killed: int, stop_after: int, *message: str) -> None:
    global kill_at
    kill_at = killed
    Session.ask = stepping(Session.ask)  # type: ignore[method-assign]
    Session.send = stepping(Session.send)  # type: ignore[method-assign]
    log = Path(directory) / "log"
    held = set(log.read_text().split()) if log.exists() else set()
    settings: dict[str, Any] = {
        "port": port,
        "answer_s": 1.0,
        "sweep_s": 1.0,
        "per_minute": 60,
        "per_day": 10_000,
    }
    driver = GsmDriver("gsm", settings, clock=HastyClock(), spool=SteppingSpool(Path(directory)))
    async with driver:
        if message:
            number, text = message
            await driver.transmit(TxRequest(payload=text.encode(), reply_to=number, timeout_s=20))
        listening = asyncio.create_task(listen(driver, log, held))
        while len(held) < stop_after or driver._outbox or not swept_clean(driver):
            await asyncio.wait((listening,), timeout=0.02)
            if listening.done():
                listening.result()
        listening.cancel()


async def listen(driver: GsmDriver, log: Path, held: set[str]) -> None:
    """Commit each content once, then settle."""
    async for frame in driver.frames():
        if frame.payload.hex() not in held:
            step()
            with log.open("a") as file:
                file.write(frame.payload.hex() + "\n")
                file.flush()
                os.fsync(file.fileno())
            held.add(frame.payload.hex())
            step()
        await driver.settled(frame)


def swept_clean(driver: GsmDriver) -> bool:
    """What is settled is deleted before we go, and the last sweep found nothing."""
    gauges = driver.stats().gauges
    return (
        not driver._inbox._outstanding
        and gauges.get("storage_used_percent_sm") == gauges.get("storage_used_percent_me") == 0
    )


if __name__ == "__main__":
    main()
