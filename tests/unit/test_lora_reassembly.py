"""Fragments joined in spite of order, loss, forgery and flood."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import permutations
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lora.frames import split, xid_of
from gateway.core.lora.reassembly import (
    MAX_CANDIDATES,
    Joined,
    Outcome,
    Progress,
    Reassembly,
    ReassemblyLimits,
    TooLarge,
)

MESSAGE = bytes(range(100))
XID = xid_of(MESSAGE)
CHUNKS = split(MESSAGE, 25)


def feed(
    reassembly: Reassembly,
    fragments: Iterable[tuple[int, bytes]],
    *,
    xid: bytes = XID,
    total: int = 4,
    peer: str = "a",
    now: float = 0.0,
) -> Outcome:
    outcomes = [reassembly.add(xid, i, total, chunk, peer=peer, now=now) for i, chunk in fragments]
    return outcomes[-1]


def test_fragments_in_any_order_make_the_message() -> None:
    for order in permutations(enumerate(CHUNKS)):
        assert feed(Reassembly(), order) == Joined(MESSAGE)


def test_a_fragment_heard_twice_changes_nothing() -> None:
    reassembly = Reassembly()
    assert feed(reassembly, [(0, CHUNKS[0]), (0, CHUNKS[0]), (2, CHUNKS[2])]) == Progress(b"\x05")


@given(st.integers(1, 255), st.data())
def test_the_bitmap_has_a_bit_for_each_fragment_held(total: int, data: st.DataObject) -> None:
    held = data.draw(st.sets(st.integers(0, total - 1), max_size=total - 1))
    reassembly = Reassembly()
    for index in held:
        reassembly.add(XID, index, total, bytes([index]), peer="a", now=0.0)
    progress = reassembly.bitmap(XID)
    if total == 1 or not held:
        assert progress is None
    else:
        assert progress is not None
        assert len(progress[1]) == math.ceil(total / 8)
        assert {i for i in range(total) if progress[1][i // 8] >> i % 8 & 1} == held


@pytest.mark.parametrize("forged_first", [True, False])
def test_one_forged_fragment_in_every_slot_does_not_spoil_the_message(forged_first: bool) -> None:
    reassembly, random = Reassembly(), Random(1)
    outcome = None
    for index, chunk in enumerate(CHUNKS):
        pair = [random.randbytes(25), chunk] if forged_first else [chunk, random.randbytes(25)]
        for candidate in pair:
            outcome = reassembly.add(XID, index, len(CHUNKS), candidate, peer="a", now=0.0)
            if isinstance(outcome, Joined):
                break
    assert outcome == Joined(MESSAGE)


def test_a_slot_stuffed_with_forgeries_still_takes_the_honest_fragment() -> None:
    reassembly, random = Reassembly(), Random(1)
    for _ in range(20):
        reassembly.add(XID, 1, 4, random.randbytes(25), peer="evil", now=0.0)
    assert feed(reassembly, enumerate(CHUNKS)) == Joined(MESSAGE)


def test_when_all_slots_are_filled_and_nothing_fits_those_in_doubt_are_asked_for_again() -> None:
    reassembly = Reassembly()
    feed(reassembly, [(0, CHUNKS[0]), (1, b"x" * 25), (1, b"y" * 25), (2, CHUNKS[2])])
    assert feed(reassembly, [(3, CHUNKS[3])]) == Progress(b"\x0d")
    assert feed(reassembly, [(1, CHUNKS[1])]) == Joined(MESSAGE)


def test_when_no_slot_is_in_doubt_and_nothing_fits_all_are_asked_for_again() -> None:
    outcome = feed(Reassembly(), [(0, CHUNKS[0]), (1, b"x" * 25), (2, CHUNKS[2]), (3, CHUNKS[3])])
    assert outcome == Progress(b"\x00")


def test_a_message_of_ten_fragments_with_forgeries_in_eight_slots_is_joined_on_its_repetition() -> None:
    message = Random(3).randbytes(2400)
    chunks, xid, random = split(message, 240), xid_of(message), Random(4)
    reassembly = Reassembly()
    for index in range(8):
        for _ in range(2):
            reassembly.add(xid, index, 10, random.randbytes(240), peer="evil", now=0.0)
    outcomes = [
        reassembly.add(xid, index, 10, chunk, peer="a", now=1.0)
        for _ in range(2)
        for index, chunk in enumerate(chunks)
    ]
    assert Joined(message) in outcomes


def test_a_forged_total_opens_a_transfer_of_its_own() -> None:
    reassembly = Reassembly()
    reassembly.add(XID, 0, 200, b"forged", peer="evil", now=0.0)
    assert feed(reassembly, enumerate(CHUNKS)) == Joined(MESSAGE)


def test_a_message_of_one_fragment_needs_no_transfer_and_a_forged_one_leaves_nothing() -> None:
    reassembly = Reassembly()
    assert reassembly.add(xid_of(b"one"), 0, 1, b"one", peer="a", now=0.0) == Joined(b"one")
    assert reassembly.add(xid_of(b"one"), 0, 1, b"two", peer="a", now=0.0) == Progress(b"\x00")
    assert len(reassembly) == 0


def test_a_message_above_the_limit_is_refused_at_its_first_fragment() -> None:
    reassembly = Reassembly(ReassemblyLimits(message_bytes=1000))
    assert reassembly.add(XID, 0, 5, bytes(247), peer="a", now=0.0) == Progress(b"\x01")
    assert reassembly.add(XID, 0, 6, bytes(247), peer="a", now=0.0) == TooLarge()


def test_a_flood_of_beginnings_evicts_itself_and_not_the_transfer_that_is_furthest_on() -> None:
    reassembly = Reassembly(ReassemblyLimits(transfers=8, transfers_per_peer=8))
    feed(reassembly, list(enumerate(CHUNKS))[:2])
    random = Random(2)
    for number in range(1000):
        reassembly.add(random.randbytes(4), 0, 255, random.randbytes(50), peer="evil", now=float(number))
    assert len(reassembly) == 8
    assert reassembly.evicted == 993
    assert feed(reassembly, list(enumerate(CHUNKS))[2:], now=1000.0) == Joined(MESSAGE)


def test_halves_of_forged_messages_do_not_outlast_honest_ones_that_are_just_beginning() -> None:
    reassembly, random = Reassembly(ReassemblyLimits(transfers=8, transfers_per_peer=8)), Random(3)
    for _ in range(8):
        reassembly.add(random.randbytes(4), 0, 2, random.randbytes(50), peer="a", now=0.0)
    assert isinstance(feed(reassembly, list(enumerate(CHUNKS))[:1], now=1.0), Progress)
    for number in range(2, 6):  # others begin as well
        reassembly.add(random.randbytes(4), 0, 10, random.randbytes(50), peer="a", now=float(number))
    assert feed(reassembly, list(enumerate(CHUNKS))[1:], now=6.0) == Joined(MESSAGE)


def test_one_peer_cannot_take_the_room_of_another() -> None:
    reassembly = Reassembly(ReassemblyLimits(transfers=8, transfers_per_peer=4))
    feed(reassembly, [(0, CHUNKS[0])], peer="honest")
    random = Random(2)
    for number in range(100):
        xid = random.randbytes(4)
        for index in range(3):  # further on than the honest one
            reassembly.add(xid, index, 4, random.randbytes(20), peer="evil", now=float(number))
    assert len(reassembly) == 5
    assert feed(reassembly, list(enumerate(CHUNKS))[1:], peer="honest") == Joined(MESSAGE)


def test_buffered_bytes_are_bounded() -> None:
    limits = ReassemblyLimits(buffered_bytes=5000)
    reassembly, random = Reassembly(limits), Random(5)
    for index in range(500):
        reassembly.add(random.randbytes(4), index % 60, 60, random.randbytes(240), peer="evil", now=0.0)
        assert reassembly.buffered_bytes <= limits.buffered_bytes + 240


def test_an_idle_transfer_expires_and_a_slow_one_does_not() -> None:
    reassembly = Reassembly()
    reassembly.add(XID, 0, 4, CHUNKS[0], peer="a", now=0.0)
    reassembly.add(b"slow", 0, 4, b"1", peer="a", now=0.0)
    reassembly.add(b"slow", 1, 4, b"2", peer="a", now=1700.0)
    reassembly.expire(1900.0)
    assert reassembly.expired == 1
    assert reassembly.bitmap(XID) is None
    assert reassembly.bitmap(b"slow") == (4, b"\x03")


@given(
    st.lists(
        st.tuples(st.sampled_from([b"aaaa", b"bbbb"]), st.integers(0, 5), st.binary(min_size=1, max_size=9)),
        max_size=80,
    )
)
def test_whatever_comes_the_books_balance(fragments: list[tuple[bytes, int, bytes]]) -> None:
    one_transfer = 6 * MAX_CANDIDATES * 9  # the one just spoken for is never evicted
    reassembly = Reassembly(ReassemblyLimits(transfers=2, transfers_per_peer=2, buffered_bytes=one_transfer))
    for number, (xid, index, chunk) in enumerate(fragments):
        reassembly.add(xid, index, 6, chunk, peer="a", now=float(number))
    held = reassembly.buffered_bytes
    assert 0 <= held <= one_transfer
    reassembly.expire(1e9)
    assert (len(reassembly), reassembly.buffered_bytes) == (0, 0)
