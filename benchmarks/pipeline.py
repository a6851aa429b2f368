"""Snapshots a second from decoding to the coordinator's ACK, beside what libsodium alone would allow.

    python -m benchmarks pipeline [--quick]

L is the number of raw libsodium verifications one core does in a second, divided by the 11 signatures of a
snapshot of 10 transactions: measured in the same run, over the very signatures that the snapshots bring. L is
by CPU time, the rates are by the wall clock: another load on the machine makes the ratios smaller, never
larger. CPU figures are of one process, so they stand also where the machine has other things to do.
"""

from __future__ import annotations

import asyncio
import gc
import os
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from statistics import median

from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.signing import SigningKey

from benchmarks.far_end import FarEnd, coordinator, on
from benchmarks.figure import Figure
from gateway.app import collector
from gateway.core.message.downlink import Promise
from gateway.core.message.uplink import decode_uplink
from gateway.core.pin import CoordinatorKey
from gateway.core.submission import Upload
from gateway.core.sync import Local
from gateway.core.timekeeper import Timekeeper
from gateway.core.wallet.transaction import Transaction
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.model import Source, Stamp, TimeQuality
from gateway.services.recorder import Recorded, Recorder
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from gateway.systemclock import SystemClock
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

GATEWAY = "benchmark"
KEY = SigningKey(sha256(b"benchmark gateway").digest())
SECRET = bytes(KEY) + bytes(KEY.verify_key)
TRANSACTIONS = 10
SIGNATURES = TRANSACTIONS + 1
IN_FLIGHT = 128
NOW_MS = 1_790_000_000_000
ACKED_WITHIN_S = 120.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What it took: wall and CPU seconds of this process."""

    wall_s: float
    cpu_s: float


class Pipeline:
    """A recorder and a store on a real file; ``async with``."""

    def __init__(self, path: Path, verify_threads: int = 1) -> None:
        self.store = Store(StoreSettings(path=path, gateway_id=GATEWAY, free_bytes=lambda: 1 << 40))
        self._recorder = Recorder(
            self.store,
            sign=_sign,
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
        assert isinstance(decoded, SnapshotUpload | TransactionsUpload)  # noqa: S101 - our own
        source = Source(radio="bench", peer="here", correlation_id="b")
        return await self._recorder.record(Upload(message=decoded, source=source, fingerprint=fingerprint))

    async def saturate(self, messages: Sequence[bytes]) -> Cost:
        """All of them, with :data:`IN_FLIGHT` on their way at any time, up to their promises."""
        began = time.perf_counter(), time.process_time()
        waiting = iter(messages)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(IN_FLIGHT):
                tasks.create_task(self._send_each(waiting))
        return Cost(time.perf_counter() - began[0], time.process_time() - began[1])

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


def raw_verifies_per_second(messages: Sequence[bytes] = ()) -> float:
    """One core, libsodium called as barely as Python can, over the signatures of these; by CPU time."""
    messages = messages or snapshots(100)
    signed = [(signature + text, key) for message in messages for key, signature, text in _signed(message)]
    began = time.thread_time()
    for text, key in signed:
        crypto_sign_open(text, key)
    return len(signed) / (time.thread_time() - began)


def _signed(message: bytes) -> Iterator[tuple[bytes, bytes, bytes]]:
    upload = decode_uplink(message, max_bytes=1 << 20)
    assert isinstance(upload, SnapshotUpload)  # noqa: S101 - our own
    yield upload.key, upload.snapshot.signature, upload.snapshot.signed_text
    for item in upload.items:
        assert isinstance(item.transaction, Transaction)  # noqa: S101 - our own
        yield upload.key, item.transaction.signature, item.transaction.signed_text


@contextmanager
def as_the_daemon() -> Iterator[None]:
    """The collector as the daemon sets it, and what was built for the measurement out of its way."""
    before = gc.get_threshold()
    collector.calm()
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@asynccontextmanager
async def linked(store: Store, far: FarEnd) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """A link to the coordinator; gives what waits until it has acked so many leaves."""
    acked = asyncio.Event()
    clock = SystemClock()
    link = SyncLink(
        LinkSettings(url=far.ws_url),
        Local(
            gateway_id=GATEWAY,
            key=bytes(KEY.verify_key),
            sign=_sign,
            coordinator=CoordinatorKey.parse(far.vkey),
            instance=bytes(16),
            version="0",
        ),
        store,
        Timekeeper(clock),
        clock,
        status=lambda: {
            "health": 100,
            "reasons": [],
            "version": "0",
            "backlog": 0,
            "oldest_s": 0,
            "radios": {},
        },
        on_change=acked.set,
    )

    async def until(size: int) -> None:
        while link.figures.acked_size < size:
            acked.clear()
            await acked.wait()

    task = asyncio.create_task(link.run())
    try:
        while not link.figures.connected:
            acked.clear()
            await acked.wait()
        yield until
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def measure_to_acks(
    messages: Sequence[bytes], verify_threads: int, *, acks_only: bool = False, apart: bool = False
) -> dict[str, float]:
    """From the first sending to the ACK that covers all; ``apart``: gateway and coordinator a core each."""
    first, *others = sorted(os.sched_getaffinity(0))
    key = bytes(KEY.verify_key)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        there = coordinator(folder, GATEWAY, key, acks_only=acks_only, cores=others[:1] if apart else ())
        far = await stack.enter_async_context(there)
        stack.enter_context(on([first] if apart else ()))
        pipeline = await stack.enter_async_context(Pipeline(folder / "log.db", verify_threads))
        until_acked = await stack.enter_async_context(linked(pipeline.store, far))
        with as_the_daemon():
            wall, cpu, far_cpu = time.perf_counter(), time.process_time(), far.cpu_s()
            await pipeline.saturate(messages)
            await until_acked(len(messages))
            wall, cpu, far_cpu = time.perf_counter() - wall, time.process_time() - cpu, far.cpu_s() - far_cpu
        figures = await pipeline.store.figures()
    return {
        "per_second": len(messages) / wall,
        "cpu_us": cpu / len(messages) * 1e6,
        "coordinator_cpu_us": far_cpu / len(messages) * 1e6,
        "fsyncs": figures.syncs_since_opening / len(messages),
        "bytes_per_transaction": figures.file_bytes / figures.verified_transactions,
    }


async def measure_duplicates(messages: Sequence[bytes]) -> tuple[float, float]:
    """CPU of a duplicate beside that of a new one: while its answer is remembered, and after a restart."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "log.db"
        async with Pipeline(path) as pipeline:
            with as_the_daemon():
                new = await pipeline.saturate(messages)
                remembered = await pipeline.saturate(messages)
        async with Pipeline(path) as pipeline:
            with as_the_daemon():
                found = await pipeline.saturate(messages)
    return remembered.cpu_s / new.cpu_s, found.cpu_s / new.cpu_s


