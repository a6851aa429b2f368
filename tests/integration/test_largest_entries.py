"""Whatever the recorder accepts, the coordinator can be given: an entry's bounds, from upload to ACK."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from sync_rig import GATEWAY_ID, KEY, Rig, open_coordinator, running

from gateway.core.lists import difference
from gateway.core.message.downlink import Nack, Promise
from gateway.core.message.uplink import decode_uplink
from gateway.core.refusal import Refusal
from gateway.core.submission import Upload
from gateway.core.sync.messages import MAX_ENTRY_BYTES, MAX_ENTRY_OBJECTS
from gateway.core.wallet.upload import SnapshotUpload
from gateway.model import Source, Stamp, TimeQuality
from gateway.services.recorder import Recorder
from gateway.store import Limits, Store, StoreSettings, admission
from simulators.textbook.cbor import encode
from simulators.textbook.ledger import snapshot_text, wallet_root
from simulators.textbook.merkle import root_of_data
from simulators.textbook.objects import Header, Raw
from simulators.textbook.signing import sign

NOW = 1_790_000_000_000
LARGEST_UPLOAD = 8 << 20  # over HTTP
KEY_OBJECT = 36


@dataclass
class Desk:
    """Recorder and store of one gateway, and the rig of its link."""

    recorder: Recorder
    rig: Rig

    async def refusal(self, message: bytes) -> Refusal | None:
        """None: it was promised."""
        upload = decode_uplink(message, max_bytes=LARGEST_UPLOAD)
        assert isinstance(upload, SnapshotUpload)
        source = Source(radio="http", peer="phone", correlation_id="c")
        recorded = await self.recorder.record(
            Upload(message=upload, source=source, fingerprint=sha256(message).digest())
        )
        if isinstance(recorded.answer, Nack):
            return recorded.answer.code
        assert isinstance(recorded.answer, Promise)
        return None


@asynccontextmanager
async def desk(tmp_path: Path, limits: Limits | None = None) -> AsyncIterator[Desk]:
    settings = StoreSettings(
        path=tmp_path / "gateway.db",
        gateway_id=GATEWAY_ID,
        limits=limits or Limits(),
        free_bytes=lambda: 1 << 40,
    )
    async with open_coordinator(tmp_path / "coordinator.db") as coordinator, Store(settings) as store:
        recorder = Recorder(
            store,
            sign=lambda text: KEY.sign(text).signature,
            now=lambda: Stamp(NOW, TimeQuality.AGREED),
            monotonic=lambda: 0.0,
        )
        async with recorder:
            yield Desk(recorder, Rig(store, coordinator))


def header_over(name: str, raws: list[Raw]) -> Header:
    key = SigningKey(sha256(name.encode()).digest())
    identities = [raw.identity for raw in raws]
    root, count = wallet_root(identities), len(raws)
    signature = sign(key, snapshot_text(root, NOW, count))
    return Header(bytes(key.verify_key), root, NOW, count, signature, root_of_data(identities))


def snapshot(name: str, raws: list[Raw]) -> bytes:
    header = header_over(name, raws)
    return encode([2, header.key, header.fields(), 0, None, [raw.fields() for raw in raws]])


def raws_of(size: int) -> list[Raw]:
    """Texts outside the grammar whose entry brings exactly ``size`` bytes, its list's difference included."""
    longest = len(Raw("x" * 512, "s" * 128).encode())
    full = size // longest - 2
    rest = size - KEY_OBJECT - len(header_over("any", [Raw("", "")] * 300).encode())
    rest -= len(difference(range(full + 3), (), 0)) + full * longest
    lengths = [512] * full + [512 + part - longest for part in (rest // 3, rest // 3, rest - rest // 3 * 2)]
    return [Raw(f"{n:08}".ljust(length, "x"), "s" * 128) for n, length in enumerate(lengths)]


async def test_the_largest_entry_is_acked_and_one_byte_more_is_refused(tmp_path: Path) -> None:
    raws = raws_of(MAX_ENTRY_BYTES)
    more = [*raws[:-1], Raw(raws[-1].text + "y", raws[-1].signature)]
    async with desk(tmp_path) as at:
        assert await at.refusal(snapshot("alice", more)) is Refusal.TOO_LARGE
        assert (await at.rig.store.head()).size == 0
        assert await at.refusal(snapshot("alice", raws)) is None
        (entry,) = (await at.rig.store.read_batch(0)).entries
        assert entry.list is not None
        brought = sum(len(one.body or b"") for one in entry.objects) + len(entry.list.ops)
        assert brought == MAX_ENTRY_BYTES
        at.rig.lie("want-nothing:1")  # so that the objects go twice: by hash, then by MISSING
        async with running(at.rig.make_link()):
            await at.rig.acked(1)


async def test_the_most_objects_of_one_entry_are_acked_and_one_more_is_refused(tmp_path: Path) -> None:
    raws = [Raw(f"{n:x}", "") for n in range(MAX_ENTRY_OBJECTS - 1)]
    async with desk(tmp_path) as at:
        assert await at.refusal(snapshot("alice", raws)) is Refusal.TOO_LARGE
        assert await at.refusal(snapshot("alice", raws[:-1])) is None
        at.rig.lie("want-nothing:1")
        async with running(at.rig.make_link()):
            await at.rig.acked(1)


async def test_lists_of_what_is_not_kept_are_bounded_too_and_share_no_batch_that_is_too_large(
    tmp_path: Path,
) -> None:
    """Beyond the share of unverified texts a list carries bare identities, which nothing makes smaller."""
    most = (MAX_ENTRY_BYTES - 1000) // 32
    async with desk(tmp_path, Limits(unproven_bytes=0)) as at:
        too_many = [Raw(f"{n:x}", "") for n in range(most + 100)]
        assert await at.refusal(snapshot("alice", too_many)) is Refusal.TOO_LARGE
        for name in ("alice", "bob"):
            raws = [Raw(f"{name}{n:x}", "") for n in range(most)]
            assert await at.refusal(snapshot(name, raws)) is None
        async with running(at.rig.make_link()):
            await at.rig.acked(2)


async def test_a_ledger_longer_than_any_list_may_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "MAX_LIST", 3)
    raws = [Raw(str(n), "") for n in range(4)]
    async with desk(tmp_path) as at:
        assert await at.refusal(snapshot("alice", raws)) is Refusal.TOO_LARGE
        assert await at.refusal(snapshot("alice", raws[:3])) is None
