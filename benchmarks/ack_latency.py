"""From a phone's upload to the promise, at 100 a second over HTTP, beside one fsync and the verifies.

    python -m benchmarks ack_latency

Daemon and coordinator are processes of their own, all on one machine; an upload has 11 signatures. The limits
are multiples of (median fsync + 11 verifications), both measured in the same run and on the same disk. The
coordinator, which is elsewhere in the field, keeps its database in memory if it can.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from statistics import median

from benchmarks.figure import Figure
from benchmarks.phones import Answers, Ledger, at_rate, ledgers
from benchmarks.pipeline import raw_verifies_per_second
from simulators.demo.house import house

PER_SECOND = 100.0
PAYMENTS = 10
LIMITS = {"peer": {"messages_per_minute": 1_000_000}, "radio": {"messages_per_minute": 1_000_000}}
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - a fresh folder in it
COMMIT_BYTES = 12_288
"""What one commit of such an upload writes to the WAL: three pages."""


def fsync_seconds(folder: Path, times: int = 200) -> list[float]:
    """Appends of a commit's size, each written through; sorted."""
    took = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(bytes(COMMIT_BYTES))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - began)
    return sorted(took)


async def measure(folder: Path, seconds: float) -> Answers:
    """The load after a warm-up of a second, whose answers do not count."""
    uploads = ledgers(int((seconds + 1) * PER_SECOND), PAYMENTS)
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else folder) as elsewhere:
        return await _measure(folder, Path(elsewhere) / "coordinator.db", uploads)


async def _measure(folder: Path, elsewhere: Path, uploads: Sequence[Ledger]) -> Answers:
    warm = int(PER_SECOND)
    async with house(folder, Random(1), elsewhere, limits=LIMITS) as here:
        await at_rate(here.http, uploads[:warm], PER_SECOND, Answers())
        answers = Answers()
        await at_rate(here.http, uploads[warm:], PER_SECOND, answers)
        list(answers.verified(here.gateway_key))
    return answers


def figures(quick: bool) -> list[Figure]:
    """p50 and p99, in milliseconds."""
    with tempfile.TemporaryDirectory(prefix="offgrid-ack-") as name:
        fsync_s = median(fsync_seconds(Path(name)))
        verify_s = (PAYMENTS + 1) / raw_verifies_per_second()
        answers = asyncio.run(measure(Path(name), 3 if quick else 20))
    took = sorted(answers.seconds)
    floor_ms = (fsync_s + verify_s) * 1e3
    return [
        Figure("fsync, median", "ms", fsync_s * 1e3),
        Figure(f"{PAYMENTS + 1} verifications", "ms", verify_s * 1e3),
        Figure("answered at 100/s", "", len(took)),
        Figure("refused", "", len(answers.refused), 0),
        Figure("ack p50", "ms", median(took) * 1e3, 3.5 * floor_ms),
        Figure("ack p99", "ms", took[int(len(took) * 0.99)] * 1e3, 10 * floor_ms),
    ]
