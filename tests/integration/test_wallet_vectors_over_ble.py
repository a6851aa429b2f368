"""Every upload made with the wallet's own libraries, by phone over Bluetooth into a real store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from store_rig import NOW, PLENTY, Rig, store_rig
from vector_wallet import CASES, VectorWallet, allowed, in_json, leaves_of

from drivers.ble import BleDriver
from gateway.core.admission import Admission, Rate, Rates
from gateway.core.last_way import Told
from gateway.core.owed import Owed
from gateway.model import Stamp, TimeQuality
from gateway.services import frame_intake
from gateway.services.contacts import Contacts
from gateway.services.reception import Reception, Signer
from gateway.systemclock import SystemClock
from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import TcpPort

ORIGIN = "offgrid/kibera-07/1"
MTUS = (23, 185, 247, 517)


class JsonWallet:
    """Hands over cases in the wallet's own JSON."""

    def __init__(self, cases: list[dict[str, Any]]) -> None:
        self.cases = cases
        self.outcomes: dict[str, str] = {}

    def next_message(self) -> bytes | None:
        self.case = self.cases.pop(0) if self.cases else {}
        return in_json(self.case) if self.case else None

    def on_answer(self, answer: bytes) -> None:
        told = json.loads(answer)
        self.outcomes[self.case["name"]] = "accepted" if told["status"] == "accepted" else told["code"]


def reception(
    behind: Rig, owed: Owed | None = None, told: Callable[[], Told | None] = lambda: None
) -> Reception:
    wide = Rate(messages=1_000_000, bytes=1 << 40)
    return Reception(
        behind.recorder,
        behind.store,
        Admission(Rates(radio=wide, peer=wide, device=wide)),
        Signer(gateway_id="kibera-07", key=behind.key, sign=behind.recorder._sign),
        now=lambda: Stamp(NOW, TimeQuality.AGREED),
        monotonic=lambda: NOW / 1000,
        max_bytes=lambda: PLENTY,
        answered=lambda radio, word: None,
        owed=owed,
        told=told,
    )


@asynccontextmanager
async def gateway(air: Air, behind: Rig) -> AsyncIterator[None]:
    """The driver with the intake that answers each frame by the way it came."""
    owed = Owed()
    desk = Contacts("ble", 0.002, reception(behind, owed), behind.store, owed)
    async with TcpPort(VirtualController(air, "dongle", public_address="C0:FF:EE:00:00:01/P")) as port:
        settings = {"controller": port.address, "peer_messages_per_minute": 1000}
        driver = BleDriver("ble", settings, clock=SystemClock())
        taking = asyncio.create_task(frame_intake.take(driver, desk.submit, desk))
        try:
            yield
        finally:
            taking.cancel()
            await asyncio.wait([taking])


async def visit(air: Air, number: int, wallet: VectorWallet | JsonWallet) -> None:
    traits = Traits(mtu=MTUS[number % len(MTUS)], with_response=number % 3 == 0)
    phone = Phone(air, number, traits, next_message=wallet.next_message, on_answer=wallet.on_answer)
    await phone.visit()
    phone.close()


async def hand_over_all(wallets: Sequence[VectorWallet | JsonWallet], behind: Rig) -> None:
    air = Air()
    async with gateway(air, behind):
        await asyncio.gather(*(visit(air, number, wallet) for number, wallet in enumerate(wallets)))
    outcomes = {name: outcome for wallet in wallets for name, outcome in wallet.outcomes.items()}
    assert len(outcomes) == len(CASES)
    for case in CASES:
        assert outcomes[case["name"]] in allowed(case), case["name"]
    assert (await behind.store.head()).size == leaves_of(CASES)


async def test_every_upload_is_answered_as_expected_in_cbor(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "gateway.db") as behind:
        wallets = [VectorWallet(behind.key, ORIGIN, CASES[n::8]) for n in range(8)]
        await hand_over_all(wallets, behind)


async def test_every_upload_is_answered_as_expected_in_the_wallets_json(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "gateway.db") as behind:
        await hand_over_all([JsonWallet(CASES[n::8]) for n in range(8)], behind)
