"""Two wallets whose keys have one device id, both real: neither stands in the other's way.

Nobody can grind two keys with the same first 64 bits here, so ids are cut to 8 bits for these tests, wherever
the gateway computes one; everything else is the real thing.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest
from store_rig import NOW, Rig, audit, store_rig

import gateway.core.evidence
import gateway.core.judgement
import gateway.core.wallet.verify
import gateway.store.admission
import gateway.store.evidence
import gateway.store.group
import gateway.store.keybook
import gateway.store.waiting
from gateway.core.conflict import device_number
from gateway.core.evidence import Collision, verify_evidence
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Payment

MODULES = (
    gateway.core.evidence,
    gateway.store.evidence,
    gateway.core.judgement,
    gateway.core.wallet.verify,
    gateway.store.admission,
    gateway.store.group,
    gateway.store.keybook,
    gateway.store.waiting,
)


def short_id(key: bytes) -> str:
    return key[:1].hex().ljust(16, "0")


def short_number(key: bytes) -> int:
    number = device_number(short_id(key))
    assert number is not None
    return number


@pytest.fixture(autouse=True)
def ids_of_eight_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in MODULES:
        for name, short in (("device_id", short_id), ("key_number", short_number)):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, short)


def wallets() -> Iterator[Wallet]:
    number = 0
    while True:
        wallet = Wallet(sha256(f"colliding {number}".encode()).digest())
        wallet.device_id = short_id(wallet.key)
        yield wallet
        number += 1


def colliding(count: int) -> list[Wallet]:
    """So many wallets with one device id."""
    source = wallets()
    same = [next(source)]
    while len(same) < count:
        wallet = next(source)
        if wallet.device_id == same[0].device_id:
            same.append(wallet)
    return same


async def handed_over(rig: Rig, wallet: Wallet) -> tuple[int, int, int]:
    """Verified, unverified and invalid payments of a hand-over that was promised."""
    over = wallet.hand_over(NOW + len(wallet.ledger))
    message = snapshot_cbor(over)
    assert await rig.promised(message, over.content)
    tally = (await rig.send(message)).tally
    return tally.verified + tally.known, tally.unverified, tally.invalid


async def test_two_proven_keys_under_one_id_each_verify_their_own_and_none_the_other_s(
    tmp_path: Path,
) -> None:
    victim, attacker = colliding(2)
    async with store_rig(tmp_path / "gateway.db") as rig:
        for n in range(3):
            attacker.pay("00" * 8, 100.0 + n, NOW + n)
            assert await handed_over(rig, attacker) == (n + 1, 0, 0)
            victim.pay("11" * 8, 1.0 + n, NOW + n)
            assert await handed_over(rig, victim) == (n + 1, 0, 0)
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.invalid_transactions) == (6, 0)
        await audit(rig.store)
    async with store_rig(tmp_path / "gateway.db") as rig:
        victim.pay("11" * 8, 9.0, NOW + 9)
        assert await handed_over(rig, victim) == (4, 0, 0)


async def test_the_payee_of_either_holds_payments_of_both(tmp_path: Path) -> None:
    victim, attacker = colliding(2)
    payee = Wallet(sha256(b"payee").digest())
    payee.device_id = short_id(payee.key)
    async with store_rig(tmp_path / "gateway.db") as rig:
        payee.enter(victim.pay(payee.device_id, 1.0, NOW))
        payee.enter(attacker.pay(payee.device_id, 2.0, NOW + 1))
        assert await handed_over(rig, payee) == (0, 2, 0)
        assert await handed_over(rig, attacker) == (1, 0, 0)
        assert await handed_over(rig, victim) == (1, 0, 0)
        payee.enter(victim.pay(payee.device_id, 3.0, NOW + 2))
        assert await handed_over(rig, payee) == (3, 0, 0)
        assert (await rig.store.figures()).verified_transactions == 3


async def test_more_proven_keys_than_are_tried_do_not_keep_the_owner_of_a_ledger_out(tmp_path: Path) -> None:
    *attackers, victim = colliding(7)
    async with store_rig(tmp_path / "gateway.db") as rig:
        for attacker in attackers:
            await rig.store.add_candidate(attacker.key)
            attacker.pay("00" * 8, 100.0, NOW)
            assert await handed_over(rig, attacker) == (1, 0, 0)
        for n in range(3):
            victim.pay("11" * 8, 1.0 + n, NOW + n)
            assert await handed_over(rig, victim) == (n + 1, 0, 0)


async def test_two_keys_under_one_id_are_evidence_and_their_payments_under_one_nonce_are_no_conflict(
    tmp_path: Path,
) -> None:
    victim, attacker = colliding(2)
    async with store_rig(tmp_path / "gateway.db") as rig:
        victim.pay("11" * 8, 1.0, NOW)
        attacker.pay("22" * 8, 1.0, NOW)  # the same id and nonce, another receiver
        await handed_over(rig, victim)
        await handed_over(rig, attacker)
        figures = await rig.store.figures()
        assert (figures.conflicts, figures.evidence) == (0, {"key_collision": 1})
        ((body,), _) = await rig.store.evidence_to_tell()
        found = verify_evidence(body)
        assert isinstance(found, Collision)
        assert {found.first.key, found.second.key} == {victim.key, attacker.key}
        attacker.enter(Payment(attacker.signed("33" * 8, 2.0, 0, NOW + 5, b"again")))
        await handed_over(rig, attacker)
        assert (await rig.store.figures()).conflicts == 1
        await audit(rig.store)
