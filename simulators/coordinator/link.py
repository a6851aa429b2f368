"""One WebSocket of a gateway: its messages to the session's thread, the answers back."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from simulators.coordinator.authority import Authority
from simulators.coordinator.bending import Outgoing, bend
from simulators.coordinator.session import Session
from simulators.textbook.cbor import encode

log = logging.getLogger(__name__)

T = TypeVar("T")
Array = list[object]
Work = Callable[..., Awaitable[T]]

HELLO_TIMEOUT_S = 30.0
EXPEL_TIMEOUT_S = 5.0


class Link:
    """`work` runs a call on the coordinator's working thread."""

    def __init__(self, authority: Authority, websocket: ServerConnection, work: Work[list[Outgoing]]) -> None:
        self._authority = authority
        self._websocket = websocket
        self._work = work
        self._loop = asyncio.get_running_loop()
        self._expelled: Array | None = None
        self._expelling: asyncio.Task[None] | None = None
        self._pushing: set[asyncio.Task[None]] = set()
        self.session = Session(authority, os.urandom(32), self._on_expel, self._on_push)

    async def run(self) -> None:
        """Until the link ends; raises nothing that the gateway could cause."""
        try:
            if self._authority.faults.take("close"):
                return
            await self._exchange()
        except ConnectionClosed:
            pass
        except TimeoutError:
            log.info("a connection without HELLO was closed after %s s", HELLO_TIMEOUT_S)
        finally:
            await self._work(self._leave)
            if self._expelling:
                await self._expelling
            await self._close()
            await asyncio.gather(*self._pushing)

    async def send(self, array: Array) -> None:
        await self._websocket.send(encode(array))

    async def _exchange(self) -> None:
        await self._send(await self._work(self._bent, [self.session.challenge()]))
        async with asyncio.timeout(HELLO_TIMEOUT_S):
            first = await self._websocket.recv()
        await self._answer(first)
        while not self.session.closed:
            if self._authority.faults.take("stall", self.session.gateway):
                await self._websocket.wait_closed()
            await self._answer(await self._websocket.recv())

    async def _answer(self, data: str | bytes) -> None:
        # A text is refused like any malformed message: no UTF-8 begins as a CBOR array does (0x80 to 0x9f).
        message = data.encode() if isinstance(data, str) else data
        await self._send(await self._work(self._receive, message))

    def _receive(self, data: bytes) -> list[Outgoing]:
        """On the working thread."""
        answers = self.session.receive(data)
        if self.session.gateway:
            self._authority.heard(self.session.gateway).received_bytes += len(data)
        self._authority.on_change()
        return self._bent(answers)

    def _bent(self, arrays: list[Array]) -> list[Outgoing]:
        gateway = self.session.gateway
        out = [one for array in arrays for one in bend(self._authority, gateway, array)]
        if gateway:
            self._authority.heard(gateway).sent_bytes += sum(len(one) for one in out if one)
        return out

    def _leave(self) -> list[Outgoing]:
        self._authority.leave(self.session)
        self._authority.on_change()
        return []

    async def _send(self, out: list[Outgoing]) -> None:
        for one in out:
            slow = self._authority.faults.take("slow", self.session.gateway)
            if slow:
                await asyncio.sleep(slow.value)
            if one is None:
                self._websocket.transport.abort()
                return
            await self._websocket.send(one)

    async def _close(self) -> None:
        closing = asyncio.create_task(self._websocket.close(), name="close")
        try:
            # What still comes is dropped: a full buffer would hide the gateway's own close frame.
            while True:
                await self._websocket.recv()
        except ConnectionClosed:
            await closing

    def _on_push(self, arrays: list[Array]) -> None:
        """From the working thread."""
        self._loop.call_soon_threadsafe(self._push, arrays)

    def _push(self, arrays: list[Array]) -> None:
        task = asyncio.create_task(self._say(arrays), name="push")
        self._pushing.add(task)
        task.add_done_callback(self._pushing.discard)

    async def _say(self, arrays: list[Array]) -> None:
        try:
            for array in arrays:
                await self.send(array)
        except ConnectionClosed:
            return  # the gateway follows from where it stands when it comes again

    def _on_expel(self, last: Array) -> None:
        """From the working thread: the link may be half-open and never read again, so nobody waits for it."""
        self._loop.call_soon_threadsafe(self._expel, last)

    def _expel(self, last: Array) -> None:
        self._expelling = asyncio.create_task(self._say_and_close(last), name="expel")

    async def _say_and_close(self, last: Array) -> None:
        try:
            async with asyncio.timeout(EXPEL_TIMEOUT_S):
                await self.send(last)
                await self._websocket.close()
        except (ConnectionClosed, TimeoutError):
            self._websocket.transport.abort()
