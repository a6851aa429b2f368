"""Keeps what a radio shows of the gateway fresh: each minute, and as soon as the checkpoint is another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from drivers.base import Announcer
from gateway.clock import Clock
from gateway.core.announcement import clock, hint
from gateway.core.answer import Answer
from gateway.core.message.downlink import Beacon, encode_downlink
from gateway.model import Stamp

PERIOD_S = 60.0
AT_MOST_EVERY_S = 2.0
"""While a backlog is acknowledged each batch brings a checkpoint, and each of them costs commands."""
MAX_VALUE = 512
"""Of an attribute: Bluetooth Core, Vol 3 Part F 3.2.9."""


class Reception(Protocol):
    """What is asked of it."""

    async def beacon(self, *, checkpoint: bool = True) -> Answer: ...


class Announcing:
    """For all radios that announce; :meth:`run` once for each, while it lives.

    ``reachable`` says whether the coordinator is linked now.
    """

    def __init__(
        self, reception: Reception, now: Callable[[], Stamp], host: Clock, reachable: Callable[[], bool]
    ) -> None:
        self._reception = reception
        self._now = now
        self._host = host
        self._reachable = reachable
        self._news: set[asyncio.Event] = set()

    def soon(self) -> None:
        """There is a new checkpoint."""
        for news in self._news:
            news.set()

    async def run(self, radio: Announcer) -> None:
        """Until cancelled."""
        news = asyncio.Event()
        self._news.add(news)
        try:
            while True:
                news.clear()
                radio.announce(await self.facts())
                await self._host.sleep(AT_MOST_EVERY_S)
                await self._wait(news)
        finally:
            self._news.discard(news)

    async def facts(self) -> Mapping[str, bytes]:
        """By the names of :class:`drivers.base.Announcer`."""
        beacon, message = await self._beacon(checkpoint=True)
        note, now = beacon.checkpoint, self._now()
        if len(message) > MAX_VALUE:
            _, message = await self._beacon(checkpoint=False)
        return {
            "beacon": message,
            "key": beacon.key,
            "checkpoint": note if note is not None and len(note) <= MAX_VALUE else b"",
            "hint": hint(note, now, reachable=self._reachable()),
            "clock": clock(now, self._host.unix_ns() // 1_000_000),
        }

    async def _beacon(self, *, checkpoint: bool) -> tuple[Beacon, bytes]:
        message = (await self._reception.beacon(checkpoint=checkpoint)).message
        assert isinstance(message, Beacon)  # noqa: S101 - what it always answers
        return message, encode_downlink(message)

    async def _wait(self, news: asyncio.Event) -> None:
        period = asyncio.ensure_future(self._host.sleep(PERIOD_S))
        told = asyncio.ensure_future(news.wait())
        try:
            await asyncio.wait((period, told), return_when=asyncio.FIRST_COMPLETED)
        finally:
            period.cancel()
            told.cancel()
