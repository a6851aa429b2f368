"""Double spends from a wallet's upload to the coordinator's decision: real stores, links and coordinator."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import NOW, Gateway
from sync_rig import open_coordinator
from vector_wallet import CASES, message_of

from gateway.core.answer import Answer
from gateway.core.conflict import Rule
from gateway.core.evidence import EvidenceKind, Spent, verify_evidence
from gateway.core.message.downlink import Conflict, Promise, encode_downlink
from gateway.core.notice import Notice, read_decision
from gateway.model import RetentionPolicy
from simulators.coordinator import Coordinator
from simulators.textbook import evidence as textbook
from simulators.textbook.signing import sign
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor
from simulators.wallets.wallet import Payment

CONFLICTS = [case for case in CASES if "conflict" in case["expect"]]


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    async with open_coordinator(tmp_path / "coordinator.db") as coordinator:
        yield coordinator


def accepted_cases() -> list[dict[str, Any]]:
    return [case for case in CASES if case["expect"]["accept"]]


def expected(case: dict[str, Any]) -> tuple[str, str, int, set[str]]:
    expect = case["expect"]
    return expect["conflict"], expect["from"], expect["nonce"], set(expect["tx_ids"])


def shown(body: bytes) -> tuple[str, str, int, set[str]]:
    found = verify_evidence(body)
    assert isinstance(found, Spent)
    assert textbook.verify(body).kind == found.kind
    sender = found.first.sender
    return found.kind.name, sender, found.nonce, {found.first.id, found.second.id}


async def winner_of(gateway: Gateway, body: bytes) -> str | None:
    """The id of the payment that the coordinator let stand."""
    found = verify_evidence(body)
    assert isinstance(found, Spent)
    told = await gateway.store.conflicts()
    (one,) = [row for row in told if row.evidence == body]
    assert one.decision is not None and one.suggestion is not None
    winner = read_decision(Notice.read(one.decision).body).winner
    assert one.suggestion.winner == winner
    ids = {payment.identity: payment.id for payment in (found.first, found.second)}
    return None if winner is None else ids[winner]


async def evidence_of(gateway: Gateway) -> list[bytes]:
    return [row.evidence for row in await gateway.store.conflicts() if row.evidence is not None]


@pytest.mark.parametrize("backwards", [False, True])
async def test_every_conflict_of_the_wallets_vectors_is_found_told_decided_and_closed(
    tmp_path: Path, coordinator: Coordinator, backwards: bool
) -> None:
    cases = accepted_cases()
    cases = cases[::-1] if backwards else cases
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        for case in cases:
            assert isinstance((await gateway.send(message_of(case))).answer, Promise), case["name"]
        assert (await gateway.settled()).conflicts_pending == 2
        found = {shown(body)[1:3]: body for body in await evidence_of(gateway)}
        for case in CONFLICTS:
            body = found[expected(case)[1:3]]
            assert shown(body) == expected(case)
            assert len(body) < 270
        async with gateway.linked():
            await coordinator.until(lambda counts: counts["objects"].get("evidence") == 2)
            await decide_all(coordinator)
            figures = await gateway.until(conflicts_pending=0)
        assert (figures.conflicts, figures.double_spends, figures.conflicts_resolved) == (2, 2, 2)
        for case in CONFLICTS:
            assert await winner_of(gateway, found[expected(case)[1:3]]) == case["expect"]["winner"]


async def decide_all(coordinator: Coordinator) -> None:
    for conflict in await coordinator.conflicts():
        await coordinator.decide(conflict.key, conflict.nonce)


@pytest.mark.parametrize("case", CONFLICTS, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize("backwards", [False, True])
async def test_two_gateways_that_each_heard_one_of_two_payments_are_told_of_the_other(
    tmp_path: Path, coordinator: Coordinator, case: dict[str, Any], backwards: bool
) -> None:
    """The coordinator alone can see it; with a restart of the first gateway before it is told."""
    before, after = (CASES[CASES.index(case) - 1], case)
    first, second = (after, before) if backwards else (before, after)
    keys = [row for row in accepted_cases() if row["device"]["device_id"] == case["expect"]["from"]][:1]
    alpha, beta = (Gateway(name, tmp_path, coordinator) for name in ("alpha", "beta"))
    async with alpha.running():
        for row in (*keys, first):
            await alpha.send(message_of(row))
        async with alpha.linked():
            await coordinator.until(lambda counts: _entries(counts, "alpha") >= 2)
        assert (await alpha.settled()).conflicts == 0
    async with beta.running(), alpha.running():
        for row in (*keys, second):
            await beta.send(message_of(row))
        async with beta.linked(), alpha.linked():
            await alpha.until(conflicts=1)
            await beta.until(conflicts=1)
            for gateway in (alpha, beta):
                (body,) = await evidence_of(gateway)
                assert shown(body) == expected(case)
            await coordinator.until(lambda counts: counts["receipts"].get("verified", 0) >= 1)
            await decide_all(coordinator)
            await alpha.until(conflicts_pending=0)
            await beta.until(conflicts_pending=0)


def _entries(counts: dict[str, Any], gateway: str) -> int:
    return int(counts["gateways"].get(gateway, {}).get("entries", 0))


async def test_evidence_whose_bodies_were_pruned_waits_until_the_coordinator_has_sent_them(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    case = CONFLICTS[0]
    before = CASES[CASES.index(case) - 1]
    sender = next(row for row in accepted_cases() if row["device"]["device_id"] == case["expect"]["from"])
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        await gateway.send(message_of(sender))
        await gateway.send(message_of(before))
        async with gateway.linked():
            while (await gateway.store.head()).acked_size < 2:
                pass
        await gateway.store.prune(RetentionPolicy(max_snapshots=0))
    async with gateway.running():
        await gateway.send(message_of(case))
        figures = await gateway.settled()
        assert (figures.conflicts, figures.conflicts_pending, figures.conflicts_awaiting) == (1, 1, 1)
        assert await evidence_of(gateway) == []
        async with gateway.linked():
            await gateway.until(conflicts_awaiting=0)
            (body,) = await evidence_of(gateway)
            assert shown(body) == expected(case)
            await coordinator.until(lambda counts: counts["objects"].get("evidence") == 1)


async def test_a_wallet_that_brings_either_payment_is_told_and_later_told_the_decision(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    alice, bob, carol = (Wallet(sha256(name).digest()) for name in (b"alice", b"bob", b"carol"))
    one = Payment(alice.signed(bob.device_id, 5, 1, NOW, b"one"))
    other = Payment(alice.signed(carol.device_id, 5, 1, NOW + 1, b"other"))
    bob.enter(one)
    brought = snapshot_cbor(bob.hand_over(NOW))
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        first = await gateway.send(transactions_cbor(alice.key, [one]))
        assert first.conflicts == ()
        found = (await gateway.send(transactions_cbor(alice.key, [other]))).conflicts
        assert shown(found[0].evidence)[0] == "DOUBLE_SPEND"
        assert (await gateway.send(transactions_cbor(alice.key, [one]))).conflicts == found
        assert (await gateway.send(brought)).conflicts == found
        async with gateway.linked():
            await coordinator.until(lambda counts: counts["objects"].get("evidence") == 1)
            await decide_all(coordinator)
            await gateway.until(conflicts_pending=0)
        recorded = await gateway.send(brought)
        (known,) = recorded.conflicts
        assert known.decision is not None
        notice = Notice.read(known.decision)
        assert notice.is_signed_by(coordinator.authority.public_key)
        answer = Answer(recorded.answer, recorded.contents, conflicts=recorded.conflicts)
        assert isinstance(answer.told, Conflict)
        assert encode_downlink(answer.told)[:2] == b"\x84\x15"
        told = json.loads(json.dumps(answer.to_json()))["conflicts"]
        assert b64decode(told[0]["evidence"]) == known.evidence


async def test_a_further_text_reopens_what_was_decided_and_a_new_decision_closes_it(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    alice = Wallet(sha256(b"alice").digest())
    texts = [Payment(alice.signed("00" * 7 + f"{n:02x}", 5, 1, NOW + n, bytes([n]))) for n in range(3)]
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway, gateway.linked():
        for text in texts[:2]:
            await gateway.send(transactions_cbor(alice.key, [text]))
        await coordinator.until(lambda counts: counts["objects"].get("evidence") == 1)
        await decide_all(coordinator)
        await gateway.until(conflicts_pending=0)
        await gateway.send(transactions_cbor(alice.key, texts[2:]))
        assert (await gateway.store.figures()).conflicts_pending == 1
        await coordinator.until(lambda counts: counts["objects"].get("evidence", 0) >= 2)
        await decide_all(coordinator)
        figures = await gateway.until(conflicts_pending=0)
        assert (figures.conflicts, figures.conflicts_resolved) == (1, 2)


async def test_evidence_goes_ahead_of_a_backlog_one_of_each_sender(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    alice = Wallet(sha256(b"alice").digest())
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        for nonce in range(3):
            for n in range(2):
                text = Payment(alice.signed("00" * 7 + f"{n:02x}", 5, nonce, NOW, bytes([nonce, n])))
                await gateway.send(transactions_cbor(alice.key, [text]))
        ahead, _ = await gateway.store.evidence_to_tell()
        assert [shown(body)[2] for body in ahead] == [0]
        coordinator.faults.set(_fault("drop-ack"))
        async with gateway.linked():
            while (await gateway.store.evidence_to_tell())[0]:
                pass
        assert (await gateway.store.head()).acked_size == 0
    async with gateway.running():
        assert (await gateway.store.evidence_to_tell())[0] == ()


def _fault(name: str) -> Any:
    from simulators.coordinator.faults import Fault

    return Fault(name)


async def test_evidence_of_one_device_is_bounded_and_its_conflicts_are_counted_all_the_same(
    tmp_path: Path, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.store.evidence.MAX_OF_DEVICE", 2)
    alice = Wallet(sha256(b"alice").digest())
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        for nonce in range(4):
            for n in range(2):
                text = Payment(alice.signed("00" * 7 + f"{n:02x}", 5, nonce, NOW, bytes([nonce, n])))
                await gateway.send(transactions_cbor(alice.key, [text]))
        assert (await gateway.store.figures()).conflicts == 4
        assert len(await evidence_of(gateway)) == 2


async def test_a_receipt_for_a_payment_in_conflict_is_evidence_of_its_own(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    alice, bob, carol = (Wallet(sha256(name).digest()) for name in (b"alice", b"bob", b"carol"))
    one = Payment(alice.signed(bob.device_id, 5, 1, NOW, b"one"))
    other = Payment(alice.signed(carol.device_id, 5, 1, NOW + 1, b"other"))
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        for text in (one, other):
            await gateway.send(transactions_cbor(alice.key, [text]))
        bob.accept(one, NOW + 2)
        await gateway.send(snapshot_cbor(bob.hand_over(NOW + 3)))
        await gateway.settled()
        told, _ = await gateway.store.evidence_to_tell()
        kinds = [verify_evidence(body).kind for body in told]
        assert kinds == [EvidenceKind.DOUBLE_SPEND, EvidenceKind.RECEIPT]
        assert all(textbook.verify(body) for body in told)
        (row,) = await gateway.store.conflicts()
        assert row.suggestion is not None
        assert row.suggestion.winner == one.transaction.identity


# Senders whose keys come later.


async def unverified_pair(gateway: Gateway) -> tuple[Wallet, bytes]:
    """Bob's ledger brings two payments of Alice under one nonce; nobody knows her key."""
    alice, bob, carol = (Wallet(sha256(name).digest()) for name in (b"alice", b"bob", b"carol"))
    bob.enter(Payment(alice.signed(bob.device_id, 5, 1, NOW, b"one")))
    bob.enter(Payment(alice.signed(carol.device_id, 5, 1, NOW + 1, b"other")))
    message = snapshot_cbor(bob.hand_over(NOW))
    await gateway.send(message)
    figures = await gateway.settled()
    assert (figures.unverified_transactions, figures.conflicts) == (2, 0)
    return alice, message


