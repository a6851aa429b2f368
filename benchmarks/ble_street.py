"""The real daemon at a simulated dongle on a UART of 1 Mbaud, phones with wallets, and what it tells."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from simulators.demo.carriers import session
from simulators.demo.house import GATEWAY, House, house
from simulators.demo.watch import Watch
from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.ledger import PhoneWallet
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import PtyPort
from simulators.wallets import Wallet

NOW_MS = 1_790_000_000_000
LINKS = 20
LOOK_EVERY_S = 0.1

RADIO = "ble"
ADVERTISING = f"advertising OFFGRID_{GATEWAY}"

Figures = Mapping[tuple[str, ...], float]
"""By the metric's name and what labels it has besides the radio's (or the service's) name."""


class Street:
    """Owns its phones."""

    def __init__(
        self, air: Air, port: PtyPort, here: House, watch: Watch, http: aiohttp.ClientSession
    ) -> None:
        self.air = air
        self.port = port
        self.here = here
        self.watch = watch
        self._http = http
        self._phones: list[Phone] = []
        self._strangers = 0

    def wallet(self, name: str, payments: int, *, as_json: bool = False) -> PhoneWallet:
        """One that nobody has met, and that knows the gateway's key."""
        owner = Wallet(sha256(name.encode()).digest())
        for n in range(payments):
            owner.pay("0011223344556677", 1, NOW_MS + n)
        return PhoneWallet(owner, lambda: NOW_MS, gateway_key=self.here.gateway_key, as_json=as_json)

    def stranger(self, payments: int) -> PhoneWallet:
        """Another one each time."""
        self._strangers += 1
        return self.wallet(f"stranger {self._strangers}", payments)

    def phone(self, who: PhoneWallet, traits: Traits) -> Phone:
        phone = Phone(
            self.air,
            len(self._phones) + 1,
            traits,
            next_message=who.next_message,
            on_answer=who.on_answer,
            on_notice=who.on_notice,
        )
        self._phones.append(phone)
        return phone

    async def figures(self) -> Figures:
        """What the metrics page says of the radio."""
        told = await self.here.daemon.said(message="listening", server="metrics")
        async with self._http.get(f"http://{told['address']}/metrics") as answer:
            families = text_string_to_metric_families(await answer.text())
        samples = [sample for family in families for sample in family.samples]
        return {
            (sample.name, *(value for value in sample.labels.values() if value != RADIO)): sample.value
            for sample in samples
            if RADIO in sample.labels.values()
        }

    async def until(self, true: Callable[[Figures], bool]) -> Figures:
        """The figures, as soon as they are so."""
        while not true(figures := await self.figures()):  # noqa: ASYNC110 - the page can only be asked
            await asyncio.sleep(LOOK_EVERY_S)
        return figures

    def lines(self, message: str, **fields: object) -> list[dict[str, Any]]:
        """What the daemon has said so far with this message and these fields."""
        lines = [
            json.loads(line) for line in self.here.daemon.log.read_text().splitlines() if message in line
        ]
        return [line for line in lines if {"message": message, **fields}.items() <= line.items()]

    async def said(self, message: str, after: int = 0, **fields: object) -> dict[str, Any]:
        """The first such line beyond the first ``after``."""
        while len(lines := self.lines(message, **fields)) <= after:  # noqa: ASYNC110 - a file can only be read
            await asyncio.sleep(LOOK_EVERY_S)
        return lines[after]

    def close(self) -> None:
        for phone in self._phones:
            phone.close()


@asynccontextmanager
async def street(folder: Path, seed: int, **options: object) -> AsyncIterator[Street]:
    """``options``: the driver's own settings."""
    logging.getLogger("bumble").setLevel(logging.CRITICAL)  # phones that vanish are what this is about
    air = Air(seed)
    dongle = VirtualController(air, "dongle", public_address="C0:FF:EE:00:00:01/P", max_connections=LINKS)
    async with PtyPort(dongle, link=folder / "hci") as port, session() as http:
        ble = {"controller": port.address, "options": options}
        async with house(folder, Random(seed), ble=ble, logging={"level": "debug"}) as here:
            await here.daemon.said(message=ADVERTISING)
            at = Street(air, port, here, Watch(here, http), http)
            try:
                yield at
            finally:
                at.close()
