"""Transfers over Bluetooth: the gateway's end against the phone's, and each against hostile bytes."""

from __future__ import annotations

import hashlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble import wire
from drivers.ble.transfer import ACK_EVERY, HEAD_BYTES, USELESS_BYTES, Inbox, Taken, TransferLimits, Uploads
from drivers.ble.wire import Status
from simulators.phones.exchange import WINDOW, Answer, Delivered, Event, Exchange, ProtocolBreach, Refused

MTUS = (23, 27, 185, 247, 517)


def bytes_of(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def pump(
    exchange: Exchange, inbox: Inbox, *, pieces: int = 1 << 30, now: float = 0.0
) -> tuple[list[bytes], list[Event]]:
    """Let the phone write at most so many pieces; the messages that came, and what the phone was told."""
    messages: list[bytes] = []
    events: list[Event] = []
    while pieces and (piece := exchange.next_piece()) is not None:
        pieces -= 1
        taken = inbox.receive(piece, now)
        if taken.message is not None:
            messages.append(taken.message)
        events += [event for reply in taken.replies if (event := exchange.notified(reply))]
    return messages, events


def start(message: bytes, xid: int = 1) -> bytes:
    return bytes((0x11, xid)) + len(message).to_bytes(3) + hashlib.sha256(message).digest()[:12]


def data(offset: int, chunk: bytes, xid: int = 1) -> bytes:
    return bytes((0x12, xid)) + offset.to_bytes(3) + chunk


def status_of(taken: Taken) -> int:
    (reply,) = taken.replies
    assert reply[0] == 0x14
    return reply[2]


@pytest.mark.parametrize("mtu", MTUS)
@pytest.mark.parametrize("size", [1, 17, 18, 19, 180, 510, 511, 50_000])
def test_a_message_of_any_size_arrives_at_any_mtu(mtu: int, size: int) -> None:
    message = bytes_of(size)
    exchange, inbox = Exchange(mtu), Uploads(TransferLimits()).open()
    exchange.offer(message)
    messages, events = pump(exchange, inbox)
    assert messages == [message]
    assert events == ([Delivered(1)] if size > HEAD_BYTES else [])


@pytest.mark.parametrize("mtu", MTUS)
def test_no_piece_is_longer_than_the_link_carries(mtu: int) -> None:
    pieces = list(wire.cut(bytes_of(5000), 3, mtu))
    assert max(map(len, pieces)) == {517: 495, 247: 244, 185: 182, 27: 24, 23: 20}[mtu]


@pytest.mark.parametrize("mtu", MTUS)
@pytest.mark.parametrize("size", [1, 18, 200, 4000])
def test_the_phone_reads_an_answer_cut_by_the_gateway(mtu: int, size: int) -> None:
    answer = bytes_of(size)
    exchange = Exchange(mtu)
    events = [event for piece in wire.cut(answer, 9, mtu) if (event := exchange.notified(piece))]
    assert events == [Answer(9, answer)]


@given(cuts=st.lists(st.integers(0, 300), max_size=6), mtu=st.sampled_from(MTUS))
def test_after_a_cut_at_any_piece_nothing_that_arrived_is_sent_again(cuts: list[int], mtu: int) -> None:
    message = bytes_of(20_000)
    uploads = Uploads(TransferLimits())
    sent = 0
    for again, cut in enumerate(cuts):
        exchange, inbox = Exchange(mtu), uploads.open()
        exchange.offer(message, cut_before=bool(again))
        pump(exchange, inbox, pieces=cut)
        sent += exchange.sent_bytes
        inbox.close(0.0)
    exchange, inbox = Exchange(mtu), uploads.open()
    exchange.offer(message, cut_before=bool(cuts))
    messages, _ = pump(exchange, inbox)
    assert messages == [message]
    assert sent + exchange.sent_bytes == len(message)


@given(lost=st.sets(st.integers(0, 60), max_size=8))
def test_pieces_lost_on_the_way_are_sent_again_and_little_else(lost: set[int]) -> None:
    message = bytes_of(30_000)
    exchange, inbox = Exchange(517), Uploads(TransferLimits()).open()
    exchange.offer(message)
    messages: list[bytes] = []
    number = 0
    for _ in range(200):
        piece = exchange.next_piece()
        if piece is None:
            if messages:
                break
            exchange.ask_again()  # what a phone does after 5 s without a word
            continue
        number += 1
        if number - 1 in lost:
            continue
        taken = inbox.receive(piece, 0.0)
        messages += [taken.message] if taken.message is not None else []
        for reply in taken.replies:
            exchange.notified(reply)
    assert messages == [message]


def test_the_phone_never_runs_further_ahead_than_the_window() -> None:
    exchange = Exchange(517)
    exchange.offer(bytes_of(100_000))
    assert exchange.next_piece() is not None
    exchange.notified(wire.resume(1, 0))
    while exchange.next_piece() is not None:
        pass
    assert exchange.sent_bytes <= WINDOW
    exchange.notified(wire.ack(1, ACK_EVERY))
    assert exchange.next_piece() is not None


def test_a_new_message_has_a_head_start_and_one_that_was_cut_waits_to_hear_where_to_go_on() -> None:
    message = bytes_of(50_000)
    new, cut = Exchange(185), Exchange(185)
    new.offer(message)
    cut.offer(message, cut_before=True)
    for exchange in (new, cut):
        while exchange.next_piece() is not None:
            pass
    assert 4_000 < new.sent_bytes <= 4_096
    assert cut.sent_bytes == 0


def test_a_head_start_is_not_sent_twice_when_the_gateway_holds_nothing_or_more() -> None:
    message = bytes_of(3_000)
    uploads = Uploads(TransferLimits())
    first, second = Exchange(185), Exchange(185)
    first.offer(message)
    inbox = uploads.open()
    pump(first, inbox, pieces=10)
    inbox.close(0.0)
    second.offer(message)
    messages, events = pump(second, uploads.open())
    assert (messages, events) == ([message], [Delivered(1)])
    assert second.resumed_at == 165 + 9 * 177
    assert second.sent_bytes == 165 + len(message) - second.resumed_at


@pytest.mark.parametrize("mtu", MTUS)
def test_a_short_message_costs_no_word_but_the_answer(mtu: int) -> None:
    message = bytes_of(HEAD_BYTES)
    exchange, inbox = Exchange(mtu), Uploads(TransferLimits()).open()
    exchange.offer(message)
    taken = [inbox.receive(piece, 0.0) for piece in iter(exchange.next_piece, None)]
    assert [one.replies for one in taken] == [()] * len(taken)
    assert taken[-1].message == message


def test_a_piece_of_a_short_message_that_was_lost_is_asked_for() -> None:
    message = bytes_of(1_000)
    exchange, inbox = Exchange(185), Uploads(TransferLimits()).open()
    exchange.offer(message)
    pump(exchange, inbox, pieces=2)
    assert exchange.next_piece() is not None  # and it is lost
    assert pump(exchange, inbox) == ([message], [])
    assert exchange.sent_bytes == len(message) + 2 * 177


def test_a_short_message_that_is_there_already_is_delivered_again_with_a_word() -> None:
    uploads, message = Uploads(TransferLimits()), bytes_of(1_000)
    for words in ([], [Delivered(1)]):
        exchange = Exchange(185)
        exchange.offer(message)
        assert pump(exchange, uploads.open()) == ([message], words)


def test_the_first_bytes_of_a_long_message_are_answered_like_start() -> None:
    uploads, message = Uploads(TransferLimits()), bytes_of(HEAD_BYTES + 1)
    first = bytes((0x17,)) + start(message)[1:] + message[:100]
    assert uploads.open().receive(first, 0.0).replies == (wire.resume(1, 0),)
    one = uploads.open()
    one.receive(start(message), 0.0)
    one.receive(data(0, message[:500]), 0.0)
    one.close(0.0)
    assert uploads.open().receive(first, 0.0).replies == (wire.resume(1, 500),)


def test_a_short_message_that_does_not_hash_to_its_id_is_refused() -> None:
    message = bytes_of(100)
    first = bytes((0x17,)) + start(message)[1:] + bytes(100)
    assert status_of(Uploads(TransferLimits()).open().receive(first, 0.0)) == Status.CORRUPT


def test_acknowledgements_come_about_every_16_kib() -> None:
    inbox, message = Uploads(TransferLimits()).open(), bytes_of(40_000)
    inbox.receive(start(message), 0.0)
    replies = [
        r
        for at in range(0, 40_000, 500)
        for r in inbox.receive(data(at, message[at : at + 500]), 0.0).replies
    ]
    assert [reply[0] for reply in replies] == [0x13, 0x13, 0x14]
    assert [int.from_bytes(reply[2:5]) for reply in replies[:2]] == [16_500, 33_000]


def test_a_delivered_message_is_delivered_again_for_a_start_and_not_a_byte_more() -> None:
    uploads, message = Uploads(TransferLimits()), bytes_of(5_000)
    first, second = Exchange(185), Exchange(185)
    first.offer(message)
    second.offer(message, cut_before=True)
    pump(first, uploads.open())
    messages, events = pump(second, uploads.open())
    assert messages == [message]
    assert events == [Delivered(1)]
    assert second.sent_bytes == 0


def test_bytes_of_a_connection_still_open_are_copied_so_that_a_thief_spoils_nothing() -> None:
    uploads, message = Uploads(TransferLimits()), bytes_of(3_000)
    owner, thief = uploads.open(), uploads.open()
    owner.receive(start(message), 0.0)
    owner.receive(data(0, message[:1_000]), 0.0)
    assert thief.receive(start(message), 0.0).replies == (wire.resume(1, 1_000),)
    assert thief.receive(data(1_000, bytes(1_000)), 0.0).replies == ()
    assert status_of(thief.receive(data(2_000, bytes(1_000)), 0.0)) == Status.CORRUPT
    assert owner.receive(data(1_000, message[1_000:]), 0.0).message == message


def test_copies_count_as_held_and_without_room_for_one_the_second_connection_starts_at_zero() -> None:
    uploads, message = Uploads(TransferLimits(max_held_bytes=2_500)), bytes_of(3_000)
    owner, second, third = uploads.open(), uploads.open(), uploads.open()
    owner.receive(start(message), 0.0)
    owner.receive(data(0, message[:1_000]), 0.0)
    assert second.receive(start(message), 0.0).replies == (wire.resume(1, 1_000),)
    assert third.receive(start(message), 0.0).replies == (wire.resume(1, 0),)
    assert uploads.held_bytes == 2_000


def test_bytes_that_do_not_hash_to_their_id_are_dropped_and_the_next_try_starts_at_zero() -> None:
    uploads, message = Uploads(TransferLimits()), bytes_of(100)
    inbox = uploads.open()
    inbox.receive(start(message), 0.0)
    assert status_of(inbox.receive(data(0, bytes(100)), 0.0)) == Status.CORRUPT
    assert uploads.held_bytes == 0
    assert inbox.receive(start(message), 0.0).replies == (wire.resume(1, 0),)
    assert inbox.receive(data(0, message), 0.0).message == message


def test_a_second_start_parks_the_first_transfer() -> None:
    uploads, one, two = Uploads(TransferLimits()), bytes_of(100, 1), bytes_of(100, 2)
    inbox = uploads.open()
    inbox.receive(start(one, 1), 0.0)
    inbox.receive(data(0, one[:60], 1), 0.0)
    inbox.receive(start(two, 2), 0.0)
    assert inbox.receive(data(0, two, 2), 0.0).message == two
    assert inbox.receive(start(one, 3), 0.0).replies == (wire.resume(3, 60),)


@pytest.mark.parametrize(
    "value",
    [
        b"", b"\x11", b"\x12\x01\x00\x00\x00", b"\x15\x01", b"\x21\x01" + bytes(15), b"{}",
        b"\x11\x01\x00\x00\x00" + bytes(12), b"\x11\x01\x00\x00\x05" + bytes(11), b"\x13\x01",
        b"\x15\x00of nobody", b"\x11\x00\x00\x00\x05" + bytes(12), b"\x17\x01\x00\x00\x05" + bytes(12),
    ],
)  # fmt: skip
def test_what_is_no_piece_is_refused_by_name(value: bytes) -> None:
    taken = Uploads(TransferLimits()).open().receive(value, 0.0)
    assert taken.fault == "malformed"
    assert status_of(taken) == Status.MALFORMED


def test_a_transfer_larger_than_the_limit_is_refused_before_a_byte_is_kept() -> None:
    uploads = Uploads(TransferLimits(max_message_bytes=1_000))
    inbox = uploads.open()
    assert status_of(inbox.receive(start(bytes(1_001)), 0.0)) == Status.TOO_LARGE
    assert (
        inbox.receive(data(0, bytes(500)), 0.0) == Taken()
    )  # of the burst that follows, each goes unanswered
    assert uploads.held_bytes == 0


def test_data_beyond_the_total_ends_the_transfer() -> None:
    uploads = Uploads(TransferLimits())
    inbox = uploads.open()
    inbox.receive(start(bytes(100)), 0.0)
    assert status_of(inbox.receive(data(90, bytes(11)), 0.0)) == Status.MALFORMED


def test_data_without_start_is_refused_once() -> None:
    inbox = Uploads(TransferLimits()).open()
    assert status_of(inbox.receive(data(0, bytes(10)), 0.0)) == Status.UNKNOWN
    assert inbox.receive(data(10, bytes(10)), 0.0) == Taken()


def test_a_start_that_stops_costs_nothing() -> None:
    uploads = Uploads(TransferLimits())
    for seed in range(1_000):
        inbox = uploads.open()
        inbox.receive(start(bytes_of(100, seed)), 0.0)
        inbox.close(0.0)
    assert (uploads.held_bytes, uploads.parked) == (0, 0)


def test_what_is_parked_is_bounded_in_number_bytes_and_time() -> None:
    uploads = Uploads(TransferLimits(max_parked=8, max_held_bytes=5_000, park_s=60.0))
    for seed in range(50):
        inbox, message = uploads.open(), bytes_of(2_000, seed)
        inbox.receive(start(message), float(seed))
        inbox.receive(data(0, message[:1_000]), float(seed))
        inbox.close(float(seed))
        assert uploads.held_bytes <= 5_000
        assert uploads.parked <= 5
    uploads.expire(200.0)
    assert (uploads.held_bytes, uploads.parked) == (0, 0)


def test_when_live_transfers_fill_the_room_a_newcomer_is_told_to_come_again() -> None:
    uploads = Uploads(TransferLimits(max_held_bytes=1_000))
    first, second, message = uploads.open(), uploads.open(), bytes_of(900)
    first.receive(start(bytes_of(950, 7)), 0.0)
    first.receive(data(0, bytes_of(950, 7)[:800]), 0.0)
    second.receive(start(message), 0.0)
    taken = second.receive(data(0, message[:400]), 0.0)
    assert status_of(taken) == Status.BUSY
    assert int.from_bytes(taken.replies[0][3:5]) > 0
    assert first.receive(data(800, bytes_of(950, 7)[800:]), 0.0).message == bytes_of(950, 7)


def test_delivered_messages_make_room_before_unfinished_ones() -> None:
    uploads = Uploads(TransferLimits(max_held_bytes=2_500))
    half, whole, more = bytes_of(1_000, 1), bytes_of(1_000, 2), bytes_of(1_400, 3)
    inbox = uploads.open()
    inbox.receive(start(half, 1), 0.0)
    inbox.receive(data(0, half[:900], 1), 0.0)
    inbox.receive(start(whole, 2), 1.0)
    inbox.receive(data(0, whole, 2), 1.0)
    inbox.receive(start(more, 3), 2.0)
    inbox.receive(data(0, more[:1_300], 3), 2.0)
    assert uploads.open().receive(start(half, 1), 3.0).replies == (wire.resume(1, 900),)


def test_a_connection_that_brings_only_useless_bytes_is_flooding() -> None:
    inbox = Uploads(TransferLimits()).open()
    piece = data(0, bytes(500))
    for _ in range(USELESS_BYTES // 500 + 1):
        inbox.receive(piece, 0.0)
    assert inbox.flooding


@given(values=st.lists(st.binary(max_size=40), max_size=60))
def test_no_bytes_make_the_gateways_end_raise_or_hold_more_than_it_may(values: list[bytes]) -> None:
    uploads = Uploads(TransferLimits(max_message_bytes=500, max_held_bytes=400))
    inbox = uploads.open()
    for value in values:
        inbox.receive(bytes((0x10 + value[0] % 8,)) + value[1:] if value else value, 0.0)
        assert 0 <= uploads.held_bytes <= 400
    inbox.close(0.0)


def test_the_phone_names_a_refusal_and_a_breach() -> None:
    exchange = Exchange(185)
    exchange.offer(bytes(1_000))
    exchange.next_piece()
    assert exchange.notified(wire.refused(1, Status.BUSY, 7)) == Refused(1, 4, 7)
    with pytest.raises(ProtocolBreach):
        exchange.notified(bytes(200))
    with pytest.raises(ProtocolBreach):
        exchange.notified(wire.done(1, bytes(32)))
