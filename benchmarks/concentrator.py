"""What driving an SX1301 ourselves costs: start, idle, and the heaviest air that eight channels can carry.

    python -m benchmarks.concentrator [--seconds 10] [--json FILE]

The register model runs in a process of its own; CPU figures are of this process alone, loop and bus thread.
The model's answers through a socket take longer than SPI does, so a Pi polls cheaper than this machine.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figure import Figure
from drivers.base import LoraDownlink, TxRequest
from drivers.lora_sx1301 import Sx1301Driver
from simulators.concentrator.images import TEST_SHA256

EU868_HZ = (868_100_000, 868_300_000, 868_500_000, *range(867_100_000, 868_000_000, 200_000))
IDLE_LIMIT_PERCENT = 0.5


class HostClock:
    """The machine's own clocks."""

    def monotonic(self) -> float:
        return time.monotonic()

    def unix_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Control:
    """The model's control socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path + ".ctl")
        self._lines = self._socket.makefile("r")

    def ask(self, **request: Any) -> dict[str, Any]:
        """One operation, its answer."""
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        answer: dict[str, Any] = json.loads(self._lines.readline())
        return answer

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


@dataclass(frozen=True, slots=True)
class Load:
    """Traffic offered and what came of it."""

    offered: int
    received: int
    lost: int  # the FIFO or its buffer was full
    most_packets_a_poll: int
    cpu_percent: float


@dataclass(frozen=True, slots=True)
class Figures:
    """All that is measured. Microseconds of ``rx1_error_us`` are between asked and true emission."""

    open_s: float
    empty_poll_us: float
    idle_cpu_percent: float
    full: Load  # 22 frames of 222 bytes a second
    small: Load  # 190 frames of 12 bytes a second
    rx1_sent: int
    rx1_error_us: int


@contextmanager
def model(folder: Path) -> Iterator[str]:
    """A simulated concentrator in its own process; its address."""
    path = str(folder / "sx1301.sock")
    command = [sys.executable, "-m", "simulators.concentrator", "--socket", path, "--firmware", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while not Path(path + ".ctl").exists():
            time.sleep(0.05)
        yield path
    finally:
        process.terminate()
        process.wait()


def offer(control: Control, rate: float, size: int, seconds: float, dice: random.Random) -> int:
    """Hand the model ``seconds`` of traffic, from half a second on; how many frames."""
    count = int(rate * seconds)
    begin_us = time.monotonic_ns() // 1000 + 500_000
    for n in range(count):
        control.ask(
            op="rx",
            frequency_hz=EU868_HZ[n % 8],
            payload=dice.randbytes(size).hex(),
            end_us=begin_us + round(n / rate * 1e6 + dice.uniform(0, 20_000)),
        )
    return count


async def measure_load(radio: Sx1301Driver, control: Control, rate: float, size: int, seconds: float) -> Load:
    """Offer, receive, count."""
    lost_before = len(control.ask(op="status")["unheard"])
    received = 0

    async def take() -> None:
        nonlocal received
        async for _ in radio.frames():
            received += 1

    taking = asyncio.create_task(take())
    offered = await asyncio.to_thread(offer, control, rate, size, seconds, random.Random(1))
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds + 1.0)
    percent = 100 * (time.process_time() - cpu) / (time.monotonic() - wall)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    lost = len(control.ask(op="status")["unheard"]) - lost_before
    most = int(radio.stats().gauges["most_packets_a_poll"])
    return Load(offered, received, lost, most, round(percent, 2))


async def measure_idle(seconds: float) -> float:
    """CPU of this process while nothing is heard."""
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - cpu) / (time.monotonic() - wall)


async def measure_rx1(radio: Sx1301Driver, control: Control, count: int) -> tuple[int, int]:
    """Answer frames one second after their end; how many left, and the worst error by the model's counter."""
    asked = []
    for n in range(count):
        await asyncio.sleep(0.2)  # an uplink that began while we sent is not heard
        await asyncio.to_thread(control.ask, op="rx", frequency_hz=EU868_HZ[n % 8], payload="00")
        frame = await anext(radio.frames())
        if frame.lora is None:
            continue
        downlink = LoraDownlink(
            frequency_hz=869_525_000,
            spreading_factor=7,
            bandwidth_hz=125_000,
            counter_us=frame.lora.counter_us + 1_000_000,
        )
        sent = await radio.transmit(TxRequest(payload=b"promise", lora=downlink))
        asked.append(sent.counter_us or 0)
    emitted = [one["counter_us"] for one in control.ask(op="status")["emissions"]][-count:]
    base = emitted[0] - asked[0]
    errors = [abs(there - here - base) for there, here in zip(emitted, asked, strict=True)]
    return len(emitted), max(errors)


async def run(seconds: float) -> Figures:
    """All measurements, one after the other."""
    with tempfile.TemporaryDirectory() as name, model(Path(name)) as path:
        control = Control(path)
        settings = {
            "address": f"unix:{path}",
            "firmware": name,
            "firmware_sha256": TEST_SHA256,
            "region": "EU868",
        }
        opening = time.monotonic()
        async with Sx1301Driver("bench", settings, clock=HostClock()) as radio:
            open_s = time.monotonic() - opening
            empty_us = await measure_empty_polls(radio)
            await asyncio.sleep(6)  # until the poll is at its slowest
            idle = await measure_idle(seconds)
            full = await measure_load(radio, control, 22, 222, seconds)
            small = await measure_load(radio, control, 190, 12, seconds)
            sent, error_us = await measure_rx1(radio, control, 5)
        control.close()
    return Figures(round(open_s, 2), round(empty_us, 1), round(idle, 2), full, small, sent, error_us)


async def measure_empty_polls(radio: Sx1301Driver, count: int = 500) -> float:
    """Microseconds of CPU an empty poll costs."""
    concentrator = radio._concentrator
    if concentrator is None:
        raise RuntimeError("the driver is not open")
    cpu = time.process_time()
    for _ in range(count):
        await concentrator.poll()
    return 1e6 * (time.process_time() - cpu) / count


def figures(quick: bool) -> list[Figure]:
    """Nothing of what eight channels can carry is lost."""
    told = asyncio.run(run(3.0 if quick else 10.0))
    return [
        Figure("start of the chip", "s", told.open_s),
        Figure("processor while nothing is heard", "%", told.idle_cpu_percent, IDLE_LIMIT_PERCENT),
        Figure("22 long frames a second: lost", "", told.full.lost, 0),
        Figure("22 long frames a second: processor", "%", told.full.cpu_percent),
        Figure("190 short frames a second: lost", "", told.small.lost, 0),
        Figure("190 short frames a second: processor", "%", told.small.cpu_percent),
        Figure("worst error of an emission in RX1", "us", told.rx1_error_us),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the figures; exit status 1 when a limit is not kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    figures = asyncio.run(run(options.seconds))
    text = json.dumps(asdict(figures), indent=2)
    sys.stdout.write(text + "\n")
    if options.json is not None:
        options.json.write_text(text)
    kept = figures.full.lost == figures.small.lost == 0 and figures.idle_cpu_percent <= IDLE_LIMIT_PERCENT
    return 0 if kept else 1


if __name__ == "__main__":
    raise SystemExit(main())
