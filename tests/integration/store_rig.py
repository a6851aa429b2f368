"""A real store and recorder on a real file, and an audit of what they logged by the textbook."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from nacl.signing import SigningKey

from gateway.core.evidence import verify_evidence
from gateway.core.message.downlink import encode_downlink
from gateway.core.message.uplink import decode_uplink
from gateway.core.submission import Upload
from gateway.core.wallet.objects import Kind, decode_object
from gateway.core.wallet.transaction import RawTransaction, Transaction
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.model import Source, Stamp, TimeQuality
from gateway.services.recorder import Recorded, Recorder
from gateway.store import Limits, Store, StoreSettings
from gateway.store.connection import Connect, connect_sqlite
from simulators.textbook import lists
from simulators.textbook.merkle import leaf_hash, root_of, root_of_data
from simulators.textbook.objects import object_hash
from simulators.wallets.receipts import Promised, verify_promise

GATEWAY = "kibera-07"
NOW = 1_790_000_000_000
PLENTY = 1 << 40


@dataclass
class Rig:
    store: Store
    recorder: Recorder
    key: bytes
    now_ms: int = NOW
    quality: TimeQuality = TimeQuality.AGREED
    sent: int = 0

    async def send(self, message: bytes) -> Recorded:
        decoded = decode_uplink(message, max_bytes=8 << 20)
        assert isinstance(decoded, SnapshotUpload | TransactionsUpload)
        self.sent += 1
        source = Source(radio="test", peer="nobody", correlation_id=f"c{self.sent}")
        fingerprint = sha256(message).digest()
        return await self.recorder.record(Upload(message=decoded, source=source, fingerprint=fingerprint))

    async def promised(self, message: bytes, *contents: bytes) -> list[Promised]:
        """Send, and verify the promise as a wallet does."""
        recorded = await self.send(message)
        return verify_promise(encode_downlink(recorded.answer), self.key, contents)


@asynccontextmanager
async def store_rig(
    path: Path,
    *,
    limits: Limits | None = None,
    free_bytes: Callable[[], int] = lambda: PLENTY,
    connect: Connect = connect_sqlite,
) -> AsyncIterator[Rig]:
    key = SigningKey(sha256(b"gateway").digest())
    rig: Rig
    opened = StoreSettings(
        path=path, gateway_id=GATEWAY, limits=limits or Limits(), free_bytes=free_bytes, connect=connect
    )
    async with Store(opened) as store:
        recorder = Recorder(
            store,
            sign=lambda text: key.sign(text).signature,
            now=lambda: Stamp(rig.now_ms, rig.quality),
            monotonic=lambda: rig.now_ms / 1000,
        )
        rig = Rig(store, recorder, bytes(key.verify_key))
        async with recorder:
            yield rig


async def audit(store: Store) -> dict[int, list[bytes]]:
    """Check every leaf by the textbook; returns each snapshot's list of identities by leaf."""
    head = await store.head()
    leaves: list[bytes] = []
    identities: list[bytes | None] = []
    found: dict[int, list[bytes]] = {}
    at = 0
    while at < head.size:
        batch = await store.read_batch(at, 7, 1 << 16)
        assert batch.entries
        for entry in batch.entries:
            hashes = [item.hash for item in entry.objects]
            assert entry.objects_root == root_of_data(hashes)
            first, new = len(identities), []
            for item in entry.objects:
                assert item.body is not None
                assert item.hash == object_hash(item.body)
                identity = identity_of(item.body)
                identities.append(identity)
                if identity is not None:
                    new.append(identity)
            if entry.list is not None:
                base = [] if entry.list.base is None else found[entry.list.base]
                listed = lists.rebuild(entry.list.ops, base, new, _by_ordinal(identities), first, 1 << 20)
                assert root_of_data(listed) == header_list_root(entry.objects[0].body or b"")
                found[entry.index] = listed
            content = await store.content(hashes[0])
            assert content is not None
            leaves.append(leaf_hash(content.entry))
        at = batch.end
    assert root_of(leaves) == head.root
    return found


def identity_of(body: bytes) -> bytes | None:
    """Of a transaction's object, else None."""
    if body[1] == Kind.EVIDENCE:
        verify_evidence(body)
        return None
    value = decode_object(body)
    return value.identity if isinstance(value, Transaction | RawTransaction) else None


def _by_ordinal(identities: list[bytes | None]) -> Callable[[int], bytes]:
    def identity(ordinal: int) -> bytes:
        found = identities[ordinal]
        assert found is not None
        return found

    return identity


def header_list_root(body: bytes) -> bytes:
    return body[-32:]
