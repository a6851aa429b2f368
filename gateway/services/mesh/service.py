"""The relay's hands: links, the carried folder, the own log; one task does what the relay says, in order."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from drivers.base import GatewayLink, GatewayLinks
from drivers.errors import TransmitRefused
from gateway.carried import Ack, Carried
from gateway.clock import Clock
from gateway.core.mesh import (
    AckLine,
    AckMessage,
    Event,
    Keep,
    Line,
    Piece,
    Relay,
    RelayLimits,
    Send,
    SendAck,
    Serve,
    TakeAck,
    ack_id,
)
from gateway.core.mesh.messages import PIECE_BYTES
from gateway.errors import CommandError
from gateway.model import Head
from gateway.store import Store

log = logging.getLogger(__name__)

MAX_WAITING = 64
"""Messages to one neighbour. One that takes so few is unlinked and linked again: it is told all anew."""
MAX_STEPS = 256
"""Things that happened and wait for their turn; then links wait."""

Step = Callable[[float], list[Event]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """Times in seconds. Own bundles are made once the coordinator was out of reach for ``after_s``, of what
    came in ``gather_s``."""

    limits: RelayLimits
    after_s: float = 60.0
    gather_s: float = 30.0
    tick_s: float = 1.0
    bundle_bytes: int = 1 << 20


class Desk(Protocol):
    """Bundles and acks, verified and kept; each raises CommandError where it is not taken."""

    async def make(self, start: int, max_bytes: int) -> None:
        """Bundles of the own log from leaf ``start`` on, into the carried folder."""
        ...

    async def bring(self, content_id: bytes, offset: int, data: bytes, hops: int = 0) -> int: ...
    async def take_ack_of(self, key: bytes, note: bytes) -> object: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Shore:
    """What the mesh works with; ``key`` is the gateway's.

    ``down_s``: for how long the coordinator has been out of reach; 0: it is not.
    """

    store: Store
    carried: Carried
    desk: Desk
    key: bytes
    clock: Clock
    down_s: Callable[[], float]


class Mesh:
    """A service: :meth:`run`. Links are brought by :meth:`join` and :meth:`follow`, while they last."""

    def __init__(self, settings: MeshSettings, shore: Shore) -> None:
        self._settings, self._shore = settings, shore
        self._relay = Relay(settings.limits)
        self._outboxes: dict[str, asyncio.Queue[bytes]] = {}
        self._steps: asyncio.Queue[Step] = asyncio.Queue(MAX_STEPS)
        self._head: Head | None = None
        self.sent_bytes = 0
        self.heard_bytes = 0

    @property
    def neighbours(self) -> int:
        return len(self._outboxes)

    @property
    def way(self) -> int:
        """How many gateways away a backhaul is; 16: none is known."""
        return self._relay.way

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._work())
            tasks.create_task(self._tick())
            tasks.create_task(self._gather())

    async def follow(self, links: GatewayLinks) -> None:
        """Every link that a radio makes, until it is closed."""
        async with asyncio.TaskGroup() as tasks:
            async for link in links.links():
                tasks.create_task(self.join(link))

    async def join(self, link: GatewayLink) -> None:
        """One link, to its end; a second one of the same gateway takes its place."""
        name, outbox = link.gateway_id, asyncio.Queue[bytes](MAX_WAITING)
        self._outboxes[name] = outbox
        writing = asyncio.create_task(self._write(link, outbox), name=f"mesh to {name}")
        await self._steps.put(lambda now: self._relay.linked(name, now))
        try:
            async for data in link.messages():
                self.heard_bytes += len(data)
                await self._steps.put(partial(self._relay.heard, name, data))
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            if self._outboxes.get(name) is outbox:
                del self._outboxes[name]
                await self._steps.put(lambda now: self._relay.unlinked(name, now))

    # One thing after another.

    async def _work(self) -> None:
        while True:
            step = await self._steps.get()
            queue = deque(step(self._now()))
            while queue:
                queue.extend(await self._perform(queue.popleft()))

    async def _perform(self, event: Event) -> list[Event]:
        match event:
            case Send(neighbour, data):
                return self._post(neighbour, data)
            case Serve(neighbour, id_, offset):
                await self._serve(neighbour, id_, offset)
            case Keep(neighbour, content_id, offset, data, hops):
                have = await self._keep(content_id, offset, data, hops)
                return self._relay.kept(neighbour, content_id, have, self._now()) + self._holds()
            case TakeAck(key, note):
                try:
                    await self._shore.desk.take_ack_of(key, note)
                except CommandError as error:
                    log.info("an ack by the mesh is not believed", extra={"reason": str(error)})
                await self._look()
                return self._holds()
            case SendAck(neighbour, id_):
                for ack in self._acks():
                    if ack_id(ack.key, ack.origin) == id_:
                        self._post(neighbour, AckMessage(ack.key, ack.note).to_bytes())
        return []

    async def _keep(self, content_id: bytes, offset: int, data: bytes, hops: int) -> int | None:
        try:
            return await self._shore.desk.bring(content_id, offset, data, hops)
        except CommandError as error:
            log.info("a bundle of the mesh is not taken", extra={"reason": str(error)})
            return None

    async def _serve(self, neighbour: str, id_: bytes, offset: int) -> None:
        for held in self._shore.carried.held:
            if held.content_id.startswith(id_):
                data = await asyncio.to_thread(self._shore.carried.read, held.content_id, offset, PIECE_BYTES)
                if data:
                    self._post(neighbour, Piece(held.content_id, offset, data).to_bytes())
                return

    def _post(self, neighbour: str, data: bytes) -> list[Event]:
        outbox = self._outboxes.get(neighbour)
        if outbox is None:
            return []
        if not outbox.full():
            outbox.put_nowait(data)
            return []
        while not outbox.empty():
            outbox.get_nowait()
        return self._relay.linked(neighbour, self._now())

    async def _write(self, link: GatewayLink, outbox: asyncio.Queue[bytes]) -> None:
        while True:
            data = await outbox.get()
            try:
                await link.send(data)
            except TransmitRefused as refused:
                log.debug("a message of the mesh did not go", extra={"reason": str(refused)})
            else:
                self.sent_bytes += len(data)

    # What is here.

    async def _tick(self) -> None:
        while True:
            await self._look()
            await self._steps.put(lambda now: self._holds() + self._relay.tick(now))
            await self._shore.clock.sleep(self._settings.tick_s)

    async def _look(self) -> None:
        """How far the own log is cosigned; what that covers is let go."""
        head = await self._shore.store.head()
        self._head = head
        await asyncio.to_thread(self._shore.carried.release, self._shore.key, head.origin, head.acked_size)

    def _holds(self) -> list[Event]:
        lines = [Line(one.content_id[:8], one.length, one.hops) for one in self._shore.carried.held]
        acks = [AckLine(ack_id(one.key, one.origin), one.size) for one in self._acks()]
        return self._relay.holds(lines, acks, online=self._shore.down_s() == 0, now=self._now())

    def _acks(self) -> list[Ack]:
        """Those of others, and the own log's: a neighbour may carry what is covered already."""
        head, acks = self._head, list(self._shore.carried.acks)
        if head is not None and head.cosigned_note is not None:
            acks.append(Ack(self._shore.key, head.origin, head.acked_size, head.cosigned_note))
        return acks

    async def _gather(self) -> None:
        """Bundles of the own log, each from where the one before ended."""
        while True:
            await self._shore.clock.sleep(self._settings.gather_s)
            if self._shore.down_s() < self._settings.after_s or self._shore.down_s() == 0:
                continue
            head = await self._shore.store.head()
            start = self._made_to(head)
            if start < head.size and head.halted is None:
                await self._make(start)

    async def _make(self, start: int) -> None:
        try:
            await self._shore.desk.make(start, self._settings.bundle_bytes)
        except CommandError as error:
            log.warning("no bundle for the mesh is made", extra={"reason": str(error)})

    def _made_to(self, head: Head) -> int:
        own = (
            one for one in self._shore.carried.held if (one.key, one.origin) == (self._shore.key, head.origin)
        )
        return max([head.acked_size, *(one.size for one in own)])

    def _now(self) -> float:
        return self._shore.clock.monotonic()
