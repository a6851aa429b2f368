"""All links to other gateways: who may have one, who dials, and the turning of connections into links."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any, Protocol

from drivers.base import Clock
from drivers.ble import wire
from drivers.ble.neighbour import Neighbour, Way
from drivers.ble.transfer import TransferLimits, Uploads
from drivers.ble.wire import Status

log = logging.getLogger(__name__)

SCAN_S = 10.0  # at a time
REST_S = 20.0  # between scans: the radio is the phones'
AGAIN_S = 60.0  # after a link that came to nothing, and what the one turned away is told


class Dials(Protocol):
    """The central role of a controller."""

    async def find(self, wanted: Callable[[str], bool], seconds: float) -> tuple[str, Any] | None:
        """The first gateway heard that is wanted by its id, and its address."""
        ...

    async def dial(self, address: Any, gateway_id: str) -> int | None:
        """Connect, say who we are; the connection's handle once the other side has agreed."""
        ...


class Neighbours:
    """Owned by the driver. The gateway with the lesser id dials; equal ids never link."""

    def __init__(self, gateway_id: str, max_links: int, max_bytes: int, clock: Clock) -> None:
        self._id = gateway_id
        self._max_links = max_links
        self._max_bytes = max_bytes
        self._clock = clock
        self._uploads = Uploads(TransferLimits(max_message_bytes=max_bytes, max_held_bytes=2 * max_bytes))
        self._links: dict[int, Neighbour] = {}
        self._fresh: deque[Neighbour] = deque()
        self._news = asyncio.Event()
        self._wanted = asyncio.Event()
        self._ended = asyncio.Event()
        self._not_before: dict[str, float] = {}
        self._closed = True

    def __len__(self) -> int:
        return len(self._links)

    def __contains__(self, handle: object) -> bool:
        return handle in self._links

    async def links(self) -> AsyncIterator[Neighbour]:
        """See :class:`drivers.base.GatewayLinks`."""
        self._wanted.set()
        try:
            while True:
                if self._fresh:
                    yield self._fresh.popleft()
                elif self._closed:
                    return
                else:
                    self._news.clear()
                    await self._news.wait()
        finally:
            self._wanted.clear()

    def open(self) -> None:
        self._closed = False

    def close(self) -> None:
        """With the driver."""
        for handle in list(self._links):
            self.disconnected(handle)
        self._closed = True
        self._news.set()

    def accepts(self, gateway_id: str) -> bool:
        """Whether one that dialled may have a link; one that it had before is dead then, and goes."""
        if not self._wanted.is_set() or not gateway_id < self._id:
            return False
        for link in [link for link in self._links.values() if link.gateway_id == gateway_id]:
            link.hang_up()
        return len(self._links) < self._max_links

    def add(self, handle: int, gateway_id: str, way: Way) -> None:
        """Both have said who they are."""
        now = self._clock.monotonic()
        link = Neighbour(gateway_id, way, self._uploads, self._max_bytes, now)
        self._links[handle] = link
        self._fresh.append(link)
        self._news.set()
        log.info("linked to a gateway", extra={"gateway": gateway_id, "links": len(self._links)})

    def received(self, handle: int, value: bytes) -> None:
        if handle in self._links:
            self._links[handle].received(value, self._clock.monotonic())

    def room(self, handle: int) -> None:
        if handle in self._links:
            self._links[handle].room()

    def disconnected(self, handle: int) -> None:
        link = self._links.pop(handle, None)
        if link is not None:
            link.close(self._clock.monotonic())
            self._ended.set()
            log.info("a gateway is out of range", extra={"gateway": link.gateway_id})

    def tick(self, now: float) -> None:
        """Every few seconds."""
        for link in list(self._links.values()):
            link.tick(now)
        self._uploads.expire(now)

    async def seek(self, radio: Dials) -> None:
        """Scan and dial, for as long as somebody wants links and there is room; until cancelled."""
        while True:
            await self._wanted.wait()
            now = self._clock.monotonic()
            self._not_before = {name: at for name, at in self._not_before.items() if at > now}
            if len(self._links) < self._max_links:
                found = await radio.find(self._wants, SCAN_S)
                if found is not None:
                    await self._dial(radio, *found)
                    continue
            await self._rest()

    def _wants(self, gateway_id: str) -> bool:
        linked = any(link.gateway_id == gateway_id for link in self._links.values())
        return self._id < gateway_id and not linked and gateway_id not in self._not_before

    async def _rest(self) -> None:
        """Until it is time again, or a link has ended: whoever went out of range may be back soon."""
        self._ended.clear()
        period = asyncio.ensure_future(self._clock.sleep(REST_S))
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait((period, ended), return_when=asyncio.FIRST_COMPLETED)
        finally:
            period.cancel()
            ended.cancel()

    async def _dial(self, radio: Dials, gateway_id: str, address: Any) -> None:
        if await radio.dial(address, gateway_id) is None:
            self._not_before[gateway_id] = self._clock.monotonic() + AGAIN_S
            log.info("a gateway in range could not be linked", extra={"gateway": gateway_id})


def turned_away() -> bytes:
    """What a gateway is told that may not have a link now."""
    return wire.refused(0, Status.BUSY, int(AGAIN_S))
