"""What Bluetooth comes to through the whole daemon: signatures, fsync, promise; three processes.

    python -m benchmarks ble_daemon

Phones with wallets in their own process, the daemon in its own with the reference coordinator in this one.
Links and what they could carry as in :mod:`benchmarks.ble`. Carried is counted until DONE; a receipt is a
verified, committed and signed promise, in round trips of the link (a read of an attribute): with a radio at
most three of them; without one a round trip is half a millisecond, less than disk and signatures take.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.ble import Link, links, uart
from benchmarks.figure import Figure
from benchmarks.idle import CONFIG, GATEWAY, MIB, SETTLE_S, Usage, daemon, rss_bytes
from gateway.keys.generate import make_keys
from simulators.coordinator import Coordinator
from simulators.phones.timing import RadioTiming
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor

PAYMENTS = 330  # in a ledger of about 50 kB
NOW_MS = 1_790_000_000_000
PROMISE = "8410"
WIDE = (
    "limits: {peer: {messages_per_minute: 1000000, bytes_per_minute: 1073741824}, "
    "radio: {bytes_per_minute: 17179869184}}\n"
)


def sizes() -> tuple[int, int, int]:
    """Bytes of a large ledger, of one of a single payment, and of that payment alone."""
    wallet = Wallet(bytes(32))
    wallet.pay("00" * 8, 1, NOW_MS)
    small, loose = snapshot_cbor(wallet.hand_over(NOW_MS)), transactions_cbor(wallet.key, wallet.ledger)
    for n in range(1, PAYMENTS):
        wallet.pay("00" * 8, 1, NOW_MS + n)
    return len(snapshot_cbor(wallet.hand_over(NOW_MS))), len(small), len(loose)


@asynccontextmanager
async def beside(controller: str, coordinator: Coordinator, folder: Path) -> AsyncIterator[int]:
    """The daemon at this controller; its process id."""
    config = folder / "config.yml"
    options = "{peer_messages_per_minute: 100000, peer_bytes_per_minute: 1073741824}"
    config.write_text(
        CONFIG.format(gateway=GATEWAY, api=coordinator.api_url, ws=coordinator.ws_url, vkey=coordinator.vkey)
        + WIDE
        + f'ble: {{controller: "{controller}", options: {options}}}\n'
    )
    async with daemon(config) as (process, _):
        yield process.pid


@asynccontextmanager
async def phones(pty: bool, folder: Path, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Their process."""
    place = ("--pty", str(folder / "hci")) if pty else ("--tcp", "0")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", "phones", *place, "--phones", "1", *arguments),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


async def contacts(
    link: Link, visits: int, coordinator: Coordinator, folder: Path, *arguments: str
) -> list[dict[str, Any]]:
    """One phone's contacts. Raises RuntimeError where one was not promised."""
    told = ("--visits", str(visits), "--ping", "5", *link.arguments, *arguments)
    async with phones(link.pty, folder, *told) as process:
        assert process.stdout is not None  # noqa: S101 - asked for
        address = json.loads(await process.stdout.readline())["controller"]
        async with beside(address, coordinator, folder):
            lines = [json.loads(line) async for line in process.stdout]
    if lines[-1]["answers"] != {PROMISE: visits}:
        raise RuntimeError(f"{visits} contacts over {link.name} were answered {lines[-1]['answers']}")
    return [line for line in lines if "answer_s" in line]


async def carried(link: Link, visits: int, coordinator: Coordinator, folder: Path) -> list[Figure]:
    """Of one link."""
    large, small, loose = sizes()
    whole = await contacts(link, visits, coordinator, folder, "--ledger", str(PAYMENTS), "--seed", "1")
    rate = large / median(visit["delivered_s"][0] for visit in whole)
    figures, radio = [], "--radio" in link.arguments
    if link.could_carry is not None:
        could = f"{link.name}: carried, of {link.could_carry / 1e3:.0f} kB/s"
        figures.append(Figure(could, "kB/s", rate / 1e3, 0.8 * link.could_carry / 1e3, "more"))
    for seed, (size, more) in enumerate([(small, ()), (loose, ("--loose",))], 2):
        short = await contacts(
            link, 5 * visits, coordinator, folder, "--ledger", "1", "--seed", str(seed), *more
        )
        trip = median(trip for visit in short for trip in visit["round_trip_s"])
        receipt = median(visit["answer_s"][0] for visit in short)
        figures.append(Figure(f"{link.name}: receipt of {size} B", "ms", receipt * 1e3))
        figures.append(
            Figure(f"{link.name}: receipt of {size} B", "round trips", receipt / trip, 3.0 if radio else None)
        )
    return figures


async def idle(seconds: float, coordinator: Coordinator, folder: Path) -> list[Figure]:
    """The daemon with a controller that hears nobody."""
    async with phones(True, folder, "--away-s", "100000") as process:
        assert process.stdout is not None  # noqa: S101 - asked for
        address = json.loads(await process.stdout.readline())["controller"]
        async with beside(address, coordinator, folder) as pid:
            await coordinator.until(lambda counts: bool(counts["gateways"][GATEWAY]["connected"]))
            await asyncio.sleep(SETTLE_S)
            before = Usage.of(pid)
            await asyncio.sleep(seconds)
            after = Usage.of(pid)
            busy = 100 * (after.cpu_s - before.cpu_s) / (after.at_s - before.at_s)
            return [
                Figure("idle memory (RSS), BLE on", "MiB", rss_bytes(pid) / MIB, 60.0),
                Figure("idle processor, BLE on", "%", busy, 0.5),
            ]


def dongles() -> list[Link]:
    """A UART and a radio one behind the other, as hardware has them; what carries less is the limit."""
    found = []
    for interval_s in (0.0075, 0.030):
        radio = RadioTiming(instant=False, interval_s=interval_s).capacity_bytes_per_s() * 182 / 251
        name = f"pty at 1 Mbaud, 1M PHY at {interval_s * 1e3:g} ms, MTU 185"
        arguments = ("--mtu", "185", "--radio", "1M", "--interval-ms", str(interval_s * 1e3))
        found.append(Link(name, True, arguments, min(radio, uart(182))))
    return found


async def measure(visits: int, idle_s: float) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="offgrid-ble-") as name:
        folder = Path(name)
        made = make_keys(folder / "gateway.key", folder / "gateway.crt", GATEWAY)
        async with Coordinator(db=folder / "coordinator.db", token="unused") as coordinator:  # noqa: S106 - nobody else
            await coordinator.register(GATEWAY, made.identity.public_key)
            figures = await idle(idle_s, coordinator, folder)
            for link in (*links(), *dongles()):
                figures += await carried(link, visits, coordinator, folder)
            return figures


def figures(quick: bool) -> list[Figure]:
    """Of each kind of link, and at rest."""
    return asyncio.run(measure(3, 5.0) if quick else measure(10, 30.0))
