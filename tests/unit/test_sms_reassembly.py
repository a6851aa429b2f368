"""Parts join in any order, once, within bounds."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from itertools import permutations
from random import Random
from typing import Any

from drivers.gsm_at.reassembly import MAX_GROUPS, MAX_GROUPS_PER_SENDER, Part, Reassembly
from drivers.gsm_at.userdata import Coding


def part(sequence: int, total: int = 3, *, data: bytes = b"", at: float = 0.0, **fields: Any) -> Part:
    data = data or b"part %d;" % sequence
    made = Part(
        sender="+491700000002",
        coding=Coding.OCTETS,
        reference=7,
        reference_bits=8,
        total=total,
        sequence=sequence,
        data=data,
        received_unix_s=at,
        digest="",
    )
    made = replace(made, **fields)
    return replace(made, digest=sha256(repr(made).encode()).hexdigest())


def test_parts_join_in_every_order() -> None:
    for order in permutations((1, 2, 3)):
        reassembly = Reassembly()
        *early, last = [reassembly.add(part(number)) for number in order]
        assert [added.joined for added in early] == [None, None]
        assert last.joined is not None
        assert last.joined.data == b"part 1;part 2;part 3;"
        assert len(reassembly) == 0


def test_a_repeated_part_changes_nothing_before_and_after_joining() -> None:
    reassembly = Reassembly()
    assert not reassembly.add(part(1)).duplicate
    assert reassembly.add(part(1)).duplicate
    assert reassembly.add(part(1, at=9.0)).duplicate, "the same data by another PDU"
    reassembly.add(part(2))
    assert reassembly.add(part(3)).joined
    assert reassembly.add(part(2)).duplicate
    assert len(reassembly) == 0


def test_a_whole_message_sent_again_later_is_joined_again() -> None:
    reassembly = Reassembly()
    for at in (0.0, 60.0):
        assert [reassembly.add(part(number, at=at)).joined is not None for number in (1, 2, 3)][-1]


def test_references_senders_codings_and_totals_are_kept_apart() -> None:
    reassembly = Reassembly()
    others = [
        part(1, 2),
        part(1, 2, reference=8),
        part(1, 2, reference_bits=16),
        part(1, 2, sender="+2"),
        part(1, 2, coding=Coding.GSM7),
        part(1, 3),
    ]
    for other in others:
        reassembly.add(other)
    assert len(reassembly) == len(others)
    assert reassembly.add(part(2, 2)).joined


def test_a_reference_reused_before_its_message_was_whole_spoils_neither() -> None:
    reassembly = Reassembly()
    reassembly.add(part(1, 2, data=b"old 1"))
    reassembly.add(part(1, 2, data=b"new 1"))
    added = reassembly.add(part(2, 2, data=b"new 2"))
    assert added.joined is not None
    assert added.joined.data == b"new 1new 2"
    assert len(reassembly) == 1
    added = reassembly.add(part(2, 2, data=b"old 2"))
    assert added.joined is not None
    assert added.joined.data == b"old 1old 2"


def test_a_third_generation_drops_the_first() -> None:
    reassembly = Reassembly()
    first = part(1, 2, data=b"first")
    reassembly.add(first)
    reassembly.add(part(1, 2, data=b"second"))
    assert reassembly.add(part(1, 2, data=b"third")).dropped == (first,)


def test_parts_expire_by_the_oldest_of_their_group() -> None:
    reassembly = Reassembly(expiry_s=100)
    reassembly.add(part(1, at=0))
    reassembly.add(part(2, at=90))
    assert reassembly.expire(100) == ()
    assert {one.sequence for one in reassembly.expire(101)} == {1, 2}
    assert len(reassembly) == 0


def test_one_sender_cannot_crowd_out_the_others() -> None:
    reassembly = Reassembly()
    reassembly.add(part(1, sender="+1"))
    dropped = [dead for number in range(200) for dead in reassembly.add(part(1, reference=number)).dropped]
    assert len(reassembly) == 1 + MAX_GROUPS_PER_SENDER
    assert {dead.sender for dead in dropped} == {"+491700000002"}


def test_many_senders_push_out_the_oldest_group() -> None:
    reassembly = Reassembly()
    for number in range(2 * MAX_GROUPS):
        reassembly.add(part(1, sender=f"+{number}"))
    assert len(reassembly) == MAX_GROUPS


def test_a_restart_in_the_middle_is_no_difference() -> None:
    random = Random(1)
    parts = [part(number, 9) for number in range(1, 10)]
    random.shuffle(parts)
    stored: list[Part] = []
    reassembly = Reassembly()
    joined = None
    for one in parts:
        reassembly = Reassembly()
        for known in stored:
            reassembly.add(known)
        joined = reassembly.add(one).joined
        stored.append(one)
    assert joined is not None
    assert [one.sequence for one in joined.parts] == list(range(1, 10))
