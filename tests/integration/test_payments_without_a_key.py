"""TRANSACTIONS that say no key, as one text message brings a payment: under which keys they stand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from store_rig import Rig, audit, store_rig
from test_wallet_vectors_over_ble import reception

from gateway.core.admission import Admission, Rate, Rates
from gateway.core.message.downlink import Nack, Promise
from gateway.core.owed import Owed
from gateway.core.refusal import Refusal
from gateway.model import Source
from simulators.textbook.cbor import encode
from simulators.textbook.objects import KEY, Transaction
from simulators.wallets import Payment, Wallet
from simulators.wallets.uploads import contents, hello, snapshot_cbor

NOW = 1_790_000_000_000
SOURCE = Source(radio="gsm", peer="+491700000002", correlation_id="c")


def payer() -> tuple[Wallet, Payment]:
    alice = Wallet(b"alice".ljust(32, b"."))
    return alice, alice.pay("0011223344556677", 12.5, NOW)


def without_key(transaction: Transaction) -> bytes:
    return encode([3, None, [transaction.fields()]])


async def kinds(behind: Rig) -> list[list[int]]:
    """Of each entry's objects."""
    entries = (await behind.store.read_batch(0, 9)).entries
    return [[(one.body or b"..")[1] for one in entry.objects] for entry in entries]


async def test_under_the_key_of_a_hello_it_is_verified_and_the_key_logged_with_it(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk, (alice, payment) = reception(behind, Owed()), payer()
        await desk.message(SOURCE, hello(alice.key))
        await behind.promised(without_key(payment.transaction), *contents([payment]))
        assert (await behind.store.figures()).verified_transactions == 1
        assert await kinds(behind) == [[KEY, 1]]
        await audit(behind.store)


async def test_of_an_unknown_sender_it_is_kept_unverified_until_its_key_was_said(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk, (alice, payment) = reception(behind, Owed()), payer()
        text = without_key(payment.transaction)
        assert (await behind.send(text)).tally.unverified == 1
        figures = await behind.store.figures()
        assert (figures.verified_transactions, figures.unverified_transactions) == (0, 1)
        await desk.message(SOURCE, hello(alice.key))
        while (figures := await behind.store.figures()).unverified_transactions:
            pass  # it is looked at again while nobody asks
        assert (figures.verified_transactions, figures.size) == (1, 2)  # the key is logged by itself
        assert (await behind.send(text)).tally.known == 1
        await audit(behind.store)


async def test_one_that_fails_under_the_proven_key_of_its_sender_is_refused(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        alice, payment = payer()
        assert isinstance((await behind.send(snapshot_cbor(alice.hand_over(NOW)))).answer, Promise)
        forged = replace(payment.transaction, amount="99")
        answer = (await behind.send(without_key(forged))).answer
        assert isinstance(answer, Nack)
        assert answer.code is Refusal.SIGNATURE
        assert (await behind.store.head()).size == 1


async def test_a_blocked_sender_is_refused_though_no_key_is_said(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        alice, payment = payer()
        plenty = Rate(10_000, 1 << 30)
        admission = Admission(Rates(plenty, plenty, plenty), blocked={alice.device_id})
        desk = reception(behind, Owed())
        desk._admission = admission
        answer = (await desk.message(SOURCE, without_key(payment.transaction))).message
        assert isinstance(answer, Nack)
        assert answer.code is Refusal.BLOCKED
