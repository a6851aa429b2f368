"""Text messages into a real store: every payment of the wallets' own ledgers, and what a radio is told."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from store_rig import GATEWAY, Rig, audit, store_rig
from test_wallet_vectors_over_ble import reception

from drivers.base import DriverStats, Frame, TxReceipt, TxRequest
from drivers.errors import DriverLost, TransmitRefused
from gateway.core.sms.courtesy import Courtesy
from gateway.services.sms_intake import MAX_PAYMENTS, Desk, SmsIntake
from gateway.systemclock import SystemClock
from simulators.textbook.objects import Key, Receipt, Transaction, object_hash, transaction_of
from simulators.wallets import Payment, Wallet
from simulators.wallets.receipts import verify_promise
from simulators.wallets.sms import (
    as_data,
    as_text,
    opened,
    payment_body,
    promise_of,
    receipt_body,
    refusal_of,
)
from simulators.wallets.uploads import hello, status

PHONE = "+491700000002"
LEDGERS = (Path(__file__).parents[1] / "vectors/wallet/wallet.jsonl").read_text().splitlines()
NOW = 1_790_000_000_000


def intake(behind: Rig, answers_per_hour: int = 1_000_000, words: list[str] | None = None) -> SmsIntake:
    noted = [] if words is None else words
    desk = Desk(radio="gsm", gateway_id=GATEWAY, linger_s=0.0)
    return SmsIntake(
        desk,
        reception(behind),
        behind.store.head,
        Courtesy(answers_per_hour),
        SystemClock(),
        lambda radio, word: noted.append(word),
    )


def fitting() -> Iterator[Transaction]:
    """Each payment with a literal of at most 12 characters that its sender's key verifies, once."""
    seen = set()
    for line in LEDGERS[1:]:
        row = json.loads(line, parse_int=str, parse_float=str)
        if not row["expect"]["accept"]:
            continue
        for one in row["transactions"]:
            names = ("id", "from", "to", "amount", "nonce", "timestamp")
            made = transaction_of([one[name] for name in names], one["signature"])
            if isinstance(made, Transaction) and len(made.amount) <= 12 and made.identity not in seen:
                seen.add(made.identity)
                yield made


async def hellos(desk: SmsIntake) -> None:
    for device in json.loads(LEDGERS[0])["devices"]:
        await desk.answer(hello(bytes.fromhex(device["public_key_hex"])), PHONE)


async def test_each_payment_of_the_wallets_is_accepted_in_both_forms_answered_and_found_in_the_log(
    tmp_path: Path,
) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk = intake(behind)
        await hellos(desk)
        outcomes: dict[str, int] = {}
        for one in fitting():
            for sent in (as_data("P1", payment_body(one)), as_text("P1", payment_body(one)).encode()):
                answer = await desk.answer(sent, PHONE)
                assert answer is not None
                mark, body = opened(answer if sent[:1] == b"\x01" else answer.decode())
                outcomes[mark] = outcomes.get(mark, 0) + 1
                if mark != "Q1":
                    assert refusal_of(body).code == 5, "only what some ledger holds forged"
                    continue
                promise, content = promise_of(body), object_hash(one.encode())
                assert [one.content for one in verify_promise(promise.message, behind.key, [content])]
                assert await behind.store.content(content) is not None
        assert outcomes["Q1"] >= 2 * 100
        figures = await behind.store.figures()
        assert figures.verified_transactions + figures.unverified_transactions == outcomes["Q1"] // 2
        assert figures.invalid_transactions == 0
        await audit(behind.store)


