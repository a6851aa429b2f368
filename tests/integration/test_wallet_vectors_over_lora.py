"""Every upload made with the wallet's own libraries, by LoRa fragments over GWMP into a real store."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lora_rig import lora_rig
from store_rig import NOW, PLENTY, store_rig
from vector_wallet import CASES, VectorWallet, allowed, leaves_of

from gateway.core.admission import Admission, Rate, Rates
from gateway.core.lora.promises import PromiseBook
from gateway.core.lora.regions import REGIONS
from gateway.model import Stamp, TimeQuality
from gateway.services.reception import Reception, Signer

ORIGIN = "offgrid/kibera-07/1"


async def hand_over_all(rig: Any, wallets: Sequence[VectorWallet]) -> None:
    async with asyncio.TaskGroup() as group:
        for wallet in wallets:
            group.create_task(rig.device(wallet).run())


async def test_every_upload_of_the_wallets_is_answered_as_expected_over_lora(tmp_path: Path) -> None:
    wide = Rate(messages=1_000_000, bytes=1 << 40)
    async with store_rig(tmp_path / "gateway.db") as behind:
        signed = behind.recorder._sign
        reception = Reception(
            behind.recorder,
            behind.store,
            Admission(Rates(radio=wide, peer=wide, device=wide)),
            Signer(gateway_id="kibera-07", key=behind.key, sign=signed),
            now=lambda: Stamp(NOW, TimeQuality.AGREED),
            monotonic=lambda: NOW / 1000,
            max_bytes=lambda: PLENTY,
            answered=lambda radio, word: None,
        )
        book = PromiseBook(signed)
        submit = reception.submit("lora", 0.05, book.write)
        region = REGIONS["US915"]
        async with (
            lora_rig(region=region, plan="US915", submit=submit, join=book.join) as rig,
            rig.forwarder() as forwarder,
        ):
            await forwarder.pulled.wait()
            wallets = [VectorWallet(behind.key, ORIGIN, CASES[n::12]) for n in range(12)]
            await hand_over_all(rig, wallets)
        head = await behind.store.head()
    outcomes = {name: outcome for wallet in wallets for name, outcome in wallet.outcomes.items()}
    assert len(outcomes) == len(CASES)
    for case in CASES:
        assert outcomes[case["name"]] in allowed(case), case["name"]
    assert head.size == leaves_of(CASES)
