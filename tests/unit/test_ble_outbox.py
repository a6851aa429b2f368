"""The sending side between gateways against the receiving one, over links that lose and end."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.ble import wire
from drivers.ble.outbox import WINDOW, Outbox
from drivers.ble.transfer import HEAD_BYTES, Inbox, TransferLimits, Uploads
from drivers.ble.wire import Status, Word

MTUS = (23, 185, 517)


def bytes_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def told(outbox: Outbox, reply: bytes) -> Status | None:
    word = wire.decode(reply)
    assert isinstance(word, Word)
    return outbox.told(word)


def pump(
    outbox: Outbox, inbox: Inbox, mtu: int, pieces: int = 1 << 30
) -> tuple[list[bytes], list[Status], int]:
    """Messages that came, how they ended, and bytes of DATA that were written."""
    messages, ends, sent = [], [], 0
    while pieces and (piece := outbox.next_piece(mtu)) is not None:
        pieces -= 1
        sent += len(piece) - wire.DATA_HEADER if piece[0] == wire.DATA else 0
        taken = inbox.receive(piece, 0.0)
        messages += [taken.message] if taken.message is not None else []
        ends += [end for reply in taken.replies if (end := told(outbox, reply)) is not None]
    return messages, ends, sent


@pytest.mark.parametrize("mtu", MTUS)
@pytest.mark.parametrize("size", [1, 15, 600, HEAD_BYTES, HEAD_BYTES + 1, 100_000])
def test_a_message_of_any_size_arrives_and_is_known_to_have(size: int, mtu: int) -> None:
    outbox, message = Outbox(), bytes_of(size)
    outbox.offer(message)
    assert pump(outbox, Uploads(TransferLimits()).open(), mtu) == ([message], [Status.OK], size)
    assert not outbox.busy


def test_it_never_runs_ahead_of_the_window_nor_of_the_head_start() -> None:
    outbox = Outbox()
    outbox.offer(bytes_of(100_000))
    head = [piece for piece in iter(lambda: outbox.next_piece(517), None) if piece[0] == wire.DATA]
    assert HEAD_BYTES <= sum(len(piece) - 5 for piece in head) < HEAD_BYTES + 495
    assert told(outbox, wire.resume(1, 0)) is None
    more = list(iter(lambda: outbox.next_piece(517), None))
    assert WINDOW <= sum(len(piece) - 5 for piece in (*head, *more)) < WINDOW + 495


def test_on_a_new_link_only_what_had_not_arrived_is_sent_and_a_head_start() -> None:
    uploads, message = Uploads(TransferLimits()), bytes_of(60_000)
    first, second = Outbox(), Outbox()
    first.offer(message)
    inbox = uploads.open()
    _, _, before = pump(first, inbox, 185, pieces=200)
    inbox.close(0.0)
    second.offer(message)
    messages, ends, after = pump(second, uploads.open(), 185)
    assert (messages, ends) == ([message], [Status.OK])
    assert before + after <= len(message) + HEAD_BYTES + 185


@given(lost=st.sets(st.integers(0, 80), max_size=10), silent=st.sets(st.integers(0, 10), max_size=3))
def test_what_is_lost_either_way_is_sent_again(lost: set[int], silent: set[int]) -> None:
    outbox, inbox, message = Outbox(), Uploads(TransferLimits()).open(), bytes_of(30_000)
    outbox.offer(message)
    ends: list[Status] = []
    pieces = replies = 0
    for _ in range(400):
        if ends:
            break
        piece = outbox.next_piece(517)
        if piece is None:
            outbox.ask()  # what a link does after 5 s without a word
            continue
        pieces += 1
        if pieces - 1 in lost:
            continue
        for reply in inbox.receive(piece, 0.0).replies:
            replies += 1
            if replies - 1 not in silent and (end := told(outbox, reply)) is not None:
                ends.append(end)
    assert ends == [Status.OK]


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        (wire.refused(1, Status.BUSY, 5), Status.BUSY),
        (wire.refused(1, Status.TOO_LARGE), Status.TOO_LARGE),
        (wire.done(1, bytes(32)), Status.CORRUPT),  # of something else
        (b"\x14\x01\x63\x00\x00", Status.MALFORMED),  # a status of another version
        (wire.refused(2, Status.BUSY, 5), None),
        (wire.ack(1, 1 << 20), None),
    ],
)
def test_each_word_ends_the_message_it_is_about_or_none(reply: bytes, end: Status | None) -> None:
    outbox = Outbox()
    outbox.offer(bytes_of(1_000))
    assert told(outbox, reply) is end
    assert outbox.busy == (end is None)
