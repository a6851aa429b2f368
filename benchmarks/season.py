"""A season of payments: every transaction is verified, stored and sent once, however often ledgers bring it.

    python -m benchmarks.season [--wallets 50] [--payments 20000] [--every 40]

Each wallet hands over whenever its ledger has grown by so many payments: once as the wallet's own JSON, the
whole ledger each time, and once as CBOR after what the gateway holds. Uploads go through recorder, store and
link to the reference coordinator. What a hand-over takes is told beside the ledger's size at that time.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

from nacl import bindings
from nacl.signing import SigningKey

from benchmarks.figure import Figure
from gateway.core.message.downlink import Promise, encode_downlink
from gateway.core.message.uplink import decode_uplink
from gateway.core.message.wallet_json import decode_snapshot
from gateway.core.pin import CoordinatorKey
from gateway.core.submission import Upload
from gateway.core.sync import Local
from gateway.core.timekeeper import Timekeeper
from gateway.core.wallet import signature
from gateway.core.wallet.upload import SnapshotUpload
from gateway.model import Source
from gateway.services.recorder import Recorder
from gateway.services.sync_link import LinkSettings, SyncLink
from gateway.store import Store, StoreSettings
from gateway.systemclock import SystemClock
from simulators.coordinator import Coordinator
from simulators.wallets.receipts import verify_promise
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor, snapshot_json
from simulators.wallets.wallet import HandOver, Wallet

GATEWAY = "bench-season"
ORIGIN = f"offgrid/{GATEWAY}/1"
KEY = SigningKey(sha256(b"season").digest())
MAX_BYTES = 8 << 20
KEY_AND_SIGNATURE = 32 + 64
NO_GROWTH = 1.25
SIZES = (0, 100, 200, 400, 600, 10_000)
"""Ledger sizes between which hand-overs are summed up for the table."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """Payments in the ledger, those new to the gateway, bytes of it, seconds until it was promised."""

    ledger: int
    new: int
    upload_bytes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Bytes:
    """After so many hand-overs: bytes of the database, and on the wire in both directions."""

    hand_overs: int
    database: int
    wire: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """A whole season. `checked`: how often each signature was verified by the gateway."""

    handed: Sequence[HandedOver]
    payments: int
    checked: Counter[bytes]
    verified_transactions: int
    entries: int
    half: Bytes
    whole: Bytes
    coordinator: dict[str, Any]
    roots_equal: bool


Encode = Callable[[HandOver, int], bytes]


def whole_json(over: HandOver, base: int) -> bytes:
    return snapshot_json(over).encode()


def incremental_cbor(over: HandOver, base: int) -> bytes:
    return snapshot_cbor(over, base)


INCREMENTAL = "what is new, CBOR"
VARIANTS: dict[str, Encode] = {"whole JSON": whole_json, INCREMENTAL: incremental_cbor}


@contextmanager
def counted_verifications() -> Iterator[Counter[bytes]]:
    """Counts what libsodium is asked, beneath the gateway's code."""
    checked: Counter[bytes] = Counter()
    real = bindings.crypto_sign_open

    def counting(signed: bytes, pk: bytes) -> bytes:
        checked[pk + signed] += 1
        return real(signed, pk)

    with patch.object(signature, "crypto_sign_open", counting):
        yield checked


def repeated(checked: Counter[bytes], colons: int) -> int:
    """Texts with so many colons that were checked more than once: a transaction has five, a receipt two."""
    return sum(n > 1 for signed, n in checked.items() if signed[KEY_AND_SIGNATURE:].count(b":") == colons)