async def test_a_key_that_a_device_says_settles_what_it_had_signed_and_shows_its_double_spend(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        alice, message = await unverified_pair(gateway)
        await gateway.store.add_candidate(Wallet(b"x" * 32).key)
        await gateway.store.add_candidate(alice.key)
        await gateway.until(verified_transactions=2, conflicts=1, double_spends=1)
        assert (await gateway.send(message)).conflicts
        async with gateway.linked():
            await coordinator.until(lambda counts: counts["transactions"].get("verified") == 2)


async def test_a_key_in_the_coordinators_directory_does_so_too_and_is_known_after_a_restart(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        alice, _ = await unverified_pair(gateway)
        late = Wallet(sha256(b"late").digest())
        async with gateway.linked():
            await coordinator.devices([(alice.key, False), (late.key, False)])
            await gateway.until(conflicts=1, verified_transactions=2)
    async with gateway.running():
        bob = Wallet(sha256(b"bob").digest())
        bob.enter(Payment(late.signed(bob.device_id, 5, 1, NOW, b"one")))
        tally = (await gateway.send(snapshot_cbor(bob.hand_over(NOW + 9)))).tally
        assert (tally.verified, tally.unverified) == (1, 0)


async def test_the_block_list_survives_a_restart_and_the_newest_word_counts(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    alice, bob = (Wallet(sha256(name).digest()) for name in (b"alice", b"bob"))
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        async with gateway.linked():
            await coordinator.devices([(alice.key, True), (bob.key, True)])
            await coordinator.devices([(bob.key, False)])
            while (await gateway.store.head()).notices < 2:
                pass
    async with gateway.running():
        assert await gateway.store.blocked() == {alice.key}


async def test_one_id_with_two_texts_is_evidence_and_its_receipts_decide_nothing(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    """Found by the coordinator, that sees all ids; told to the gateways, which then suggest to escalate."""
    alice, bob, carol = (Wallet(sha256(name).digest()) for name in (b"alice", b"bob", b"carol"))
    one = bob.accept(Payment(alice.signed(bob.device_id, 5, 1, NOW, b"one")), NOW + 1)
    other = Payment(alice.signed(carol.device_id, 5, 1, NOW + 1, b"other"))
    namesake = alice.signed(carol.device_id, 9, 2, NOW + 2, b"one")
    unsigned = replace(namesake, id=one.transaction.id)
    namesake = replace(unsigned, signature=sign(alice.signing_key, unsigned.text()))
    async with Gateway("alpha", tmp_path, coordinator).running() as gateway:
        await gateway.send(snapshot_cbor(bob.hand_over(NOW)))
        await gateway.send(transactions_cbor(alice.key, [one, other]))
        await gateway.until(conflicts=1)
        (row,) = await gateway.store.conflicts()
        assert row.suggestion is not None and row.suggestion.winner == one.transaction.identity
        await gateway.send(transactions_cbor(alice.key, [Payment(namesake)]))
        async with gateway.linked():
            while (await gateway.store.figures()).evidence.get("duplicate_id") != 1:
                pass
            await decide_all(coordinator)
            await gateway.until(conflicts_pending=0)
        (row,) = await gateway.store.conflicts()
        assert row.suggestion is not None and row.suggestion.rule is Rule.ESCALATE
        (conflict,) = await coordinator.conflicts()
        assert (conflict.rule, conflict.winner) == ("escalate", None)
