"""Retention takes nine tenths of the bodies: every leaf, pruned or not, still proves, and the file shrinks.

python -m benchmarks retention        100,000 leaves; with --quick 2,000
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import cbor2

from benchmarks.figure import Figure
from gateway.core import merkle
from gateway.core.submission import EncodedObject, Item, ObjectState, Submission
from gateway.model import EntryKind, RetentionPolicy, Stamp, TimeQuality
from gateway.store import Store, StoreSettings

GROUP = 64
OBJECTS = 4
NOW = 1_790_000_000_000


def submission(number: int) -> Submission:
    """Texts of a payment's size; what they say does not matter here."""
    items = tuple(_item(f"{number}.{n}:{sha256(bytes([n])).hexdigest()}") for n in range(OBJECTS))
    return Submission(
        kind=EntryKind.TRANSACTIONS,
        radio="lora",
        stamp=Stamp(NOW + number, TimeQuality.AGREED),
        key=sha256(b"wallet").digest(),
        proven=frozenset(),
        items=items,
        snapshot=None,
        horizon=0,
    )


def _item(text: str) -> Item:
    body = cbor2.dumps([6, text, "x" * 64])
    encoded = EncodedObject(sha256(b"\x02" + body).digest(), body)
    return Item(sha256(text.encode()).digest(), encoded, True, ObjectState.INVALID, None)


def _hash(number: int) -> bytes:
    """Of the first object of that leaf."""
    encoded = _item(f"{number}.0:{sha256(bytes([0])).hexdigest()}").transaction
    return b"" if encoded is None else encoded.hash


async def play(leaves: int) -> tuple[int, int, int, int]:
    """Bytes of the file before and after, leaves that lost their bodies, leaves that do not prove."""
    with tempfile.TemporaryDirectory(prefix="retention-") as folder:
        settings = StoreSettings(
            path=Path(folder) / "log.db", gateway_id="retention", free_bytes=lambda: 1 << 40
        )
        async with Store(settings) as store:
            for start in range(0, leaves, GROUP):
                await store.append([submission(n) for n in range(start, min(leaves, start + GROUP))])
            await store.mark_acked(leaves, b"cosigned by nobody")
            before = (await store.figures()).file_bytes
            while (await store.prune(RetentionPolicy(max_snapshots=leaves // 10))).more:
                pass
            figures = await store.figures()
            return before, figures.file_bytes, figures.pruned_entries, await _unproved(store, leaves)


async def _unproved(store: Store, leaves: int) -> int:
    root, wrong = (await store.head()).root, 0
    for index in range(leaves):
        place = await store.content(_hash(index))
        if place is None or place.index != index:
            wrong += 1
            continue
        path = await store.proof(index, leaves)
        try:
            merkle.verify_inclusion(merkle.leaf_hash(place.entry), index, leaves, path, root)
        except merkle.ProofInvalid:
            wrong += 1
    return wrong


def figures(quick: bool) -> Sequence[Figure]:
    """For ``python -m benchmarks``."""
    leaves, began = 2_000 if quick else 100_000, time.monotonic()
    before, after, pruned, wrong = asyncio.run(play(leaves))
    return [
        Figure("leaves", "", leaves),
        Figure("of them pruned", "", pruned, leaves * 0.9, "more"),
        Figure("leaves that do not prove", "", wrong, 0),
        Figure("file before", "MiB", before / (1 << 20)),
        Figure("file after", "MiB", after / (1 << 20), 0.7 * before / (1 << 20)),
        Figure("time", "s", time.monotonic() - began),
    ]