async def play(folder: Path, encode: Encode, wallets: int, payments: int, every: int) -> Outcome:
    """The season, handed over one upload after the other while the link is up; ends when all is acked."""
    clock = SystemClock()
    timekeeper = Timekeeper(clock)
    settings = StoreSettings(path=folder / "gateway.db", gateway_id=GATEWAY, free_bytes=lambda: 1 << 40)
    token = "bench"  # noqa: S105 - of this run alone
    with counted_verifications() as checked:
        async with (
            Coordinator(db=folder / "coordinator.db", token=token) as coordinator,
            Store(settings) as store,
        ):
            await coordinator.register(GATEWAY, bytes(KEY.verify_key))
            link = _link(store, coordinator, timekeeper, clock)
            linked = asyncio.create_task(link.run())
            async with Recorder(store, sign=_sign, now=timekeeper.now, monotonic=clock.monotonic) as recorder:
                season = Season(wallets)
                handing = _hand_over_all(recorder, season, season.play(payments, every), encode)
                handed = [one async for one in _first(handing, payments // every)]
                half = await _bytes(len(handed), store, coordinator, link)
                handed += [one async for one in handing]
            whole = await _bytes(len(handed), store, coordinator, link)
            head, figures, counts = await store.head(), await store.figures(), await coordinator.counts()
            linked.cancel()
            await asyncio.gather(linked, return_exceptions=True)
    told = counts["gateways"][GATEWAY]
    return Outcome(
        handed=handed,
        payments=payments,
        checked=checked,
        verified_transactions=figures.verified_transactions,
        entries=head.size,
        half=half,
        whole=whole,
        coordinator=counts,
        roots_equal=told["origins"][ORIGIN]["root"] == head.root.hex(),
    )


async def _bytes(hand_overs: int, store: Store, coordinator: Coordinator, link: SyncLink) -> Bytes:
    """Once the coordinator holds all."""
    size = (await store.head()).size
    await coordinator.until(lambda counts: _size(counts) == size)
    wire = link.figures.rx_bytes + link.figures.tx_bytes
    return Bytes(hand_overs, (await store.figures()).file_bytes, wire)


async def _first(handing: AsyncIterator[HandedOver], count: int) -> AsyncIterator[HandedOver]:
    for _ in range(count):
        yield await anext(handing)


async def _hand_over_all(
    recorder: Recorder, season: Season, wallets: Iterator[Wallet], encode: Encode
) -> AsyncIterator[HandedOver]:
    held: Counter[str] = Counter()
    for wallet in wallets:
        over = wallet.hand_over(season.now_ms)
        body = encode(over, held[wallet.device_id])
        began = time.perf_counter()
        new = await _hand_over(recorder, wallet, over, body)
        yield HandedOver(len(over.payments), new, len(body), time.perf_counter() - began)
        held[wallet.device_id] = len(over.payments)


async def _hand_over(recorder: Recorder, wallet: Wallet, over: HandOver, body: bytes) -> int:
    """As an intake does it; the promise is verified. How many transactions were new."""
    decoded = decode_snapshot(body, max_bytes=MAX_BYTES) if body[:1] == b"{" else _decoded(body)
    source = Source(radio="bench", peer="here", correlation_id="b")
    upload = Upload(message=decoded, source=source, fingerprint=sha256(body).digest())
    recorded = await recorder.record(upload)
    if not isinstance(recorded.answer, Promise):
        raise RuntimeError(f"{wallet.device_id} was answered {recorded.answer}")
    verify_promise(encode_downlink(recorded.answer), bytes(KEY.verify_key), [over.content])
    return recorded.tally.verified + recorded.tally.unverified


def _decoded(body: bytes) -> SnapshotUpload:
    message = decode_uplink(body, max_bytes=MAX_BYTES)
    if not isinstance(message, SnapshotUpload):
        raise TypeError("a snapshot expected")
    return message


def _link(store: Store, coordinator: Coordinator, timekeeper: Timekeeper, clock: SystemClock) -> SyncLink:
    local = Local(
        gateway_id=GATEWAY,
        key=bytes(KEY.verify_key),
        sign=_sign,
        coordinator=CoordinatorKey.parse(coordinator.vkey),
        instance=bytes(16),
        version="bench",
    )
    settings = LinkSettings(url=coordinator.ws_url)
    return SyncLink(settings, local, store, timekeeper, clock, status=lambda: {"health": 100})


def _sign(text: bytes) -> bytes:
    return bytes(KEY.sign(text).signature)


def _size(counts: dict[str, Any]) -> int:
    return int(counts["gateways"][GATEWAY]["origins"].get(ORIGIN, {"size": 0})["size"])


def by_size(handed: Sequence[HandedOver]) -> list[tuple[str, list[HandedOver]]]:
    """Hand-overs by the size of their ledger; sizes that none had are left out."""
    groups = []
    for low, high in pairwise(SIZES):
        group = [one for one in handed if low < one.ledger <= high]
        if group:
            groups.append((f"{low + 1}–{max(one.ledger for one in group)}", group))
    return groups


def once(outcome: Outcome, variant: str) -> list[Figure]:
    """The counts that prove it."""
    told = outcome.coordinator["gateways"][GATEWAY]
    at_coordinator = outcome.coordinator["transactions"]
    return [
        Figure(f"{variant}: hand-overs", "", len(outcome.handed)),
        Figure(f"{variant}: payments verified twice", "", repeated(outcome.checked, 5), 0),
        Figure(f"{variant}: receipts verified twice", "", repeated(outcome.checked, 2)),
        Figure(f"{variant}: payments not stored", "", outcome.payments - outcome.verified_transactions, 0),
        Figure(
            f"{variant}: payments not at the coordinator",
            "",
            outcome.payments - at_coordinator["verified"],
            0,
        ),
        Figure(f"{variant}: objects sent twice", "", told["duplicates"] + told["repeated"], 0),
        Figure(f"{variant}: objects not sent", "", told["objects"] - told["objects_received"], 0),
        Figure(f"{variant}: roots equal", "", float(outcome.roots_equal), 1, "more"),
        Figure(f"{variant}: database, bytes a payment", "B", outcome.whole.database / outcome.payments),
        Figure(f"{variant}: wire, bytes a payment", "B", outcome.whole.wire / outcome.payments),
    ]


def growth(outcome: Outcome, variant: str) -> list[Figure]:
    """What a hand-over takes, by the size of its ledger: medians."""
    groups = by_size(outcome.handed)
    figures = []
    for sizes, group in groups:
        figures += [
            Figure(f"{variant}: ledgers of {sizes}, time", "ms", median(one.seconds for one in group) * 1e3),
            Figure(f"{variant}: ledgers of {sizes}, new payments", "", median(one.new for one in group)),
            Figure(f"{variant}: ledgers of {sizes}, upload", "B", median(one.upload_bytes for one in group)),
        ]
    if variant == INCREMENTAL:  # the whole ledger as JSON has to be read at least
        times = [median(one.seconds for one in group) for _, group in groups]
        figures.append(Figure(f"{variant}: time, largest by smallest", "", times[-1] / times[0], NO_GROWTH))
    return figures + halves(outcome, variant)


def halves(outcome: Outcome, variant: str) -> list[Figure]:
    """A hand-over of the later half beside one of the first: the ledgers are three times as long."""
    half, whole = outcome.half, outcome.whole
    later = whole.hand_overs - half.hand_overs
    database = (whole.database - half.database) / later / (half.database / half.hand_overs)
    wire = (whole.wire - half.wire) / later / (half.wire / half.hand_overs)
    return [
        Figure(f"{variant}: database a hand-over, later by sooner", "", database, NO_GROWTH),
        Figure(f"{variant}: wire a hand-over, later by sooner", "", wire, NO_GROWTH),
    ]


def measure(wallets: int, payments: int, every: int) -> list[Figure]:
    """Both variants, one after the other."""
    figures: list[Figure] = []
    for variant, encode in VARIANTS.items():
        with tempfile.TemporaryDirectory(prefix="offgrid-season-") as folder:
            outcome = asyncio.run(play(Path(folder), encode, wallets, payments, every))
        figures += once(outcome, variant) + growth(outcome, variant)
    return figures


def figures(quick: bool) -> list[Figure]:
    """A season of 20,000 payments, or a tenth of it."""
    return measure(50, 2_000 if quick else 20_000, 40)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--wallets", type=int, default=50)
    parser.add_argument("--payments", type=int, default=20_000)
    parser.add_argument("--every", type=int, default=40)
    options = parser.parse_args()
    measured = measure(options.wallets, options.payments, options.every)
    sys.stdout.write("".join(f"{figure.line()}\n" for figure in measured))
    return 0 if all(figure.holds for figure in measured) else 1


if __name__ == "__main__":
    sys.exit(main())
