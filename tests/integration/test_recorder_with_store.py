"""Uploads through the real recorder into the real store, audited by the textbook."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest
from store_rig import NOW, audit, store_rig

from gateway.core.message.downlink import Loose, Nack, Promise, Resume
from gateway.core.refusal import Refusal
from gateway.model import RetentionPolicy
from gateway.store import Limits
from simulators.wallets.season import Season
from simulators.wallets.uploads import contents, hello, snapshot_cbor, transactions_cbor
from simulators.wallets.wallet import Payment, Wallet


def wallet(name: str) -> Wallet:
    return Wallet(name.encode().ljust(32, b"."))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "gateway.db"


async def test_a_snapshot_is_promised_and_its_promise_verifies_offline(path: Path) -> None:
    alice = wallet("alice")
    for n in range(5):
        alice.pay(wallet("bob").device_id, n + 0.5, NOW)
    over = alice.hand_over(NOW)
    async with store_rig(path) as rig:
        (promise,) = await rig.promised(snapshot_cbor(over), over.content)
        assert (promise.index, promise.origin) == (0, "offgrid/kibera-07/1")
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.objects) == (5, 7)
        assert (await audit(rig.store))[0] == [p.transaction.identity for p in over.payments]


async def test_the_same_bytes_get_the_same_answer_also_after_a_restart(path: Path) -> None:
    alice = wallet("alice")
    alice.pay(wallet("bob").device_id, 5, NOW)
    message = snapshot_cbor(alice.hand_over(NOW))
    async with store_rig(path) as rig:
        first = await rig.send(message)
        again = await rig.send(message)
    async with store_rig(path) as rig:
        rig.now_ms += 5_000
        later = await rig.send(message)
        assert (await rig.store.head()).size == 1
    assert not first.duplicate
    assert again.duplicate
    assert later.duplicate
    assert first.answer == again.answer == later.answer


async def test_an_upload_on_a_base_logs_only_what_is_new(path: Path) -> None:
    alice = wallet("alice")
    for n in range(3):
        alice.pay(wallet("bob").device_id, n + 1, NOW)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(alice.hand_over(NOW)))
        for n in range(70):
            base = len(alice.ledger)
            alice.pay(wallet("bob").device_id, n + 1, NOW)
            over = alice.hand_over(NOW + n + 1)
            (promise,) = await rig.promised(snapshot_cbor(over, base), over.content)
            assert promise.index == n + 1
        batch = await rig.store.read_batch(70)
        assert len(batch.entries[0].objects) == 2
        found = await audit(rig.store)
        assert found[70] == [p.transaction.identity for p in alice.ledger]


async def test_a_base_that_is_not_held_is_answered_with_what_is_and_then_with_loose(path: Path) -> None:
    alice = wallet("alice")
    for n in range(4):
        alice.pay(wallet("bob").device_id, n + 1, NOW)
    async with store_rig(path) as rig:
        over = alice.hand_over(NOW)
        assert (await rig.send(snapshot_cbor(over, 2))).answer == Resume(())
        held = alice.sign_over(alice.ledger[:3], NOW)
        await rig.send(snapshot_cbor(held))
        expected = Resume(((3, over.prefix_root(3)),))
        for n in range(3):
            over = alice.hand_over(NOW + n)
            assert (await rig.send(snapshot_cbor(over, 2))).answer == expected
        assert (await rig.send(snapshot_cbor(alice.hand_over(NOW), 2))).answer == Loose()


async def test_a_payment_in_two_ledgers_is_stored_once(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    payment = alice.pay(bob.device_id, 5, NOW)
    receipted = bob.accept(payment, NOW)
    alice.enter(receipted)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(bob.hand_over(NOW)))
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.unverified_transactions) == (0, 1)
        await rig.send(snapshot_cbor(alice.hand_over(NOW)))
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.unverified_transactions) == (1, 0)
        assert figures.objects == 6  # two headers, two keys, one payment, one receipt
        await audit(rig.store)


async def test_what_waits_for_a_key_is_verified_when_the_key_is_proven(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    for n in range(100):
        bob.enter(alice.pay(bob.device_id, n + 1, NOW))
    other = alice.signed(bob.device_id, 9, 200, NOW)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(bob.hand_over(NOW)))
        assert (await rig.store.figures()).unverified_transactions == 100
        await rig.send(transactions_cbor(alice.key, [Payment(other)]))
        figures = await rig.store.figures()
        while figures.unverified_transactions:  # 64 of them a commit, whenever the store has nothing to do
            figures = await rig.store.figures()
        assert figures.verified_transactions == 101
        assert figures.unproven_bytes == 0


async def test_a_key_that_was_only_said_is_proven_by_what_it_signed(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    bob.enter(alice.pay(bob.device_id, 5, NOW))
    async with store_rig(path) as rig:
        assert hello(alice.key)
        await rig.store.add_candidate(alice.key)
        await rig.send(snapshot_cbor(bob.hand_over(NOW)))
        assert (await rig.store.figures()).verified_transactions == 1


async def test_loose_transactions_are_promised_one_by_one(path: Path) -> None:
    alice = wallet("alice")
    payments = [alice.pay(wallet("bob").device_id, n + 1, NOW) for n in range(3)]
    async with store_rig(path) as rig:
        first = await rig.promised(transactions_cbor(alice.key, payments[:2]), *contents(payments[:2]))
        assert [p.index for p in first] == [0, 0]
        rig.now_ms += 10
        mixed = await rig.promised(transactions_cbor(alice.key, payments), *contents(payments))
        assert [(p.index, p.received_at) for p in mixed] == [(0, NOW), (0, NOW), (1, NOW + 10)]
        await audit(rig.store)


async def test_a_forged_payment_does_not_lock_the_true_one_out(path: Path) -> None:
    """Somebody replays the ledger of a wallet with ruined signatures before the wallet itself comes."""
    alice, bob = wallet("alice"), wallet("bob")
    for n in range(3):
        alice.enter(bob.pay(alice.device_id, n + 1, NOW))
    over = alice.hand_over(NOW)
    ruined = tuple(replace(p, transaction=replace(p.transaction, signature=bytes(64))) for p in over.payments)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(bob.hand_over(NOW)))
        forged = replace(over, payments=ruined)
        await rig.send(snapshot_cbor(forged))
        (promise,) = await rig.promised(snapshot_cbor(over), over.content)
        assert promise.index == 1
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.invalid_transactions) == (3, 0)


async def test_the_true_transactions_of_a_ruined_snapshot_are_logged_when_they_come(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    for n in range(3):
        alice.pay(bob.device_id, n + 1, NOW)
    over = alice.hand_over(NOW)
    ruined = tuple(replace(p, transaction=replace(p.transaction, signature=bytes(64))) for p in over.payments)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(replace(over, payments=ruined)))
        assert (await rig.store.figures()).invalid_transactions == 3
        (promise,) = await rig.promised(snapshot_cbor(over), over.content)
        assert promise.index == 0
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.size) == (3, 2)
        await audit(rig.store)


async def test_two_texts_under_one_nonce_are_kept_and_counted_as_a_conflict(path: Path) -> None:
    alice, bob, carol = wallet("alice"), wallet("bob"), wallet("carol")
    first = alice.signed(bob.device_id, 5, 1, NOW)
    same_receiver = alice.signed(bob.device_id, 6, 1, NOW, b"x")
    other_receiver = alice.signed(carol.device_id, 5, 1, NOW, b"y")
    async with store_rig(path) as rig:
        await rig.send(transactions_cbor(alice.key, [Payment(first)]))
        assert (await rig.store.figures()).conflicts == 0
        await rig.send(transactions_cbor(alice.key, [Payment(same_receiver)]))
        figures = await rig.store.figures()
        assert (figures.conflicts, figures.conflicts_pending, figures.double_spends) == (1, 1, 0)
        await rig.send(transactions_cbor(alice.key, [Payment(other_receiver)]))
        figures = await rig.store.figures()
        assert (figures.conflicts, figures.double_spends, figures.verified_transactions) == (1, 1, 3)


async def test_more_texts_than_eight_under_one_nonce_are_not_kept(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    texts = [Payment(alice.signed(bob.device_id, 5, 1, NOW, bytes([n]))) for n in range(9)]
    async with store_rig(path) as rig:
        for text in texts[:8]:
            assert isinstance((await rig.send(transactions_cbor(alice.key, [text]))).answer, Promise)
        answer = (await rig.send(transactions_cbor(alice.key, texts[8:]))).answer
        assert isinstance(answer, Nack)
        assert answer.code == Refusal.QUOTA
        over = alice.sign_over(texts, NOW)
        assert isinstance((await rig.send(snapshot_cbor(over))).answer, Promise)
        (listed,) = (await audit(rig.store)).values()
        assert len(listed) == 9
        assert (
            await rig.store.head()
        ).size == 8 + 7 + 1  # the texts, evidence of each beyond the first, this


async def test_candidates_of_one_identity_are_bounded_and_the_right_one_still_gets_in(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    payment = alice.signed(bob.device_id, 5, 1, NOW)
    async with store_rig(path) as rig:
        for n in range(6):
            forged = Payment(replace(payment, signature=bytes([n + 1]) * 64))
            await rig.send(transactions_cbor(bob.key, [forged]))
        assert (await rig.store.figures()).unverified_transactions == 4
        await rig.send(transactions_cbor(alice.key, [Payment(payment)]))
        assert (await rig.store.figures()).verified_transactions == 1


async def test_unproven_texts_beyond_their_share_are_left_out_of_a_snapshot(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    for n in range(20):
        bob.enter(alice.pay(bob.device_id, n + 1, NOW))
    async with store_rig(path, limits=Limits(unproven_bytes=1000)) as rig:
        over = bob.hand_over(NOW)
        assert isinstance((await rig.send(snapshot_cbor(over))).answer, Promise)
        figures = await rig.store.figures()
        assert 0 < figures.unproven_bytes <= 1000
        assert figures.unverified_transactions < 20
        assert len((await audit(rig.store))[0]) == 20
        bob.pay(alice.device_id, 5, NOW)
        over = bob.hand_over(NOW)
        assert isinstance((await rig.send(snapshot_cbor(over, 20))).answer, Promise)
        assert len((await audit(rig.store))[1]) == 21


async def test_a_full_disk_refuses_and_takes_up_again_when_there_is_room(path: Path) -> None:
    room = [1 << 40]
    alice = wallet("alice")
    async with store_rig(path, free_bytes=lambda: room[0]) as rig:
        room[0] = 1
        alice.pay(wallet("bob").device_id, 5, NOW)
        answer = (await rig.send(snapshot_cbor(alice.hand_over(NOW)))).answer
        assert isinstance(answer, Nack)
        assert answer.code == Refusal.STORAGE_FULL
        room[0] = 1 << 40
        assert isinstance((await rig.send(snapshot_cbor(alice.hand_over(NOW)))).answer, Promise)


async def test_pruning_waits_for_the_ack_and_keeps_proofs_lists_and_conflicts(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    for n in range(3):
        alice.pay(bob.device_id, n + 1, NOW)
    over = alice.hand_over(NOW)
    everything = RetentionPolicy(max_snapshots=0, received_before_ms=NOW + 10_000)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(over))
        assert (await rig.store.prune(everything)).entries == 0
        await rig.store.mark_acked(1, b"cosigned")
        freed = await rig.store.prune(everything)
        assert freed.entries == 1
        assert freed.body_bytes > 300
        place = await rig.store.content(over.content)
        assert place is not None
        assert await rig.store.body(over.content) is None
        alice.pay(bob.device_id, 9, NOW)
        again = alice.hand_over(NOW + 1)
        assert isinstance((await rig.send(snapshot_cbor(again, 3))).answer, Promise)
        whole = alice.hand_over(NOW + 2)
        assert isinstance((await rig.send(snapshot_cbor(whole))).answer, Promise)
        assert (await rig.store.figures()).verified_transactions == 4


async def test_what_is_pruned_waits_for_no_key_and_is_verified_when_it_is_brought_again(path: Path) -> None:
    alice, bob = wallet("alice"), wallet("bob")
    bob.enter(alice.pay(bob.device_id, 1, NOW))
    everything = RetentionPolicy(max_snapshots=0, received_before_ms=NOW + 10_000)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(bob.hand_over(NOW)))
    assert rows_waiting(path) == 1
    async with store_rig(path) as rig:
        await rig.store.mark_acked(1, b"cosigned")
        await rig.store.prune(everything)
    assert rows_waiting(path) == 0
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(alice.sign_over([], NOW)))
        assert (await rig.store.figures()).unverified_transactions == 1
        assert (await rig.send(snapshot_cbor(bob.hand_over(NOW + 1)))).tally.verified == 1
        figures = await rig.store.figures()
        assert (figures.verified_transactions, figures.unverified_transactions) == (1, 0)


def rows_waiting(path: Path) -> int:
    connection = sqlite3.connect(path)
    count: int = connection.execute("SELECT COUNT(*) FROM waiting").fetchone()[0]
    connection.close()
    return count


async def test_a_season_of_whole_ledgers_stores_each_payment_once(path: Path) -> None:
    season = Season(8, seed=3)
    async with store_rig(path) as rig:
        for handing in season.play(300, 12):
            over = handing.hand_over(season.now_ms)
            await rig.promised(snapshot_cbor(over), over.content)
        found = await audit(rig.store)
        figures = await rig.store.figures()
        assert figures.verified_transactions == 300
        assert figures.unverified_transactions == 0
        assert len(found) == figures.size
    async with store_rig(path) as rig:
        assert (await audit(rig.store)) == found
