"""Attackers who know a wallet's device id and all its payments, but not its key: it is never locked out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from daemon_rig import Daemon, House, ask, house, origin_of

from simulators.textbook.objects import Transaction
from simulators.wallets import Payment, Wallet
from simulators.wallets.receipts import verify_promise_json
from simulators.wallets.uploads import hello, snapshot_json, transactions_cbor

NOW_MS = 1_790_000_000_000


def wallet(name: str) -> Wallet:
    return Wallet(name.encode().ljust(32, b"."))


async def cbor(daemon: Daemon, message: bytes) -> int:
    address = await daemon.address("http")
    return (await ask(address, "POST", "/v1/snapshots", message, "application/cbor")).status


async def handed_over(daemon: Daemon, here: House, honest: Wallet) -> dict[str, int]:
    """The wallet's ledger is promised; what was made of its payments."""
    over = honest.hand_over(NOW_MS + len(honest.ledger))
    answer = await daemon.post(snapshot_json(over).encode())
    assert answer.status == 200, answer.body
    assert verify_promise_json(answer.json["promise"], here.public_key, [over.content])
    tally: dict[str, int] = answer.json["transactions"]
    return tally


def forged(victim: Wallet, nonce: int, salt: bytes = b"forged") -> Transaction:
    """Its text is the victim's, its signature another's."""
    text = victim.signed("ab" * 8, 1000.0, nonce, NOW_MS, salt)
    return replace(text, signature=wallet("mallory").signed("ab" * 8, 1000.0, nonce, NOW_MS).signature)


async def at_coordinator(here: House) -> dict[str, Any]:
    """Its counts, once it holds the whole log under the gateway's own root."""
    head = json.loads((await here.command("log", "show", "--json"))[1])["head"]
    counts = await here.coordinator.until(lambda counts: origin_of(counts)["size"] == head["size"])
    assert origin_of(counts)["root"] == head["root"]
    return counts


async def test_payments_forged_in_a_victim_s_name_take_nothing_from_it(tmp_path: Path) -> None:
    victim, mallory = wallet("victim"), wallet("mallory")
    async with house(tmp_path) as here, here.daemon() as daemon:
        for nonce in range(3):  # before anybody has heard of the victim: more texts than are kept of a nonce
            texts = [Payment(forged(victim, nonce, bytes([n]))) for n in range(12)]
            assert await cbor(daemon, transactions_cbor(mallory.key, texts)) in (200, 403)
        for n in range(3):
            victim.pay(mallory.device_id, n + 1.0, NOW_MS + n)
        assert await handed_over(daemon, here, victim) == tally(verified=3)

        late = [Payment(forged(victim, 3)), Payment(forged(victim, 2))]
        assert await cbor(daemon, transactions_cbor(mallory.key, late)) == 200
        victim.pay(mallory.device_id, 7.0, NOW_MS + 7)
        assert await handed_over(daemon, here, victim) == tally(verified=1, known=3)
        counts = await at_coordinator(here)
        assert counts["transactions"]["verified"] == 4
        assert counts["conflicts"] == 0
        assert (await daemon.figures(gateway_backlog_entries=0))["conflicts_total"] == 0


async def test_a_snapshot_under_the_victim_s_key_is_refused_and_the_victim_s_own_is_not(
    tmp_path: Path,
) -> None:
    victim = wallet("victim")
    async with house(tmp_path) as here, here.daemon() as daemon:
        for n in range(4):
            victim.pay("00" * 8, n + 1.0, NOW_MS + n)
            over = victim.hand_over(NOW_MS + 100 + n)
            for attempt in range(3):
                stolen = replace(over.header, signature=bytes([attempt]) * 64)
                answer = await daemon.post(snapshot_json(replace(over, header=stolen)).encode())
                assert (answer.status, answer.json["code"]) == (422, "signature")
            assert await handed_over(daemon, here, victim) == tally(verified=1, known=n)


async def test_keys_that_only_begin_as_the_victim_s_do_not_crowd_it_out(tmp_path: Path) -> None:
    victim, payee = wallet("victim"), wallet("payee")
    async with house(tmp_path) as here, here.daemon() as daemon:
        for n in range(12):  # one id, keys that nobody can sign with
            assert await cbor(daemon, hello(victim.key[:8] + bytes([n]) * 24)) == 200
        payee.enter(victim.pay(payee.device_id, 5.0, NOW_MS))
        assert await handed_over(daemon, here, payee) == tally(unverified=1)
        assert await handed_over(daemon, here, victim) == tally(verified=1)
        for n in range(12):
            assert await cbor(daemon, hello(victim.key[:8] + bytes([n]) * 24)) == 200
        payee.enter(victim.pay(payee.device_id, 6.0, NOW_MS + 1))
        assert await handed_over(daemon, here, payee) == tally(verified=1, known=1)
        assert await handed_over(daemon, here, victim) == tally(known=2)
        counts = await at_coordinator(here)
        assert counts["transactions"] == {"verified": 2}


async def test_garbage_slipped_into_an_honest_ledger_does_not_lock_its_owner_out(tmp_path: Path) -> None:
    honest, mallory = wallet("honest"), wallet("mallory")
    async with house(tmp_path) as here, here.daemon() as daemon:
        honest.pay(mallory.device_id, 1.0, NOW_MS)
        garbage = replace(mallory.signed(honest.device_id, 9.0, 0, NOW_MS), signature=b"\x5a" * 64)
        honest.enter(Payment(garbage))
        assert await handed_over(daemon, here, honest) == tally(verified=1, unverified=1)
        mallory.pay(honest.device_id, 2.0, NOW_MS)
        assert await handed_over(daemon, here, mallory) == tally(verified=1)  # now her key is known
        for n in range(3):
            honest.enter(Payment(replace(forged(mallory, 10 + n), signature=bytes(64))))
            honest.pay(mallory.device_id, 3.0 + n, NOW_MS + 1 + n)
            told = await handed_over(daemon, here, honest)
            assert (told["verified"], told["invalid"] >= 1, told["known"]) == (1, True, n + 1)
        counts = await at_coordinator(here)
        assert counts["transactions"]["verified"] == 5
        assert counts["transactions"]["invalid"] == 4


def tally(verified: int = 0, unverified: int = 0, invalid: int = 0, known: int = 0) -> dict[str, int]:
    return {"verified": verified, "unverified": unverified, "invalid": invalid, "known": known}
