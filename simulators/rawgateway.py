"""A gateway's end of the sync link, driven by hand: it keeps a log in memory and says what it is told to say.

For tests of a coordinator. It keeps to docs/protocol/sync.md unless its caller asks otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from types import TracebackType
from typing import Any, Self

import zstandard
from nacl.signing import SigningKey
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from simulators.textbook.cbor import decode, encode
from simulators.textbook.merkle import leaf_hash, root_of, root_of_data
from simulators.textbook.notes import (
    COSIGNATURE,
    Checkpoint,
    NoteKey,
    parse,
    sign_checkpoint,
    with_cosignature,
)
from simulators.textbook.objects import Key, Raw, Transaction, object_hash, parse_object
from simulators.textbook.signing import LINK_GATEWAY, labelled, sign
from simulators.textbook.varints import varint, zigzag
from simulators.wallets.wallet import HandOver, Payment

CHALLENGE, HELLO, WELCOME, CATCHUP, FORK, REJECT = range(1, 7)
OFFER, WANT, ENTRIES, COMMIT, ACK, MISSING, NEED_HASHES, HASHES, OBJECTS = range(10, 19)
FETCH, BODIES, HEARTBEAT, TIME = 20, 21, 30, 31
COPY, NEW, ORD = range(3)

Array = list[Any]


@dataclass(slots=True)
class Submission:
    """One entry: its fields as they are sent, and its new objects."""

    fields: Array
    objects: list[bytes]

    @property
    def leaf(self) -> bytes:
        kind, received_at, quality, radio, count, _ = self.fields
        root = root_of_data([object_hash(body) for body in self.objects])
        return leaf_hash(encode([1, kind, root, count, received_at, quality, radio]))


@dataclass(slots=True)
class RawGateway:
    """A key, an origin and a log; `record` appends as a gateway would."""

    id: str
    seed: bytes
    epoch: int = 1
    log: list[Submission] = field(default_factory=list)
    ordinals: dict[bytes, int] = field(default_factory=dict)
    identities: dict[bytes, int] = field(default_factory=dict)
    lists: dict[bytes, tuple[int, list[bytes]]] = field(default_factory=dict)

    @property
    def signer(self) -> SigningKey:
        return SigningKey(self.seed)

    @property
    def key(self) -> bytes:
        return bytes(self.signer.verify_key)

    @property
    def origin(self) -> str:
        return f"offgrid/{self.id}/{self.epoch}"

    def record(self, over: HandOver, received_at: int = 1_790_000_000_000) -> Submission:
        """A snapshot's entry: header, key if new, what is new of the list; the list from the one before."""
        new, ops = [over.header.encode()], b""
        new += self._fresh([Key(over.header.key).encode()])
        base, before = self.lists.get(over.header.key, (None, []))
        identities = [payment.transaction.identity for payment in over.payments]
        k = len(before) if identities[: len(before)] == before else 0
        after = set(identities[k:])
        if k:
            ops += varint(COPY)  # all of the base
        for payment in over.payments:
            fresh = self._fresh([payment.transaction.encode()])
            new += fresh
            if payment.transaction.identity in after:
                ops += self._named(payment, fresh)
            if payment.receipt:
                new += self._fresh([payment.receipt.encode()])
        self.lists[over.header.key] = (len(self.log), identities)
        return self._append(1, new, received_at, [base if k else None, ops])

    def record_transactions(self, key: bytes, payments: Sequence[Payment]) -> Submission:
        """A TRANSACTIONS' entry."""
        new = self._fresh([Key(key).encode()])
        for payment in payments:
            new += self._fresh([payment.transaction.encode()])
            if payment.receipt:
                new += self._fresh([payment.receipt.encode()])
        return self._append(2, new, 1_790_000_000_000, None)

    def checkpoint(self, size: int | None = None) -> bytes:
        """Our head at `size`, signed; the newest without."""
        leaves = [one.leaf for one in self.log][:size]
        return sign_checkpoint(Checkpoint(self.origin, len(leaves), root_of(leaves)), self.signer)

    def _append(self, kind: int, new: list[bytes], received_at: int, list_: Array | None) -> Submission:
        submission = Submission([kind, received_at, 1, "test", len(new), list_], new)
        self.log.append(submission)
        for body in new:
            ordinal = self.ordinals.setdefault(object_hash(body), len(self.ordinals))
            if body[1] in (1, 6):
                self.identities[_identity(body)] = ordinal
        return submission

    def _fresh(self, bodies: list[bytes]) -> list[bytes]:
        return [body for body in bodies if object_hash(body) not in self.ordinals]

    def _named(self, payment: Payment, fresh: list[bytes]) -> bytes:
        if fresh:
            return varint(1 << 3 | NEW)
        back = len(self.ordinals) - 1 - self.identities[payment.transaction.identity]
        return varint(1 << 3 | ORD) + varint(back)


