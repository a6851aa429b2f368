"""The limits of the store as the configuration sets them: each refuses what is beyond it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from store_rig import NOW, store_rig

from gateway.app.settings import store_settings
from gateway.config import load
from gateway.core.message.downlink import Downlink, Nack, Promise
from gateway.core.refusal import Refusal
from gateway.store import Limits
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor
from simulators.wallets.wallet import Payment, Wallet

SMALL = """\
gateway: {id: gw_1, location: {lat: 1, lon: 2, name: Here}, type: mesh}
network: {api_url: https://c.example, ws_url: wss://c.example}
"""


def configured(folder: Path, storage: str = "", limits: str = "") -> Limits:
    path = folder / "config.yml"
    path.write_text(f"{SMALL}storage: {{path: gateway.db, {storage}}}\nlimits: {{{limits}}}\n")
    return store_settings(load(path)).limits


def wallet(name: str) -> Wallet:
    return Wallet(name.encode().ljust(32, b"."))


def refusal_of(answer: Downlink) -> Refusal:
    assert isinstance(answer, Nack)
    return answer.code


async def test_less_than_min_free_mb_of_disk_takes_nothing_new(tmp_path: Path) -> None:
    limits, room, alice = configured(tmp_path, storage="min_free_mb: 7"), [(7 << 20) - 1], wallet("alice")
    alice.pay(wallet("bob").device_id, 5, NOW)
    over = snapshot_cbor(alice.hand_over(NOW))
    async with store_rig(tmp_path / "db", limits=limits, free_bytes=lambda: room[0]) as rig:
        assert refusal_of((await rig.send(over)).answer) == Refusal.STORAGE_FULL
        room[0] += 1
        assert isinstance((await rig.send(over)).answer, Promise)


async def test_no_unverified_disk_percent_keeps_nothing_that_no_key_has_verified(tmp_path: Path) -> None:
    limits, alice = configured(tmp_path, limits="unverified_disk_percent: 0"), wallet("alice")
    payment = alice.signed(wallet("bob").device_id, 5, 1, NOW)
    forged = Payment(replace(payment, signature=bytes(64)))
    async with store_rig(tmp_path / "db", limits=limits) as rig:
        assert refusal_of((await rig.send(transactions_cbor(alice.key, [forged]))).answer) == Refusal.QUOTA
        assert isinstance((await rig.send(transactions_cbor(alice.key, [Payment(payment)]))).answer, Promise)
        assert (await rig.store.figures()).unproven_bytes == 0


async def test_max_texts_per_nonce_are_kept_and_no_more(tmp_path: Path) -> None:
    limits, alice = configured(tmp_path, limits="max_texts_per_nonce: 3"), wallet("alice")
    texts = [Payment(alice.signed(wallet("bob").device_id, 5, 1, NOW, bytes([n]))) for n in range(4)]
    async with store_rig(tmp_path / "db", limits=limits) as rig:
        answers = [(await rig.send(transactions_cbor(alice.key, [text]))).answer for text in texts]
        assert all(isinstance(answer, Promise) for answer in answers[:3])
        assert refusal_of(answers[3]) == Refusal.QUOTA