async def measure_calm(messages: Sequence[bytes], per_second: float) -> tuple[list[float], float]:
    """At a rate far below what is possible: sorted seconds to the promise, and fsyncs a snapshot."""
    with tempfile.TemporaryDirectory() as name:
        async with Pipeline(Path(name) / "log.db") as pipeline:
            latencies = await pipeline.offer(messages, per_second)
            figures = await pipeline.store.figures()
    return latencies, figures.syncs_since_opening / len(messages)


def figures(quick: bool) -> list[Figure]:
    """Each rate beside what is asked of it, in L."""
    messages = snapshots(1500 if quick else 5000)
    bound = raw_verifies_per_second(messages[:300]) / SIGNATURES
    one = asyncio.run(measure_to_acks(messages, 1, apart=True))
    two = asyncio.run(measure_to_acks(messages, 2, acks_only=True))
    bound_after = raw_verifies_per_second(messages[:300]) / SIGNATURES
    bound = (bound + bound_after) / 2
    remembered, found = asyncio.run(measure_duplicates(messages[:1000]))
    latencies, fsyncs = asyncio.run(measure_calm(messages[:500], 100.0))
    return [
        Figure("L: snapshots that libsodium allows a core", "1/s", bound),
        Figure("one verify thread, verifying coordinator", "1/s", one["per_second"], 0.65 * bound, "more"),
        Figure("  CPU of the gateway", "us", one["cpu_us"]),
        Figure("  CPU of the coordinator", "us", one["coordinator_cpu_us"]),
        Figure("two verify threads, acks only", "1/s", two["per_second"], 0.60 * 2 * bound, "more"),
        Figure("  CPU of the gateway", "us", two["cpu_us"]),
        Figure("  CPU of the coordinator", "us", two["coordinator_cpu_us"]),
        Figure("CPU of a duplicate, remembered", "of new", remembered, 0.03),
        Figure("CPU of a duplicate after a restart", "of new", found),
        Figure("fsyncs a snapshot, saturated", "", one["fsyncs"], 0.05),
        Figure("fsyncs a snapshot at 100/s", "", fsyncs, 1.05),
        Figure("bytes on disk a transaction", "B", one["bytes_per_transaction"]),
        Figure("promise at 100/s, p50", "ms", median(latencies) * 1e3),
        Figure("promise at 100/s, p99", "ms", latencies[int(len(latencies) * 0.99)] * 1e3),
    ]


def _sign(text: bytes) -> bytes:
    """As the daemon's identity does it."""
    return crypto_sign(text, SECRET)[:64]
