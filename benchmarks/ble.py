"""What Bluetooth carries, beside what its link could: phones in their own process, the driver in this one.

    python -m benchmarks.ble [--visits 10] [--json FILE]

Links: a pty paced to 1 Mbaud, as a UART dongle; TCP with an instant radio; TCP with the radio's own timing.
What a link could carry: of the pty 100 kB/s less what HCI, L2CAP and ATT add to each write; of the timed
radio what fits its connection events; of TCP a bare write of the same bytes, without any protocol, in the
same two processes. A receipt is an answer of 95 bytes, made at once: disk and signatures are not in it.
Round trip: a read of an attribute over the same link.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.figure import Figure
from drivers.base import TxRequest
from drivers.ble import BleDriver
from drivers.ble.peripheral import Peripheral
from drivers.errors import TransmitRefused
from drivers.transport.hci import open_hci
from gateway.systemclock import SystemClock
from simulators.phones.timing import RadioTiming

LARGE, SMALL = 50_000, 200
RECEIPT = bytes(95)
UART_BYTES_PER_S = 100_000


@dataclass(frozen=True, slots=True)
class Link:
    """A way between the two processes, and the phone on it."""

    name: str
    pty: bool
    arguments: tuple[str, ...]
    could_carry: float | None  # bytes a second; None: measured


@dataclass(frozen=True, slots=True)
class Measured:
    """Bytes a second, milliseconds, and what this process spent."""

    link: str
    bytes_per_s: float
    could_carry: float
    receipt_p50_ms: float
    round_trip_p50_ms: float
    cpu_s_per_mb: float

    @property
    def share(self) -> float:
        return self.bytes_per_s / self.could_carry

    @property
    def round_trips(self) -> float:
        return self.receipt_p50_ms / self.round_trip_p50_ms


def links() -> list[Link]:
    timed = RadioTiming(instant=False)
    return [
        Link("pty at 1 Mbaud, MTU 517", True, ("--mtu", "517"), uart(495)),
        Link("pty at 1 Mbaud, MTU 185", True, ("--mtu", "185"), uart(182)),
        Link("TCP, instant radio, MTU 517", False, ("--mtu", "517"), None),
        Link(
            "TCP, 1M PHY at 30 ms, MTU 517",
            False,
            ("--mtu", "517", "--radio", "1M"),
            timed.capacity_bytes_per_s(),
        ),
    ]


def uart(value: int) -> float:
    """Bytes a second in writes of ``value`` bytes: ATT 3 and L2CAP 4, H4 and ACL 5 for each 251 of them."""
    packets = -(-(value + 7) // 251)
    return UART_BYTES_PER_S * value / (value + 7 + 5 * packets)


async def measure(link: Link, visits: int, folder: Path) -> Measured:
    """The large messages, then the small ones, over one kind of link."""
    cpu = time.process_time()
    large = await run_phones(link, visits, folder, "--payload", str(LARGE))
    spent = time.process_time() - cpu
    small = await run_phones(link, visits * 5, folder, "--payload", str(SMALL), "--ping", "5")
    took = median(visit["delivered_s"][0] for visit in large)
    could = link.could_carry
    if could is None:
        plain = await run_phones(link, visits, folder, "--payload", str(LARGE), "--bare")
        could = LARGE / median(visit["delivered_s"][0] for visit in plain)
    return Measured(
        link=link.name,
        bytes_per_s=LARGE / took,
        could_carry=could,
        receipt_p50_ms=1e3 * median(visit["answer_s"][0] for visit in small),
        round_trip_p50_ms=1e3 * median(trip for visit in small for trip in visit["round_trip_s"]),
        cpu_s_per_mb=spent / (visits * LARGE / 1e6),
    )


async def run_phones(link: Link, visits: int, folder: Path, *arguments: str) -> list[dict[str, Any]]:
    """One phone's contacts, as it tells of them."""
    place = ("--pty", str(folder / "hci")) if link.pty else ("--tcp", "0")
    phones = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "phones", *place, "--phones", "1", "--visits", str(visits),
        *link.arguments, *arguments, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert phones.stdout is not None  # noqa: S101 - it was asked for
    address = json.loads(await phones.stdout.readline())["controller"]
    async with bare(address) if "--bare" in arguments else echo(address):
        lines = [json.loads(line) async for line in phones.stdout]
    await phones.wait()
    return [line for line in lines if "answer_s" in line]


