"""Snapshots a second through recorder and store, beside what libsodium alone would allow.

    python -m benchmarks.pipeline [--snapshots 4000] [--json FILE]

L is the number of raw libsodium verifications one core does in a second, divided by the 11 signatures of a
snapshot of 10 transactions, measured in the same run. CPU figures are of this process alone, so they stand
also where the machine has other things to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

from nacl.bindings import crypto_sign_open
from nacl.signing import SigningKey

from gateway.core.message.downlink import Promise
from gateway.core.message.uplink import decode_uplink
from gateway.core.submission import Upload
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.model import Source, Stamp, TimeQuality
from gateway.services.recorder import Recorded, Recorder
from gateway.store import Store, StoreSettings
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

TRANSACTIONS = 10
SIGNATURES = TRANSACTIONS + 1
IN_FLIGHT = 128
NOW_MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took: wall and CPU seconds of this process."""

    wall_s: float
    cpu_s: float

    @classmethod
    def since(cls, wall: float, cpu: float) -> Cost:
        return cls(time.perf_counter() - wall, time.process_time() - cpu)


class Pipeline:
    """A recorder and a store on a real file; ``async with``."""

    def __init__(self, path: Path, verify_threads: int) -> None:
        key = SigningKey(sha256(b"benchmark gateway").digest())
        self.store = Store(StoreSettings(path=path, gateway_id="benchmark", free_bytes=lambda: 1 << 40))
        self._recorder = Recorder(
            self.store,
            sign=lambda text: key.sign(text).signature,
            now=lambda: Stamp(int(time.time() * 1000), TimeQuality.AGREED),
            monotonic=time.monotonic,
            verify_threads=verify_threads,
        )
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Pipeline:
        await self._open.enter_async_context(self.store)
        await self._open.enter_async_context(self._recorder)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def send(self, message: bytes) -> Recorded:
        """As an intake does it: recognise the bytes, else decode and record."""
        fingerprint = sha256(message).digest()
        known = self._recorder.remembered(fingerprint)
        if known is not None:
            return known
        decoded = decode_uplink(message, max_bytes=1 << 20)
        assert isinstance(decoded, SnapshotUpload | TransactionsUpload)  # noqa: S101
        source = Source(radio="bench", peer="here", correlation_id="b")
        return await self._recorder.record(Upload(message=decoded, source=source, fingerprint=fingerprint))

    async def saturate(self, messages: Sequence[bytes]) -> Cost:
        """All of them, with :data:`IN_FLIGHT` on their way at any time."""
        waiting = iter(messages)
        wall, cpu = time.perf_counter(), time.process_time()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._send_each(waiting))
        return Cost.since(wall, cpu)

    async def offer(self, messages: Sequence[bytes], per_second: float) -> list[float]:
        """At a fixed rate; returns the seconds from sending to promise, sorted."""
        latencies: list[float] = []
        start = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for n, message in enumerate(messages):
                await asyncio.sleep(max(start + n / per_second - time.perf_counter(), 0))
                tasks.create_task(self._timed(message, latencies))
        return sorted(latencies)

    async def _send_each(self, messages: Iterable[bytes]) -> None:
        for message in messages:
            await self._promised(message)

    async def _timed(self, message: bytes, latencies: list[float]) -> None:
        began = time.perf_counter()
        await self._promised(message)
        latencies.append(time.perf_counter() - began)

    async def _promised(self, message: bytes) -> None:
        recorded = await self.send(message)
        if not isinstance(recorded.answer, Promise):
            raise RuntimeError(f"refused: {recorded.answer}")


def snapshots(count: int, salt: str = "") -> list[bytes]:
    """Hand-overs of as many wallets, each with its first payments."""
    return [_snapshot(Wallet(sha256(f"{salt}{n}".encode()).digest())) for n in range(count)]


def _snapshot(wallet: Wallet) -> bytes:
    for n in range(TRANSACTIONS):
        wallet.pay(f"{n:016x}", n + 0.5, NOW_MS + n)
    return snapshot_cbor(wallet.hand_over(NOW_MS))


def raw_verifies_per_second(seconds: float = 1.0) -> float:
    """One core, libsodium called as barely as Python can; per second of CPU."""
    key = SigningKey(bytes(32))
    signed = bytes(key.sign(b"x" * 120))
    public, count = bytes(key.verify_key), 0
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        for _ in range(100):
            crypto_sign_open(signed, public)
        count += 100
    return count / (time.thread_time() - began)


async def measure_saturated(messages: Sequence[bytes], verify_threads: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with Pipeline(Path(folder) / "log.db", verify_threads) as pipeline:
            cost = await pipeline.saturate(messages)
            figures = await pipeline.store.figures()
            again = await pipeline.saturate(messages[-2000:])
    duplicates = len(messages[-2000:])
    return {
        "per_second": len(messages) / cost.wall_s,
        "cpu_us": cost.cpu_s / len(messages) * 1e6,
        "cores_used": cost.cpu_s / cost.wall_s,
        "fsyncs_per_snapshot": figures.commits_since_opening / len(messages),
        "bytes_per_transaction": figures.file_bytes / figures.verified_transactions,
        "duplicate_cpu_ratio": (again.cpu_s / duplicates) / (cost.cpu_s / len(messages)),
    }


async def measure_duplicates_after_restart(messages: Sequence[bytes]) -> dict[str, float]:
    """What a duplicate costs whose answer is no longer in memory: found on disk, no signature checked."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log.db"
        async with Pipeline(path, 1) as pipeline:
            new = await pipeline.saturate(messages)
        async with Pipeline(path, 1) as pipeline:
            again = await pipeline.saturate(messages)
    return {"durable_duplicate_cpu_ratio": again.cpu_s / new.cpu_s}


async def measure_calm(messages: Sequence[bytes], per_second: float) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        async with Pipeline(Path(folder) / "log.db", 1) as pipeline:
            latencies = await pipeline.offer(messages, per_second)
            figures = await pipeline.store.figures()
    return {
        "p50_ms": median(latencies) * 1e3,
        "p99_ms": latencies[int(len(latencies) * 0.99)] * 1e3,
        "fsyncs_per_snapshot": figures.commits_since_opening / len(messages),
    }


async def measure(count: int) -> dict[str, object]:
    verifies = raw_verifies_per_second()
    bound = verifies / SIGNATURES
    messages = snapshots(count)
    one = await measure_saturated(messages, 1)
    two = await measure_saturated(messages, 2)
    calm = await measure_calm(messages[:500], 100.0)
    durable = await measure_duplicates_after_restart(messages[:1000])
    return {
        "raw_verifies_per_second_per_core": verifies,
        "L": bound,
        "one_thread": one,
        "one_thread_of_L": one["per_second"] / bound,
        "two_threads": two,
        "two_threads_of_2L": two["per_second"] / (2 * bound),
        "cpu_beside_verification_us": one["cpu_us"] - 1e6 / bound,
        "calm_100_per_second": calm,
        **durable,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--snapshots", type=int, default=4000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report = asyncio.run(measure(arguments.snapshots))
    text = json.dumps(report, indent=2)
    sys.stdout.write(text + "\n")
    if arguments.json is not None:
        arguments.json.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
