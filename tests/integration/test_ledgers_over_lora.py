"""Wallets that pay each other and hand over by LoRa what is new in their ledgers, into a real store."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lora_rig import lora_rig
from store_rig import NOW, PLENTY, audit, store_rig

from gateway.core.admission import Admission, Rate, Rates
from gateway.core.lora.promises import PromiseBook
from gateway.core.lora.regions import REGIONS
from gateway.model import Stamp, TimeQuality
from gateway.services.reception import Reception, Signer
from simulators.lora.ledger import LedgerWallet
from simulators.wallets import Season

ORIGIN = "offgrid/kibera-07/1"


def reception_of(behind: Any) -> Reception:
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
    )


async def hand_over(rig: Any, wallets: list[LedgerWallet]) -> int:
    """All hand over what is new; the bytes that took on the air."""
    devices = [rig.device(wallet) for wallet in wallets]
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.run())
    return sum(device.airtime_us for device in devices)


async def test_ledgers_grow_by_what_is_new_and_every_promise_verifies(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "gateway.db") as behind:
        book = PromiseBook(behind.recorder._sign)
        submit = reception_of(behind).submit("lora", 0.02, book.write)
        season = Season(6, seed=3, start_ms=NOW - 90 * 86_400_000)
        wallets = [
            LedgerWallet(wallet, behind.key, [ORIGIN], lambda: season.now_ms) for wallet in season.wallets
        ]
        async with (
            lora_rig(region=REGIONS["US915"], plan="US915", submit=submit, join=book.join) as rig,
            rig.forwarder() as forwarder,
        ):
            await forwarder.pulled.wait()
            airtimes = []
            for _ in range(3):
                for _ in range(60):
                    season.pay()
                airtimes.append(await hand_over(rig, wallets))
        lists = await audit(behind.store)
    assert all(wallet.held == len(wallet.wallet.ledger) for wallet in wallets)
    assert all(len(wallet.promises) >= 3 for wallet in wallets)
    assert sum(wallet.counts["accepted"] for wallet in wallets) == len(lists)
    assert max(airtimes) < 2 * min(airtimes)  # the ledgers grew threefold, the hand-overs did not


async def test_a_wallet_that_lost_its_memory_is_told_where_to_resume(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "gateway.db") as behind:
        submit = reception_of(behind).submit("lora", 0.02, PromiseBook(behind.recorder._sign).write)
        season = Season(2, seed=4, start_ms=NOW - 90 * 86_400_000)
        for _ in range(30):
            season.pay()
        first = LedgerWallet(season.wallets[0], None, [], lambda: season.now_ms)
        async with (
            lora_rig(region=REGIONS["US915"], plan="US915", submit=submit) as rig,
            rig.forwarder() as forwarder,
        ):
            await forwarder.pulled.wait()
            await hand_over(rig, [first])
            for _ in range(10):
                season.pay()
            confused = LedgerWallet(season.wallets[0], behind.key, [ORIGIN], lambda: season.now_ms)
            confused._base = 35  # a prefix that the gateway does not hold
            await hand_over(rig, [confused])
    assert first.counts["beacons"] == 1
    assert (first.gateway_key, first.origins) == (behind.key, [ORIGIN])
    assert first.held == 30
    assert confused.counts["resumed"] == 1
    assert confused.held == 40
