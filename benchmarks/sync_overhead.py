"""What sync costs on the wire above the compressed objects, and what a day costs on which nothing happens.

    python -m benchmarks.sync_overhead [--payments 1500] [--json FILE]

Real uploads of a simulated season go through recorder, store and link to the reference coordinator on
loopback; bytes are those of WebSocket frames in both directions, without TLS and TCP below them. The objects'
own share is what one zstd frame over exactly the objects of each batch takes. A receipt goes without its
transaction's identity (32 bytes) where that stands right before it, so the link may well carry less than the
compressed objects; `framing` is therefore told too: all that is neither offered nor wanted nor an object as
it is sent. Lists are told apart: they are content too, though no objects.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from nacl.signing import SigningKey
from zstandard import ZstdDecompressor

from benchmarks.figure import Figure
from gateway.core.cbor import decode
from gateway.core.message.uplink import decode_uplink
from gateway.core.pin import CoordinatorKey
from gateway.core.submission import Upload
from gateway.core.sync import Local
from gateway.core.sync.batch import Offered, pack
from gateway.core.timekeeper import Timekeeper
from gateway.core.wallet.upload import SnapshotUpload
from gateway.model import Batch, Source, Stamp, TimeQuality
from gateway.services.recorder import Recorder
from gateway.services.sync_link import LinkFigures, LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from simulators.coordinator import Coordinator
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor

GATEWAY = "bench-1"
KEY = SigningKey(sha256(b"benchmark").digest())
BATCHES = (10, 32, 256)
HEARTBEATS = 100
DAY_S = 86_400
HEARTBEAT_S = 120  # the configuration's default
SERVER_PING_BYTES = 2 + 4 + 2 + 4 + 4  # RFC 6455: a ping with four bytes, its masked pong
SERVER_PING_S = 120

MAX_PER_OBJECT = 10.0
MAX_PER_SUBMISSION = 32.0
MAX_IDLE_DAY = 100_000


@dataclass(frozen=True)
class Overhead:
    """Bytes. An object costs ``per_object`` to be offered and wanted; all else goes by submission."""

    batch: int
    submissions: int
    objects: int
    compressed_objects: int
    total: int
    per_object: float
    per_submission: float
    framing_per_submission: float  # above the objects as they are sent: shortened, then compressed
    lists_per_submission: float  # of which list differences


@dataclass(frozen=True)
class IdleDay:
    """Bytes of a day, both ways, and of one heartbeat with its answer."""

    opening: int
    heartbeat: float
    day: int


class HeartbeatClock:
    """Real time, but a wait of the configured heartbeat passes at once."""

    def monotonic(self) -> float:
        return time.monotonic()

    def unix_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 2000)


async def record_season(store: Store, payments: int) -> None:
    """Each wallet hands over its whole ledger whenever ten payments have come to it."""
    recorder = Recorder(
        store,
        sign=lambda text: KEY.sign(text).signature,
        now=lambda: Stamp(time.time_ns() // 1_000_000, TimeQuality.AGREED),
        monotonic=time.monotonic,
    )
    season = Season(20)
    source = Source(radio="lora", peer="bench", correlation_id="bench")
    async with recorder:
        for wallet in season.play(payments, every=10):
            message = snapshot_cbor(wallet.hand_over(season.now_ms))
            upload = cast(SnapshotUpload, decode_uplink(message, max_bytes=8 << 20))
            await recorder.record(Upload(message=upload, source=source, fingerprint=sha256(message).digest()))


class Linked:
    """A link to a coordinator that holds nothing yet, and a way to wait for what it counts."""

    def __init__(self, store: Store, coordinator: Coordinator, batch: int) -> None:
        clock = HeartbeatClock()
        self._changed = asyncio.Event()
        self.link = SyncLink(
            LinkSettings(url=coordinator.ws_url, max_entries=batch, heartbeat_s=HEARTBEAT_S),
            Local(
                gateway_id=GATEWAY,
                key=bytes(KEY.verify_key),
                sign=lambda message: KEY.sign(message).signature,
                coordinator=CoordinatorKey.parse(coordinator.vkey),
                instance=bytes(16),
                version="0.1.0",
            ),
            store,
            Timekeeper(clock),
            clock,
            status=self._status,
            on_change=self._changed.set,
        )

    @property
    def figures(self) -> LinkFigures:
        return self.link.figures

    @property
    def bytes(self) -> int:
        return self.figures.rx_bytes + self.figures.tx_bytes

    async def until(self, true: Callable[[LinkFigures], bool]) -> None:
        while not true(self.figures):
            self._changed.clear()
            await self._changed.wait()

    def _status(self) -> dict[str, object]:
        self._changed.set()
        return {
            "health": 100,
            "reasons": [],
            "version": "0.1.0",
            "backlog": 0,
            "oldest_s": 0,
            "radios": {"lora": "ready", "http": "ready"},
        }


@asynccontextmanager
async def linked(store: Store, folder: Path, batch: int) -> AsyncIterator[Linked]:
    async with Coordinator(db=folder / f"coordinator{batch}.db", token="bench") as coordinator:  # noqa: S106 - nobody else
        await coordinator.register(GATEWAY, bytes(KEY.verify_key))
        linked = Linked(store, coordinator, batch)
        task = asyncio.create_task(linked.link.run())
        try:
            yield linked
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def measure_overhead(folder: Path, payments: int, batch: int, idle: IdleDay) -> Overhead:
    settings = StoreSettings(path=folder / f"{batch}.db", gateway_id=GATEWAY, free_bytes=lambda: 1 << 40)
    async with Store(settings) as store:
        await record_season(store, payments)
        size = (await store.head()).size
        objects = compressed = shortened = with_lists = offers = 0
        at = 0
        while at < size:
            read = await store.read_batch(at, batch)
            bodies = [item.body for entry in read.entries for item in entry.objects]
            objects += len(bodies)
            compressed += len(pack(bodies))
            sent, lists = sent_of(read)
            shortened += len(pack(sent))
            with_lists += len(pack([lists, sent]))
            offers += 8 * len(bodies) + -(-len(bodies) // 8)
            at = read.end
        async with linked(store, folder, batch) as link:
            await link.until(lambda figures: figures.acked_size >= size)
            beats = link.figures.heartbeats - 1
            total = link.bytes - idle.opening - round(beats * idle.heartbeat)
    rest = total - compressed - offers
    return Overhead(
        batch=batch,
        submissions=size,
        objects=objects,
        compressed_objects=compressed,
        total=total,
        per_object=offers / objects,
        per_submission=rest / size,
        framing_per_submission=(total - shortened - offers) / size,
        lists_per_submission=(with_lists - shortened) / size,
    )


def sent_of(batch: Batch) -> tuple[list[bytes], bytes]:
    """The objects as ENTRIES carries them, and the list differences end to end."""
    offered = Offered.of(batch, bytes(32))
    everything = (1 << len(offered.objects)) - 1
    packed = offered.packed_entries(everything.to_bytes(-(-len(offered.objects) // 8), "little"))
    _, _, sent = cast(list[Any], decode(ZstdDecompressor().decompress(packed)))
    lists = b"".join(bytes(2) + entry.list.ops for entry in batch.entries if entry.list is not None)
    return sent, lists


async def measure_idle(folder: Path) -> IdleDay:
    settings = StoreSettings(path=folder / "idle.db", gateway_id=GATEWAY, free_bytes=lambda: 1 << 40)
    async with Store(settings) as store, linked(store, folder, 1) as link:
        await link.until(lambda figures: figures.heartbeats >= 1)
        opening, first = link.bytes, link.figures.heartbeats
        await link.until(lambda figures: figures.heartbeats >= first + HEARTBEATS)
        heartbeat = (link.bytes - opening) / (link.figures.heartbeats - first)
    pings = DAY_S / SERVER_PING_S * SERVER_PING_BYTES
    return IdleDay(opening, heartbeat, round(DAY_S / HEARTBEAT_S * heartbeat + pings))


async def measure(payments: int) -> tuple[list[Overhead], IdleDay]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        idle = await measure_idle(folder)
        return [await measure_overhead(folder, payments, batch, idle) for batch in BATCHES], idle


def figures(quick: bool) -> list[Figure]:
    """By the size of the batches, and of an idle day."""
    overheads, idle = asyncio.run(measure(400 if quick else 1500))
    told = []
    for one in overheads:
        batch = f"batches of {one.batch}"
        told += [
            Figure(f"{batch}: an object", "B", one.per_object, MAX_PER_OBJECT),
            Figure(f"{batch}: a submission", "B", one.per_submission, MAX_PER_SUBMISSION),
            Figure(f"{batch}:   above the objects as sent", "B", one.framing_per_submission),
            Figure(f"{batch}:   of which its list", "B", one.lists_per_submission),
            Figure(f"{batch}: compressed objects, each", "B", one.compressed_objects / one.objects),
        ]
    return [*told, Figure("an idle day", "B", idle.day, MAX_IDLE_DAY)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--payments", type=int, default=1500)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    overheads, idle = asyncio.run(measure(arguments.payments))
    for one in overheads:
        sys.stdout.write(
            f"batches of {one.batch:3}: {one.submissions} submissions, {one.objects} objects, "
            f"{one.compressed_objects} B compressed, {one.total} B on the wire: "
            f"{one.per_object:.2f} B an object (limit {MAX_PER_OBJECT}), "
            f"{one.per_submission:.1f} B a submission (limit {MAX_PER_SUBMISSION}); "
            f"framing {one.framing_per_submission:.1f} B, {one.lists_per_submission:.1f} of them its list\n"
        )
    sys.stdout.write(
        f"idle day: {idle.day} B (limit {MAX_IDLE_DAY}), opening {idle.opening} B, "
        f"heartbeat and answer {idle.heartbeat:.1f} B\n"
    )
    if arguments.json:
        document = {"overhead": [asdict(one) for one in overheads], "idle": asdict(idle)}
        arguments.json.write_text(json.dumps(document, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