async def test_each_payment_of_the_wallets_is_refused_when_a_byte_of_it_is_another(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk = intake(behind)
        await hellos(desk)
        verified = []
        for one in fitting():
            answer = await desk.answer(as_data("P1", payment_body(one)), PHONE)
            assert answer is not None
            mark, told = opened(answer)
            if mark == "Q1" and not promise_of(told).unverified:
                verified.append(one)
        assert len(verified) > 100
        size = (await behind.store.head()).size
        for n, one in enumerate(verified):
            for at, code in ((n % 16, 5), (-1 - n % 64, 3)):  # in the id; in the signature of what is held
                body = bytearray(payment_body(one))
                body[at] ^= 1 << n % 8
                answer = await desk.answer(as_data("P1", bytes(body)), PHONE)
                assert answer is not None
                mark, told = opened(answer)
                assert (mark, refusal_of(told).code) == ("N1", code)
        assert (await behind.store.head()).size == size


def paid() -> tuple[Wallet, Payment, Receipt]:
    alice, bob = (Wallet(name.ljust(32, b".")) for name in (b"alice", b"bob"))
    payment = bob.accept(alice.pay(bob.device_id, 12.5, NOW), NOW + 9)
    assert payment.receipt is not None
    return alice, payment, payment.receipt


async def test_a_key_that_verifies_what_came_before_it_is_logged_so_that_the_coordinator_learns_it(
    tmp_path: Path,
) -> None:
    alice, payment, _ = paid()
    message = as_data("P1", payment_body(payment.transaction))
    async with store_rig(tmp_path / "db") as behind:
        desk = intake(behind)
        for unverified in (True, False, False):
            answer = await desk.answer(message, PHONE)
            assert answer is not None
            assert promise_of(opened(answer)[1]).unverified is unverified
            await desk.answer(hello(alice.key), PHONE)
        batch = await behind.store.read_batch(0, 8, 1 << 20)
        logged = [one.hash for entry in batch.entries for one in entry.objects]
        assert logged == [object_hash(payment.transaction.encode()), object_hash(Key(alice.key).encode())]
        await audit(behind.store)


async def test_a_payment_in_conflict_is_promised_with_a_hint_and_the_evidence_comes_when_asked_for(
    tmp_path: Path,
) -> None:
    alice, payment, _ = paid()
    first = payment.transaction
    second = alice.signed("0011223344556677", 12.5, first.nonce, NOW, salt=b"again")
    async with store_rig(tmp_path / "db") as behind:
        desk = intake(behind)
        await desk.answer(hello(alice.key), PHONE)
        for one, conflict in ((first, False), (second, True), (first, True)):
            answer = await desk.answer(as_data("P1", payment_body(one)), PHONE)
            assert answer is not None
            assert promise_of(opened(answer)[1]).conflict is conflict
        told = await desk.answer(status(object_hash(first.encode())), PHONE)
        assert told is not None
        assert told[:3] == bytes([0x84, 21, 0x84]), "CONFLICT, with a PROMISE in it"


async def test_a_receipt_needs_its_payment_first_and_the_best_one_under_its_id(tmp_path: Path) -> None:
    alice, payment, receipt = paid()
    texts = (
        as_data("P1", payment_body(payment.transaction)),
        as_data("R1", receipt_body(payment.transaction.id, receipt)),
    )
    async with store_rig(tmp_path / "db") as behind:
        desk = intake(behind)
        answer = await desk.answer(texts[1], PHONE)
        assert answer is not None
        assert refusal_of(opened(answer)[1]).code == 11
        await desk.answer(hello(alice.key), PHONE)
        mallory = Wallet(b"mallory".ljust(32, b"."))
        other = mallory.signed(payment.transaction.receiver, 1, 0, NOW)
        forged = payment_body(other)
        await desk.answer(b"\x01" + bytes.fromhex(payment.transaction.id) + forged[16:], PHONE)
        for text in texts:
            answer = await desk.answer(text, PHONE)
            assert answer is not None
            assert opened(answer)[0] == "Q1"
        entries = (await behind.store.read_batch(0, 9)).entries
        bodies = [one.body for entry in entries for one in entry.objects]
        assert receipt.encode() in bodies
        assert any(body is not None and payment.transaction.identity in body for body in bodies)


async def test_payments_that_a_receipt_may_join_are_bounded(tmp_path: Path) -> None:
    alice, _, _ = paid()
    async with store_rig(tmp_path / "db") as behind:
        desk = intake(behind)
        await desk.answer(hello(alice.key), PHONE)
        made = [alice.signed("0011223344556677", 1, n + 10, NOW) for n in range(MAX_PAYMENTS + 5)]
        await asyncio.gather(*(desk.answer(as_data("P1", payment_body(one)), PHONE) for one in made[:200]))
        for one in made[200:]:
            await desk.answer(as_data("P1", payment_body(one)), PHONE)
        assert len(desk._payments) == MAX_PAYMENTS


async def test_machines_and_those_who_ask_too_often_are_heard_and_not_answered(tmp_path: Path) -> None:
    alice, payment, _ = paid()
    text = as_data("P1", payment_body(payment.transaction))
    async with store_rig(tmp_path / "db") as behind:
        words: list[str] = []
        desk = intake(behind, 1, words)
        await desk.answer(hello(alice.key), "22099")
        assert await desk.answer(text, "22099") is None
        assert (await behind.store.figures()).verified_transactions == 1
        assert await desk.answer(text, PHONE) is not None
        assert await desk.answer(text, PHONE) is None
        assert await desk.answer(b"help", PHONE) is None
        assert await desk.answer(b"I am away until Monday", PHONE) is None
        assert words == ["unanswered", "unanswered", "unanswered", "help", "unanswered", "ignored"]


class Modem:
    """Hears these once; what it is asked, in order. ``trouble`` is raised by what is sent."""

    def __init__(self, *payloads: bytes, trouble: Exception | None = None) -> None:
        self.done: list[str] = []
        self.over = asyncio.Event()
        self._payloads = payloads
        self._trouble = trouble

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def stats(self) -> DriverStats:
        return DriverStats()

    async def frames(self) -> AsyncIterator[Frame]:
        for payload in self._payloads:
            yield Frame(radio="gsm", payload=payload, peer=PHONE, received_unix_ns=0, reply_to="back")
        await asyncio.Event().wait()

    async def transmit(self, request: TxRequest) -> TxReceipt:
        assert request.reply_to == "back"
        self.done.append("answered")
        if self._trouble is not None:
            raise self._trouble
        return TxReceipt(confirmed=False)

    async def settled(self, frame: Frame) -> None:
        self.done.append("settled")
        self.over.set()


@pytest.mark.parametrize(
    ("payload", "trouble", "done"),
    [
        (b"help", None, ["answered", "settled"]),
        (b"help", TransmitRefused("budget"), ["answered", "settled"]),
        (b"chatter", None, ["settled"]),
        (b"P1x", None, ["answered", "settled"]),
    ],
)
async def test_a_message_leaves_the_modem_after_its_answer_is_queued_or_cannot_be(
    tmp_path: Path, payload: bytes, trouble: Exception | None, done: list[str]
) -> None:
    async with store_rig(tmp_path / "db") as behind:
        modem = Modem(payload, trouble=trouble)
        taking = asyncio.create_task(intake(behind).take(modem, modem))
        await asyncio.wait_for(modem.over.wait(), 10)
        assert modem.done == done
        taking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await taking


async def test_a_message_whose_answer_was_lost_with_the_modem_is_not_settled(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        modem = Modem(b"help", trouble=DriverLost("the port is gone"))
        with pytest.raises(ExceptionGroup) as lost:
            await intake(behind).take(modem, modem)
        assert lost.group_contains(DriverLost)
        assert modem.done == ["answered"]
