"""A gateway in a process of its own that kills itself at the nth step between SIM, spool, log and modem.

    python gsm_child.py PORT DIRECTORY KILL_AT STOP_AFTER [NUMBER TEXT]

Frames are committed to ``DIRECTORY/log`` (hex, one a line, synced), then settled; ``STOP_AFTER`` of them
end it. With a number it sends a text as well, before it listens.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from drivers.base import TxRequest
from drivers.gsm_at import GsmDriver
from drivers.gsm_at.session import Session
from drivers.gsm_at.spool import FileSpool
from gateway.systemclock import SystemClock

steps = 0


def step() -> None:
    global steps
    steps += 1
    if steps == int(sys.argv[3]):
        os.kill(os.getpid(), signal.SIGKILL)


class SteppingSpool(FileSpool):
    """Each change on disk is a step before it and a step after it."""

    def put(self, box: str, name: str, record: bytes) -> None:
        step()
        super().put(box, name, record)
        step()

    def remove(self, box: str, name: str) -> None:
        step()
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


async def main() -> None:
    port, directory, _, stop_after, *message = sys.argv[1:]
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
    driver = GsmDriver("gsm", settings, clock=SystemClock(), spool=SteppingSpool(Path(directory) / "spool"))
    async with driver:
        if message:
            number, text = message
            await driver.transmit(TxRequest(payload=text.encode(), reply_to=number, timeout_s=20))
        listening = asyncio.create_task(listen(driver, log, held))
        while len(held) < int(stop_after) or not swept_clean(driver):
            await asyncio.wait((listening,), timeout=0.05)
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
    asyncio.run(main())