class RawLink:
    """One connection of a gateway; open with ``async with``."""

    def __init__(self, url: str, gateway: RawGateway, instance: bytes = b"i" * 16, **options: Any) -> None:
        self._url = url
        self._options = options
        self._gateway = gateway
        self._instance = instance
        self.nonce = b""
        self.coordinator: NoteKey
        self.socket: ClientConnection

    async def __aenter__(self) -> Self:
        self.socket = await connect(
            self._url,
            subprotocols=[Subprotocol("offgrid-sync.v1")],
            compression=None,
            max_size=None,
            **self._options,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.socket.close()

    async def send(self, array: Array) -> None:
        await self.socket.send(encode(array))

    async def receive(self) -> Array:
        data = await self.socket.recv()
        if isinstance(data, str):
            raise TypeError("a text message")
        return _array(data)

    async def ask(self, array: Array) -> Array:
        await self.send(array)
        return await self.receive()

    async def open(self, checkpoint: bytes | None = None, **changed: Any) -> Array:
        """CHALLENGE → HELLO → its answer. `changed` overrides fields of HELLO after it was signed."""
        await self.challenged()
        return await self.ask(self.hello(checkpoint, **changed))

    async def challenged(self) -> None:
        """Until CHALLENGE has come."""
        _, self.nonce, key, name, _ = await self.receive()
        self.coordinator = NoteKey(name, key, COSIGNATURE)

    def hello(self, checkpoint: bytes | None, **changed: Any) -> Array:
        gateway, nonce = self._gateway, b"g" * 32
        signed = [self.nonce, nonce, gateway.origin, self.coordinator.key, self._instance]
        signed.append(sha256(checkpoint or b"").digest())
        fields = {
            "id": gateway.id,
            "key": gateway.key,
            "origin": gateway.origin,
            "instance": self._instance,
            "nonce": nonce,
            "checkpoint": checkpoint,
            "version": "raw",
            "signature": sign(gateway.signer, labelled(LINK_GATEWAY, encode(signed))),
        }
        return [HELLO, *(fields | changed).values()]

    def offer(self, start: int, end: int) -> Array:
        batch = self._gateway.log[start:end]
        hashes = [object_hash(body) for one in batch for body in one.objects]
        shorts = [sha256(self.nonce + one).digest()[:8] for one in hashes]
        return [OFFER, start, [len(one.objects) for one in batch], b"".join(shorts)]

    def entries(self, start: int, end: int, wanted: bytes) -> Array:
        batch = self._gateway.log[start:end]
        bodies = [body for one in batch for body in one.objects]
        short = [_short(body, before) for before, body in zip([b"", *bodies], bodies, strict=False)]
        sent = [body for at, body in enumerate(short) if wanted[at // 8] >> at % 8 & 1]
        radios = sorted({one.fields[3] for one in batch})
        return [ENTRIES, start, deflate([_rows(start, batch, radios), radios, sent])]

    def commit(self, size: int | None = None) -> Array:
        """COMMIT of our head at `size`; of the newest without."""
        note = self._gateway.checkpoint(size)
        head, ((_, _, signature),) = parse(note)
        return [COMMIT, head.size, head.root, signature]

    def cosigned(self, ack: Array) -> bytes:
        """The checkpoint that an ACK is about, with its cosignature."""
        _, size, time_s, signature = ack
        return with_cosignature(self._gateway.checkpoint(size), self.coordinator, time_s, signature)

    async def push(self, start: int, end: int | None = None) -> Array:
        """A whole batch; returns the answer to its COMMIT."""
        end = len(self._gateway.log) if end is None else end
        kind, _, wanted = await self.ask(self.offer(start, end))
        if kind != WANT:
            raise TypeError(f"WANT expected, {kind} seen")
        await self.send(self.entries(start, end, wanted))
        return await self.ask(self.commit(end))

    def hashes(self, start: int, end: int) -> list[bytes]:
        return [object_hash(body) for one in self._gateway.log[start:end] for body in one.objects]

    def bodies(self, start: int, end: int, bitmap: bytes) -> Array:
        """OBJECTS, in answer to MISSING."""
        bodies = [body for one in self._gateway.log[start:end] for body in one.objects]
        sent = [body for at, body in enumerate(bodies) if bitmap[at // 8] >> at % 8 & 1]
        return [OBJECTS, start, deflate(sent)]


def deflate(value: object) -> bytes:
    return zstandard.ZstdCompressor().compress(encode(value))


def _rows(start: int, batch: Sequence[Submission], radios: Sequence[str]) -> bytes:
    heads, times, lists, before = b"", b"", b"", 0
    for leaf, one in enumerate(batch, start):
        kind, received_at, quality, radio, _, list_ = one.fields
        heads += varint(radios.index(radio) << 5 | quality << 3 | kind)
        times += varint(zigzag(received_at - before))
        before = received_at
        if list_ is not None:
            base, ops = list_
            lists += varint(0 if base is None else leaf - base) + varint(len(ops)) + ops
    return heads + times + lists


def _short(body: bytes, before: bytes) -> bytes:
    """A receipt for the transaction right before it goes without that transaction's identity."""
    if body[1:2] != b"\x02" or before[1:2] not in (b"\x01", b"\x06"):
        return body
    kind, identity, *rest = _array(body)
    return encode([kind, None, *rest]) if identity == _identity(before) else body


def _identity(body: bytes) -> bytes:
    one = parse_object(body)
    if not isinstance(one, Transaction | Raw):
        raise TypeError("no transaction")
    return one.identity


def _array(body: bytes) -> Array:
    array = decode(body)
    if not isinstance(array, list):
        raise TypeError("no array")
    return array
