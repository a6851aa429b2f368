"""Phones that hand in ledgers over HTTP, on connections that stay open; each answer is timed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import urlsplit

from simulators.wallets.receipts import Promised, verify_promise_json
from simulators.wallets.uploads import snapshot_json
from simulators.wallets.wallet import Wallet

NOW_MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Ledger:
    """One upload, ready to be sent, and H."""

    body: bytes
    content: bytes


def ledgers(count: int, payments: int = 10, salt: str = "") -> list[Ledger]:
    """The first hand-overs of as many wallets: ``payments + 1`` signatures each."""
    return [_ledger(Wallet(sha256(f"{salt}{n}".encode()).digest()), payments) for n in range(count)]


def _ledger(wallet: Wallet, payments: int) -> Ledger:
    for n in range(payments):
        wallet.pay(f"{n:016x}", n + 0.5, NOW_MS + n)
    over = wallet.hand_over(NOW_MS)
    return Ledger(snapshot_json(over).encode(), over.content)


@dataclass(slots=True)
class Answers:
    """What came back: by content the promise as it was told, and seconds from sending to answer."""

    promises: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    refused: list[dict[str, Any]] = field(default_factory=list)
    contradicted: int = 0
    seconds: list[float] = field(default_factory=list)

    def take(self, ledger: Ledger, status: int, body: bytes, seconds: float) -> None:
        """A second answer to one content must name the place that the first one named."""
        self.seconds.append(seconds)
        answer: dict[str, Any] = json.loads(body)
        if status != 200:
            self.refused.append(answer)
            return
        first = self.promises.setdefault(ledger.content, answer["promise"])
        self.contradicted += first["index"] != answer["promise"]["index"]

    def verified(self, key: bytes) -> Iterator[Promised]:
        """Each promise, by the gateway's raw key; raises `Malformed` for one that does not verify."""
        for content, promise in self.promises.items():
            yield from verify_promise_json(promise, key, [content])


class Phone:
    """One connection; an `OSError`, or an end in the middle, is for whoever sends."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def post(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of the answer to one upload."""
        head = "POST /v1/snapshots HTTP/1.1\r\nHost: g\r\nContent-Type: application/json\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        first, *fields = (await self._reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        lengths = [line for line in fields if line.lower().startswith("content-length:")]
        return int(first.split()[1]), await self._reader.readexactly(int(lengths[0].partition(":")[2]))

    def close(self) -> None:
        self._writer.transport.abort()


@asynccontextmanager
async def phone(url: str) -> AsyncIterator[Phone]:
    at = urlsplit(url)
    one = Phone(*await asyncio.open_connection(at.hostname, at.port))
    try:
        yield one
    finally:
        one.close()


async def at_rate(url: str, uploads: Sequence[Ledger], per_second: float, answers: Answers) -> None:
    """Offer at a fixed rate, whether answers come or not; as many connections as are needed for that."""
    idle: list[Phone] = []
    began = time.perf_counter()

    async def send(ledger: Ledger, due: float) -> None:
        one = idle.pop() if idle else Phone(*await asyncio.open_connection(at.hostname, at.port))
        status, body = await one.post(ledger.body)
        answers.take(ledger, status, body, time.perf_counter() - due)
        idle.append(one)

    at = urlsplit(url)
    try:
        async with asyncio.TaskGroup() as tasks:
            for n, ledger in enumerate(uploads):
                due = began + n / per_second
                await asyncio.sleep(max(due - time.perf_counter(), 0))
                tasks.create_task(send(ledger, max(due, time.perf_counter())))
    finally:
        for one in idle:
            one.close()
