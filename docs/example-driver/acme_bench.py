"""The bench for the conformance kit: a simulated line radio behind the driver.

python -m drivers.conformance acme_bench:AcmeBench
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from acme_radio import MAX_PAYLOAD, AcmeDriver

from drivers.base import Frame, TxRequest
from drivers.conformance import RADIO, SMALL_QUEUE


class HostClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def unix_ns(self) -> int:
        return time.time_ns()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class AcmeBench:
    lora = False
    comes_again = False
    driver = AcmeDriver

    def __init__(self, folder: Path) -> None:
        self._port = 7000
        self._writers: list[asyncio.StreamWriter] = []

    def build(self) -> AcmeDriver:
        return self.driver(RADIO, {"port": self._port, "queue": SMALL_QUEUE}, clock=HostClock())

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[AcmeDriver]:
        joined = asyncio.Event()

        async def radio(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._writers.append(writer)
            joined.set()
            while await reader.readline():
                pass
            writer.close()

        server = await asyncio.start_server(radio, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        async with server, self.build() as driver:
            await joined.wait()
            yield driver

    def hear(self, payload: bytes) -> None:
        self._writers[-1].write(b">" + payload.hex().encode() + b"\n")

    def vanish(self) -> None:
        self._writers[-1].transport.abort()

    def answer(self, frame: Frame) -> TxRequest:
        return TxRequest(payload=b"answer", reply_to=frame.reply_to)

    def refused(self, frame: Frame) -> Sequence[tuple[TxRequest, str]]:
        good = self.answer(frame)
        return [
            (replace(good, payload=b""), "size"),
            (replace(good, payload=bytes(MAX_PAYLOAD + 1)), "size"),
            (replace(good, reply_to="elsewhere"), "no_route"),
        ]
