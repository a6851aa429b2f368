"""Promises for the air: what they weigh, and that a batch's one signature proves each of its leaves."""

from __future__ import annotations

from nacl.signing import SigningKey

from gateway.core.answer import Answer
from gateway.core.lora.promises import MAX_REMEMBERED, PromiseBook
from gateway.core.message.downlink import Nack, Promise, PromisedEntry, encode_downlink
from gateway.core.receipt import origin_hint, promise_leaf, promise_text
from gateway.core.refusal import Refusal
from gateway.core.submission import HeldPlace

KEY = SigningKey(bytes(32))
ORIGIN = "offgrid/gateway-kampala-01/1"


def sign(text: bytes) -> bytes:
    return KEY.sign(text).signature


def promised(index: int, origin: str = ORIGIN) -> Answer:
    content = index.to_bytes(32, "big")
    entry = PromisedEntry(index, 1_700_000_000_000 + index, 2)
    leaf = leaf_of(index, origin)
    return Answer(Promise(origin, sign(promise_text([leaf])), (entry,)), (content,))


def leaf_of(index: int, origin: str = ORIGIN) -> bytes:
    return promise_leaf(origin, HeldPlace(index, 1_700_000_000_000 + index, 2), index.to_bytes(32, "big"))


def test_a_promise_of_a_log_of_four_billion_entries_is_at_most_95_bytes() -> None:
    written = PromiseBook(sign).write(promised(2**32 - 1))
    assert len(written) <= 95
    assert written[:2] == b"\x84\x10"
    assert origin_hint(ORIGIN) in written
    assert ORIGIN.encode() not in written


def test_a_batch_names_each_leaf_and_its_one_signature_covers_all() -> None:
    book = PromiseBook(sign)
    answers = [book.write(promised(index)) for index in range(5)]
    joined = book.join(answers)
    assert joined is not None
    message, chosen = joined
    assert list(chosen) == [0, 1, 2, 3, 4]
    leaves = [leaf_of(index) for index in range(5)]
    assert all(leaf in message for leaf in leaves)
    KEY.verify_key.verify(promise_text(leaves), message[9:73])


def test_sixteen_promises_weigh_less_than_a_sixth_frame_each() -> None:
    book = PromiseBook(sign)
    answers = [book.write(promised(1_000_000 + index)) for index in range(40)]
    joined = book.join(answers)
    assert joined is not None
    assert len(joined[1]) == 16
    assert len(joined[0]) <= 16 * 53 + 75


def test_only_promises_of_one_leaf_and_one_origin_are_joined() -> None:
    book = PromiseBook(sign)
    refusal = book.write(Answer(Nack(Refusal.BUSY, 5)))
    other = book.write(promised(9, "offgrid/gateway-kampala-01/2"))
    first, second = book.write(promised(1)), book.write(promised(2))
    assert refusal == encode_downlink(Nack(Refusal.BUSY, 5))
    joined = book.join([refusal, first, other, second])
    assert joined is not None
    assert list(joined[1]) == [1, 3]
    assert book.join([refusal, first, other]) is None
    assert book.join([refusal]) is None


def test_what_is_remembered_for_joining_is_bounded() -> None:
    book = PromiseBook(sign)
    first = [book.write(promised(index)) for index in range(2)]
    for index in range(2, MAX_REMEMBERED + 2):
        book.write(promised(index))
    assert book.join(first) is None