class _Sink:
    """A peripheral's owner that takes writes and does nothing."""

    peripheral: Peripheral
    advertising: asyncio.Task[bool] | None = None

    def connected(self, handle: int, address: str) -> None: ...

    def disconnected(self, handle: int) -> None:
        self.advertising = asyncio.create_task(self.peripheral.advertise(b""))

    def written(self, handle: int, value: bytes) -> None: ...

    def link_written(self, handle: int, value: bytes) -> None: ...

    def linked(self, handle: int, gateway_id: str, way: object) -> None: ...

    def room(self, handle: int) -> None: ...

    def lost(self, why: str) -> None: ...


@asynccontextmanager
async def bare(controller: str) -> AsyncIterator[None]:
    """The same stack without the protocol."""
    sink = _Sink()
    sink.peripheral = Peripheral(await open_hci(controller), "OFFGRID_gateway", sink, lambda fact: b"")
    await sink.peripheral.start()
    await sink.peripheral.advertise(b"")
    try:
        yield
    finally:
        await sink.peripheral.stop()


@asynccontextmanager
async def echo(controller: str) -> AsyncIterator[BleDriver]:
    """The driver, with an answer for every message."""
    settings = {
        "controller": controller,
        "peer_messages_per_minute": 100_000,
        "peer_bytes_per_minute": 1 << 30,
    }
    async with BleDriver("ble", settings, clock=SystemClock()) as driver:
        serving = asyncio.create_task(_answer(driver))
        try:
            yield driver
        finally:
            serving.cancel()
            await asyncio.wait([serving])


async def _answer(driver: BleDriver) -> None:
    async for frame in driver.frames():
        with suppress(TransmitRefused):  # a phone that has left
            await driver.transmit(TxRequest(payload=RECEIPT, reply_to=frame.reply_to, priority=0))


async def idle(seconds: float, folder: Path) -> dict[str, float]:
    """What the driver costs while no phone is near: this process with nothing else in it."""
    link = Link("idle", True, (), None)
    phones = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators", "phones", "--pty", str(folder / "hci"), "--phones", "1",
        "--away-s", "100000", *link.arguments, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert phones.stdout is not None  # noqa: S101 - it was asked for
    address = json.loads(await phones.stdout.readline())["controller"]
    async with echo(address):
        await asyncio.sleep(1.0)
        cpu = time.process_time()
        await asyncio.sleep(seconds)
        cpu = time.process_time() - cpu
    phones.terminate()
    await phones.communicate()
    return {
        "cpu_percent": 100 * cpu / seconds,
        "rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def run(visits: int, idle_s: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        at_rest = await idle(idle_s, folder)
        measured = [await measure(link, visits, folder) for link in links()]
    return {
        "cpus": os.cpu_count(),
        "idle": at_rest,
        "links": [{**asdict(one), "share": one.share, "round_trips": one.round_trips} for one in measured],
    }


def figures(quick: bool) -> list[Figure]:
    """Of each kind of link: what was carried, beside what it could carry."""
    told = asyncio.run(run(3 if quick else 10, 3.0 if quick else 20.0))
    measured = [Figure("processor while no phone is near", "%", told["idle"]["cpu_percent"])]
    for link in told["links"]:
        carried, name = link["bytes_per_s"] / 1e3, link["link"]
        measured += [
            Figure(f"{name}: carried, of {link['could_carry'] / 1e3:.0f} kB/s", "kB/s", carried),
            Figure(f"{name}: to a receipt", "round trips", link["round_trips"]),
        ]
    return measured


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ble", description=__doc__)
    parser.add_argument("--visits", type=int, default=10)
    parser.add_argument("--idle-s", type=float, default=20.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    told = asyncio.run(run(options.visits, options.idle_s))
    text = json.dumps(told, indent=2)
    if options.json:
        options.json.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
