"""Two gateways in one air: they find each other, the lesser id dials, whole messages go both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from ble_rig import Wallet, receipt, snapshot

from drivers.base import GatewayLink, TxRequest
from drivers.ble import BleDriver
from drivers.errors import TransmitRefused
from gateway.systemclock import SystemClock
from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import TcpPort
from simulators.phones.timing import RadioTiming


class Hill:
    """A gateway's driver at a controller of its own, and the links it has made."""

    def __init__(self, name: str, controller: VirtualController) -> None:
        self.name = name
        self.controller = controller
        self.driver: BleDriver
        self.links: asyncio.Queue[GatewayLink] = asyncio.Queue()

    @asynccontextmanager
    async def up(self, *, seeking: bool = True) -> AsyncIterator[Hill]:
        async with TcpPort(self.controller) as port:
            settings = {"controller": port.address, "id": self.name, "max_message_bytes": 200_000}
            self.driver = BleDriver("ble", settings, clock=SystemClock())
            async with self.driver:
                tasks = [asyncio.create_task(self._answer())]
                if seeking:
                    tasks.append(asyncio.create_task(self._seek()))
                try:
                    yield self
                finally:
                    for task in tasks:
                        task.cancel()
                    await asyncio.gather(*tasks, return_exceptions=True)

    async def _seek(self) -> None:
        async for link in self.driver.links():
            self.links.put_nowait(link)

    async def _answer(self) -> None:
        async for frame in self.driver.frames():
            await self.driver.transmit(TxRequest(payload=receipt(frame.payload), reply_to=frame.reply_to))


def hills(*names: str, timing: RadioTiming | None = None) -> tuple[Air, list[Hill]]:
    air = Air()
    return air, [
        Hill(name, VirtualController(air, name, public_address=f"C0:FF:EE:00:00:{n:02X}/P", timing=timing))
        for n, name in enumerate(names, 1)
    ]


async def test_two_gateways_link_whichever_dials_and_hand_each_other_whole_messages() -> None:
    _, (a, b) = hills("hill-a", "hill-b")
    async with a.up(), b.up():
        to_b, to_a = await a.links.get(), await b.links.get()
        assert (to_b.gateway_id, to_a.gateway_id) == ("hill-b", "hill-a")
        there, back = [snapshot(size, size) for size in (1, 300, 100_000)], [snapshot(50_000, 7), b"end"]
        sending = asyncio.gather(*(to_b.send(m) for m in there), *(to_a.send(m) for m in back))
        at_b, at_a = to_a.messages(), to_b.messages()
        assert [await anext(at_b) for _ in there] == there
        assert [await anext(at_a) for _ in back] == back
        await sending
        assert a.driver.stats().gauges["gateway_links"] == b.driver.stats().gauges["gateway_links"] == 1
        assert (a.driver.stats().gauges["links"], b.driver.stats().gauges["links"]) == (0, 1)  # a dialled


async def test_phones_are_served_while_gateways_are_linked() -> None:
    air, (a, b) = hills("hill-a", "hill-b")
    async with a.up(), b.up():
        await a.links.get()
        for number, name in enumerate(("hill-a", "hill-b")):
            wallet = Wallet(snapshot(5_000, number))
            phone = Phone(air, number, Traits(), next_message=wallet.next_message, on_answer=wallet.on_answer)
            await phone.visit(f"OFFGRID_{name}")
            phone.close()
            assert wallet.left == []


async def test_a_gateway_that_wants_no_links_is_not_linked() -> None:
    _, (a, b) = hills("hill-a", "hill-b")
    async with a.up() as asking, b.up(seeking=False):
        while "hill-b" not in asking.driver._neighbours._not_before:
            await asyncio.sleep(0.01)
        assert asking.links.empty()
        assert b.driver.stats().gauges["gateway_links"] == 0


async def test_a_link_out_of_range_ends_for_both_and_is_made_again_when_they_are_back() -> None:
    timing = RadioTiming(instant=False, interval_s=0.0075, supervision_s=0.2)
    _, (a, b) = hills("hill-a", "hill-b", timing=timing)
    message = snapshot(60_000, 1)
    async with a.up(), b.up():
        link, far = await a.links.get(), await b.links.get()
        sending = asyncio.create_task(link.send(message))
        held = b.driver._neighbours._uploads
        while held.held_bytes < 20_000:
            await asyncio.sleep(0.005)
        b.controller.set_range(False)
        with pytest.raises(TransmitRefused, match="out of range") as refused:
            await sending
        assert refused.value.reason == "no_route"
        assert [message async for message in far.messages()] == []
        with pytest.raises(TransmitRefused, match="out of range"):
            await link.send(b"too late")
        parked = held.held_bytes
        assert parked >= 20_000
        b.controller.set_range(True)
        again, far = await a.links.get(), await b.links.get()
        await again.send(message)
        assert await anext(far.messages()) == message


async def test_a_gateway_that_takes_nothing_is_told_to_the_sender() -> None:
    _, (a, b) = hills("hill-a", "hill-b")
    async with a.up(), b.up():
        link = await a.links.get()
        for n in range(16):
            await link.send(b"%d" % n)
        with pytest.raises(TransmitRefused, match="busy") as full:
            await link.send(b"one more")
        assert full.value.reason == "queue_full"
        with pytest.raises(TransmitRefused, match="bytes"):
            await link.send(bytes(200_001))


async def test_a_driver_that_closes_ends_its_links_and_the_search_for_more() -> None:
    _, (a, b) = hills("hill-a", "hill-b")
    async with a.up():
        async with b.up():
            link = await a.links.get()
        assert [message async for message in link.messages()] == []
        assert [one async for one in b.driver.links()] == []
