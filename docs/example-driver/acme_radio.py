"""A driver for the Acme line radio: one frame a line of hexadecimal over TCP, ``>`` heard, ``<`` to send.

radios:
  acme:
    driver: acme_line
    options: {host: 127.0.0.1, port: 7000}
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Any, Self

from drivers.base import Clock, DriverStats, Frame, TxReceipt, TxRequest
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.frames import FrameQueue

MAX_PAYLOAD = 200
OPTIONS = frozenset({"host", "port", "queue"})


class AcmeDriver:
    """Receiver and Transmitter. Nothing is opened before ``__aenter__``."""

    def __init__(self, name: str, settings: Mapping[str, Any], *, clock: Clock) -> None:
        if unknown := set(settings) - OPTIONS:
            raise DriverConfigError(
                f"unknown options {sorted(unknown)}", fix=f"use {', '.join(sorted(OPTIONS))}"
            )
        port = settings.get("port")
        if type(port) is not int or not 0 < port < 65536:
            raise DriverConfigError(
                f"port {port!r} is not one of 1 to 65535", fix="set the port of the radio"
            )
        self._name, self._clock = name, clock
        self._address = (str(settings.get("host", "127.0.0.1")), port)
        self._size = int(settings.get("queue", 64))
        self._queue = FrameQueue(self._size)
        self._frames: Counter[str] = Counter()
        self._transmits: Counter[str] = Counter()
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._queue = FrameQueue(self._size)
        try:
            reader, self._writer = await asyncio.open_connection(*self._address)
        except OSError as error:
            raise DriverLost(f"no radio at {self._address[0]}:{self._address[1]}: {error}") from error
        self._reading = asyncio.create_task(self._read(reader))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.close()
        if self._reading is not None:
            self._reading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reading
            self._reading = None
        if self._writer is not None:
            self._writer.close()
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()
            self._writer = None

    def stats(self) -> DriverStats:
        return DriverStats(frames={**self._frames, **self._queue.untaken}, transmits=dict(self._transmits))

    def frames(self) -> AsyncIterator[Frame]:
        return self._queue.frames()

    async def transmit(self, request: TxRequest) -> TxReceipt:
        try:
            await self._send(request)
        except TransmitRefused as refused:
            self._transmits[refused.reason] += 1
            raise
        self._transmits["sent"] += 1
        return TxReceipt()

    async def _send(self, request: TxRequest) -> None:
        if not 0 < len(request.payload) <= MAX_PAYLOAD:
            raise TransmitRefused("size", f"{len(request.payload)} bytes; the radio takes 1 to {MAX_PAYLOAD}")
        if self._writer is None or request.reply_to != self._name:
            raise TransmitRefused("no_route")
        self._writer.write(b"<" + request.payload.hex().encode() + b"\n")
        try:
            await self._writer.drain()
        except OSError as error:
            raise TransmitRefused("no_route", str(error)) from error

    async def _read(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            async for line in reader:
                self._heard(line)
        self._queue.lose(DriverLost("the radio hung up"))

    def _heard(self, line: bytes) -> None:
        try:
            payload = bytes.fromhex(line.decode("ascii").strip().removeprefix(">"))
        except ValueError:
            self._frames["malformed"] += 1
            return
        frame = Frame(
            radio=self._name,
            payload=payload,
            peer=self._address[0],
            received_unix_ns=self._clock.unix_ns(),
            reply_to=self._name,
        )
        self._frames["ok" if self._queue.put(frame) else "queue_full"] += 1
