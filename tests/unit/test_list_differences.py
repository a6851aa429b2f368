"""Lists as differences: what is written is what the textbook reads, and it costs what is new."""

from __future__ import annotations

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.lists import ListInvalid, Place, continuation, difference, expand
from simulators.textbook.lists import rebuild


def identity(ordinal: int) -> bytes:
    return sha256(str(ordinal).encode()).digest()


def read_by_the_textbook(ops: bytes, base: list[Place], new: list[int]) -> list[bytes]:
    return rebuild(ops, identities(base), [identity(n) for n in new], identity, 201, 10_000)


def identities(places: list[Place]) -> list[bytes]:
    return [place if isinstance(place, bytes) else identity(place) for place in places]


raws = st.integers(1_000_000, 1_000_050).map(identity)
lists = st.lists(st.one_of(st.integers(0, 200), raws), max_size=80, unique=True)


@given(base=lists, rest=lists, new=st.integers(0, 10), seed=st.randoms(use_true_random=False))
def test_any_list_is_read_back_as_it_was(
    base: list[Place], rest: list[Place], new: int, seed: Random
) -> None:
    fresh = list(range(201, 201 + new))
    places: list[Place] = list(dict.fromkeys([*base[: seed.randint(0, 80)], *rest]))
    for ordinal in reversed(fresh):  # the new ones in order, anywhere between
        places.insert(seed.randint(0, 3), ordinal)
    places = [p for p in places if not (isinstance(p, int) and p > 200)]
    places += fresh
    ops = difference(places, base, 201)
    assert read_by_the_textbook(ops, base, fresh) == identities(places)
    assert expand(ops, base, fresh, 201) == places


@given(base=lists, rest=lists)
def test_a_continuation_is_the_base_and_then_the_rest(base: list[Place], rest: list[Place]) -> None:
    following = [place for place in rest if place not in base]
    ops = continuation(len(base), following, 201)
    assert expand(ops, base, [], 201) == base + following


def test_a_ledger_that_grew_costs_a_few_bytes_whatever_its_length() -> None:
    base: list[Place] = list(range(5000))
    ops = difference([*base, 7000, 7001], base, 7000)
    assert ops == b"\x00"


def test_a_payment_inserted_in_the_middle_costs_one_more_copy() -> None:
    base: list[Place] = list(range(100))
    assert len(difference([*base[:50], 200, *base[50:]], base, 200)) == 2 + 1 + 1


def test_what_another_ledger_brought_lately_costs_a_byte_and_longer_ago_two() -> None:
    assert len(difference([190, 10], [], 200)) == 1 + 1 + 2


@pytest.mark.parametrize(
    ("ops", "reason"),
    [
        (b"\x20", "places 0 to 4 of 3"),
        (b"\x24\x08", "places 4 to 5 of 3"),
        (b"\x24\x00", "places 4 to 3 of 3"),
        (b"\x11", "places 0 to 2 of 1"),
        (b"\x07", "no op 7"),
        (b"\x0babc", "cut short"),
        (b"\x0a\x09", "9 objects before ordinal 9"),
        (b"\x2a\x01", "cut short or too long"),
        (b"\x80" * 12, "cut short or too long"),
    ],
)
def test_ops_that_make_no_list_are_refused(ops: bytes, reason: str) -> None:
    with pytest.raises(ListInvalid, match=reason):
        expand(ops, [1, 2, 3], [9], 9)
