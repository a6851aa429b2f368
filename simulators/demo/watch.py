"""What the daemon and the coordinator say of themselves, asked for again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from simulators.demo.house import GATEWAY, ORIGIN, House

Document = Mapping[str, Any]

LOOK_EVERY_S = 0.1


class LinkNews:
    """What there is to tell of the link to the coordinator; it was down before the first look."""

    def __init__(self) -> None:
        self._state, self._faults = "down", 0

    def words(self, state: str, reason: str, faults: int, cut: bool) -> str:
        """Of what changed since the last look; empty: nothing. ``cut``: everybody knows why it is down."""
        changed, failed = state != self._state, faults > self._faults
        self._state, self._faults = state, faults
        if state == "connected":
            return "the link to the coordinator is up" if changed else ""
        if state == "down" and cut:
            return "the link is down" if changed else ""
        return f"the link is {state}: {reason}" if changed or failed else ""


class Watch:
    """Reads the daemon's status page and the coordinator's accounts; keeps the newest of each."""

    def __init__(self, house: House, http: aiohttp.ClientSession) -> None:
        self.status: Document = {}
        self.counts: Document = {}
        self._house = house
        self._http = http

    async def look(self) -> None:
        """Both; what does not answer stays as it was."""
        try:
            self.status = await self._get(f"{self._house.http}/status")
            self.counts = await self._get(f"{self._house.api_url}/sim/counts")
        except (aiohttp.ClientError, TimeoutError):
            return  # a process that ended is noticed by who waits for its end

    async def until(self, true: Callable[[], bool]) -> None:
        """Look again and again, until what was seen makes it true."""
        await self.look()
        while not true():
            await asyncio.sleep(LOOK_EVERY_S)
            await self.look()

    async def accepted(self) -> Document:
        """Everything that the coordinator holds, each with who heard it where."""
        return await self._get(f"{self._house.api_url}/sim/accepted")

    @property
    def gateway_size(self) -> int:
        return int(self._store.get("size", 0))

    @property
    def gateway_root(self) -> str:
        return str(self._store.get("root", ""))

    @property
    def backlog(self) -> int:
        return int(self._store.get("backlog", 0))

    @property
    def conflicts(self) -> int:
        return int(self._store.get("conflictsPending", 0))

    @property
    def health(self) -> int:
        return int(self.status.get("score", 0))

    @property
    def link(self) -> str:
        """``connected``, ``down`` or ``halted``."""
        return str(self.status.get("link", {}).get("state", "down"))

    @property
    def link_reason(self) -> str:
        """Why it is not connected."""
        return str(self.status.get("link", {}).get("reason", ""))

    @property
    def link_faults(self) -> int:
        """Links and attempts that ended so far."""
        return sum(self.status.get("link", {}).get("faults", {}).values())

    def frames(self, radio: str) -> int:
        """Frames that a radio has heard and taken."""
        frames = self.status.get("radios", {}).get(radio, {}).get("frames", {})
        return int(frames.get("ok", 0))

    @property
    def held(self) -> tuple[int, str]:
        """Size and root of the gateway's log at the coordinator."""
        origins = self.counts.get("gateways", {}).get(GATEWAY, {}).get("origins", {})
        told = origins.get(ORIGIN, {"size": 0, "root": ""})
        return int(told["size"]), str(told["root"])

    @property
    def _store(self) -> Document:
        store: Document = self.status.get("store", {})
        return store

    async def _get(self, url: str) -> Document:
        bearer = (
            {"Authorization": f"Bearer {self._house.token}"} if url.startswith(self._house.api_url) else {}
        )
        async with self._http.get(url, headers=bearer) as response:
            document: Document = await response.json(content_type=None)
            return document
