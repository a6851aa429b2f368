"""A disk wiped while the daemon runs: how long until all of it is there again, and the coordinator agrees.

    python -m benchmarks restore          20,000 snapshots, with --quick 300

The daemon is killed, its state is deleted, and it is started again: it restores itself from a folder (what S3
adds is the way there), with the identical root, and syncs.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.figure import Figure
from benchmarks.phones import Answers, Ledger, ledgers, phone
from simulators.demo.carriers import session
from simulators.demo.children import command
from simulators.demo.house import House, inhabited, site
from simulators.demo.watch import Watch

CONNECTIONS = 32
LOT = 1000
LIMITS = {"peer": {"messages_per_minute": 1_000_000}, "radio": {"messages_per_minute": 1_000_000}}
RTO_S = 15 * 60.0


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds from the start of the daemon on an empty disk."""

    snapshots: int
    back_up_s: float
    backup_bytes: int
    objects: int
    serving_s: float
    synced_s: float
    roots_equal: bool


async def wipe_and_start(folder: Path, snapshots: int) -> Result:
    copies = prepared(folder)
    backup = {"target": str(copies), "operator_key": operator_key(), "interval_seconds": 10}
    async with site(folder, Random(1), limits=LIMITS, backup=backup) as here:
        async with inhabited(here) as home, session() as http:
            await load(home, snapshots)
            watch = Watch(home, http)
            await watch.until(lambda: snapshots == watch.gateway_size == watch.held[0])
            before = await figures_of(watch)
            began = time.monotonic()
            await command("backup", ("gateway", "backup", "now", "--config", str(here.config)), folder)
            back_up_s = time.monotonic() - began
            wipe(folder)
            await home.daemon.kill()
        began = time.monotonic()
        async with inhabited(here) as home, session() as http:
            serving_s = time.monotonic() - began
            watch = Watch(home, http)
            await watch.until(lambda: snapshots == watch.gateway_size == watch.held[0])
            synced_s = time.monotonic() - began
            after = await figures_of(watch)
    made = sizes(copies)
    return Result(
        snapshots=snapshots,
        back_up_s=back_up_s,
        backup_bytes=sum(made),
        objects=len(made),
        serving_s=serving_s,
        synced_s=synced_s,
        roots_equal=before == after and watch.held == (watch.gateway_size, watch.gateway_root),
    )


def prepared(folder: Path) -> Path:
    """The target's folder."""
    (folder / "copies").mkdir()
    return folder / "copies"


def sizes(folder: Path) -> list[int]:
    """Of the backup's objects, in bytes."""
    return [path.stat().st_size for path in folder.rglob("*.age")]


def wipe(folder: Path) -> None:
    """While the daemon runs."""
    for path in folder.glob("gateway.db*"):
        path.unlink()


def operator_key() -> str:
    """Nobody's: its private half is thrown away."""
    import pyrage

    return str(pyrage.x25519.Identity.generate().to_public())


async def figures_of(watch: Watch) -> tuple[int, str]:
    return watch.gateway_size, watch.gateway_root


async def load(home: House, snapshots: int) -> None:
    """All of them by HTTP, as fast as they are answered."""
    answers = Answers()
    for start in range(0, snapshots, LOT):
        waiting = deque(ledgers(min(LOT, snapshots - start), payments=10, salt=f"restore {start} "))
        async with asyncio.TaskGroup() as phones:
            for _ in range(CONNECTIONS):
                phones.create_task(_send(home.http, waiting, answers))
    if answers.refused:
        raise RuntimeError(f"{len(answers.refused)} refused: {answers.refused[0]}")


async def _send(url: str, waiting: deque[Ledger], answers: Answers) -> None:
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(phone(url))
        while waiting:
            ledger = waiting.popleft()
            began = time.perf_counter()
            status, body = await one.post(ledger.body)
            answers.take(ledger, status, body, time.perf_counter() - began)


def figures(quick: bool) -> Sequence[Figure]:
    """Within the deployment guide's RTO of 15 min."""
    with tempfile.TemporaryDirectory(prefix="offgrid-restore-") as folder:
        result = asyncio.run(wipe_and_start(Path(folder), 300 if quick else 20_000))
    return [
        Figure("snapshots", "", result.snapshots),
        Figure("the last round of the backup", "s", result.back_up_s),
        Figure("backup", "MB", result.backup_bytes / 1e6),
        Figure("objects", "", result.objects),
        Figure("from an empty disk to answering", "s", result.serving_s, RTO_S),
        Figure("from an empty disk to synced", "s", result.synced_s, RTO_S),
        Figure("roots equal", "", float(result.roots_equal), 1, "more"),
    ]
