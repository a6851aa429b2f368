"""What wallets and people text, and what they are answered: packing, reading, words, courtesy."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from drivers.gsm_at.alphabet import encode_text
from gateway.core.checkpoint import Checkpoint
from gateway.core.message.downlink import Downlink, Loose, Nack, Promise, PromisedEntry, encode_downlink
from gateway.core.refusal import MAX_DETAIL, Refusal, Refused
from gateway.core.sms.checkpoint import checkpoint_text
from gateway.core.sms.courtesy import MAX_NUMBERS, Courtesy
from gateway.core.sms.intent import Intent
from gateway.core.sms.packed import PackedReceipt
from gateway.core.sms.reading import Carried, Nothing, read, transactions_message, write
from gateway.core.sms.words import LANGUAGES, Asked, Word
from gateway.core.wallet.transaction import Receipt, Transaction
from simulators.textbook.merkle import EMPTY_ROOT
from simulators.textbook.notes import parse
from simulators.wallets import Payment, Wallet
from simulators.wallets.sms import Refusal as Told
from simulators.wallets.sms import (
    as_data,
    as_text,
    checkpoint_note,
    opened,
    payment_body,
    promise_of,
    receipt_body,
    refusal_of,
)
from simulators.wallets.uploads import transactions_cbor

NOW = 1_790_000_000_000
LINE = b"PAY|16fd917a|001cfdb7|260|0|1767225954663|SeAWgGuTR8SURGu3kzNopUssUBalRC2K"


def paid(amount: float = 12.5) -> tuple[Wallet, Payment]:
    alice, bob = (Wallet(name.ljust(32, b".")) for name in (b"alice", b"bob"))
    return bob, bob.accept(alice.pay(bob.device_id, amount, NOW), NOW + 9)


def test_a_payment_is_read_from_data_and_from_text_with_its_own_signature() -> None:
    _, payment = paid()
    body = payment_body(payment.transaction)
    for payload in (
        as_data("P1", body),
        as_text("P1", body).encode(),
        as_text("P1", body).encode() + b"\r\n",
    ):
        seen = read(payload)
        assert isinstance(seen, Transaction)
        assert seen.signed_text == payment.transaction.text()
        assert seen.signature == payment.transaction.signature


def test_the_long_spelling_of_a_payment_and_its_receipt_is_a_transactions_message() -> None:
    bob, payment = paid()
    transaction = read(as_data("P1", payment_body(payment.transaction)))
    assert payment.receipt is not None
    receipt = read(as_data("R1", receipt_body(payment.transaction.id, payment.receipt)))
    assert isinstance(transaction, Transaction)
    assert isinstance(receipt, PackedReceipt)
    assert receipt.transaction_id == payment.transaction.id
    assert receipt.receipt == Receipt("accepted", NOW + 9, payment.receipt.signature)
    long = transactions_cbor(bob.key, [payment])
    assert transactions_message(transaction, receipt.receipt) == long.replace(
        b"\x58\x20" + bob.key, b"\xf6", 1
    )


@pytest.mark.parametrize(
    ("nonce", "amount"),
    [(b"\x80\x00", b"5"), (b"\x00", b"5.0"), (b"\x00", b""), (b"\xff" * 8, b"5"), (b"", b"")],
)
def test_a_payment_packed_in_any_other_way_is_malformed(nonce: bytes, amount: bytes) -> None:
    body = bytes(32) + nonce + NOW.to_bytes(6, "big") + amount + bytes(64)
    with pytest.raises(Refused) as refused:
        read(as_data("P1", body))
    assert refused.value.code is Refusal.MALFORMED


def test_base64url_with_padding_or_bits_to_spare_is_malformed_or_no_message_of_ours() -> None:
    with pytest.raises(Refused):
        read(b"P1" + b"A" * 141 + b"B")  # 142 characters: the last four bits are not zero
    with pytest.raises(Refused):
        read(b"P1A")
    assert isinstance(read(b"P1 please"), Nothing)


def test_a_receipt_of_an_unknown_status_is_malformed() -> None:
    with pytest.raises(Refused):
        read(b"\x02" + bytes(16) + b"\x03" + bytes(70))


def test_device_messages_travel_as_they_are_and_as_text() -> None:
    _, payment = paid()
    message = transactions_cbor(b"k" * 32, [payment])
    assert read(message) == read(as_text("M1", message).encode()) == Carried(message)


def test_nothing_that_is_an_answer_is_answered() -> None:
    promise = Promise("offgrid/gw/1", bytes(64), (PromisedEntry(1, NOW, 2),))
    answers: list[Downlink] = [Nack(Refusal.BUSY, 5, "later"), Loose(), promise]
    for answer in answers:
        for as_text_ in (True, False):
            for packed in (True, False):
                assert isinstance(read(write(answer, as_text=as_text_, packed=packed)), Nothing)
    for language in LANGUAGES:
        for text in (language.help, language.status, language.told, language.halted, language.intent):
            assert isinstance(read(text.format(id="gw", held=1, synced=1, told=1).encode()), Nothing)
    assert isinstance(
        read(checkpoint_text(Checkpoint("offgrid/gw/1", 0, EMPTY_ROOT), bytes(64)).encode()), Nothing
    )


def test_the_longest_promise_and_refusal_fit_one_message_in_both_forms() -> None:
    promise = Promise(f"offgrid/{'g' * 20}/4294967295", b"s" * 64, (PromisedEntry((1 << 53) - 1, NOW, 3),))
    refusal = Nack(Refusal.RATE_LIMITED, 10**9, "d" * MAX_DETAIL)
    for answer in (promise, refusal):
        assert len(write(answer, as_text=True, packed=True)) <= 160
        assert len(write(answer, as_text=False, packed=True)) <= 140


def test_a_wallet_reads_the_promise_and_the_refusal_that_were_packed() -> None:
    promise = Promise("offgrid/gw_1/7", b"s" * 64, (PromisedEntry(300, NOW, 2),))
    for text in (True, False):
        sent = write(promise, as_text=text, packed=True, unverified=True, seen=text)
        mark, body = opened(sent.decode() if text else sent)
        assert mark == "Q1"
        assert promise_of(body).message == encode_downlink(promise)
        assert (promise_of(body).unverified, promise_of(body).seen) == (True, text)
    mark, body = opened(write(Nack(Refusal.QUOTA, 70_000, "no"), as_text=False, packed=True))
    assert (mark, refusal_of(body)) == ("N1", Told(14, 0xFFFF, "no"))


def test_the_old_line_is_an_intent_and_only_in_its_strict_grammar() -> None:
    assert read(LINE) == Intent(LINE.decode(), "16fd917a", "001cfdb7", "260")
    for wrong in (
        LINE + b"|",
        LINE.replace(b"260", b"260.0"),
        LINE.replace(b"16fd917a", b"16FD917A"),
        LINE.replace(b"|0|", b"|00|"),
        LINE[:-1],
        LINE.replace(b"PAY", b"pay"),
        LINE[:-1] + "é".encode(),
    ):
        assert isinstance(read(wrong), Nothing)


@pytest.mark.parametrize(
    ("text", "word"),
    [("HELP", Word.HELP), (" aide ", Word.HELP), ("Ayuda!", Word.HELP), ("état", Word.STATUS)],
)
def test_a_person_is_understood_however_they_write_it(text: str, word: Word) -> None:
    seen = read(text.encode())
    assert isinstance(seen, Asked)
    assert seen.word is word


def test_a_word_inside_other_words_is_not_asked() -> None:
    assert isinstance(read(b"do not text HELP to this number"), Nothing)


def test_every_text_for_people_fits_one_message_of_the_gsm_alphabet() -> None:
    for language in LANGUAGES:
        for text in (language.help, language.status, language.told, language.halted, language.intent):
            said = text.format(id="g" * 20, held=9_999_999, synced=9_999_999, told=9_999_999)
            assert len(encode_text(said)) <= 160, said


def test_a_number_is_answered_so_often_an_hour_and_services_and_names_never() -> None:
    courtesy = Courtesy(3)
    assert [courtesy.may_answer("+491700000002", 0.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert courtesy.may_answer("+491700000003", 0.0)
    assert courtesy.may_answer("+491700000002", 1200.0)
    assert not courtesy.may_answer("+491700000002", 1200.0)
    for machine in ("22099", "Operator", "", "+49170000000000000000", "+4917o0000002"):
        assert not courtesy.may_answer(machine, 0.0)


def test_courtesy_remembers_a_bounded_number_of_callers_and_lines() -> None:
    courtesy = Courtesy(1)
    for n in range(3 * MAX_NUMBERS):
        courtesy.may_answer(f"+49{n:010}", 0.0)
        courtesy.is_new(str(n))
    assert len(courtesy._left) == MAX_NUMBERS
    assert len(courtesy._lines) == MAX_NUMBERS
    assert not courtesy.is_new(str(3 * MAX_NUMBERS - 1))


def test_the_longest_checkpoint_fits_one_message_and_rebuilds_its_note() -> None:
    origin = f"offgrid/{'g' * 20}/65535"
    text = checkpoint_text(Checkpoint(origin, (1 << 40) - 1, b"r" * 32), b"s" * 64)
    assert len(text) == 160
    assert len(encode_text(text)) == 160
    checkpoint, [(name, _, signature)] = parse(checkpoint_note(text, b"k" * 32))
    assert (checkpoint.origin, checkpoint.size, checkpoint.root) == (origin, (1 << 40) - 1, b"r" * 32)
    assert (name, signature) == (origin, b"s" * 64)


def test_mutated_messages_are_read_or_refused_and_nothing_else() -> None:
    rng = random.Random(7)
    _, payment = paid()
    assert payment.receipt is not None
    body, other = payment_body(payment.transaction), receipt_body(payment.transaction.id, payment.receipt)
    seeds = [as_data("P1", body), as_text("P1", body).encode(), as_data("R1", other), LINE, b"help"]
    for _ in range(20_000):
        payload = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        del payload[rng.choice((len(payload), rng.randrange(len(payload)))) :]
        try:
            read(bytes(payload))
        except Refused as refused:
            assert refused.code is Refusal.MALFORMED


def test_names_that_are_not_the_usual_hexadecimal_are_not_packed() -> None:
    _, payment = paid()
    with pytest.raises(ValueError):
        payment_body(replace(payment.transaction, id="of another kind"))
