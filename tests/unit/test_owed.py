"""What is still owed to whom: once each, newest first, bounded."""

from __future__ import annotations

from hashlib import sha256

from gateway.core import owed as module
from gateway.core.owed import Owed, Stage

ALICE, BOB = bytes([1]) * 32, bytes([2]) * 32
PHONE, OTHER = ("ble", "F0:00"), ("ble", "F0:01")


def content(n: int) -> bytes:
    return sha256(b"%d" % n).digest()


def told(owed: Owed, peer: tuple[str, str], acked: int) -> list[bytes]:
    return [due.content for due in owed.due(peer, acked)]


def test_who_brought_a_content_gets_its_proof_once_when_it_is_cosigned() -> None:
    owed = Owed()
    owed.promised(ALICE, content(0), 0)
    owed.answered(PHONE, content(0))
    assert told(owed, PHONE, 0) == []
    assert told(owed, PHONE, 1) == [content(0)]
    assert told(owed, PHONE, 1) == []
    assert told(owed, OTHER, 1) == []


def test_a_wallet_gets_the_promise_of_what_another_brought_and_later_the_proof() -> None:
    owed = Owed()
    owed.promised(ALICE, content(5), 5)
    owed.answered(OTHER, content(5))
    owed.met(PHONE, ALICE)
    [due] = owed.due(PHONE, 5)
    assert (due.content, due.before) == (content(5), Stage.NOTHING)
    assert told(owed, PHONE, 5) == []
    assert told(owed, PHONE, 6) == [content(5)]


def test_what_came_over_another_radio_is_known_by_the_wallets_key() -> None:
    owed = Owed()
    owed.promised(ALICE, content(1), 1)
    owed.met(PHONE, BOB)
    assert told(owed, PHONE, 9) == []
    owed.met(PHONE, ALICE)
    assert told(owed, PHONE, 9) == [content(1)]


def test_what_did_not_get_through_is_due_again() -> None:
    owed = Owed()
    owed.promised(ALICE, content(1), 1)
    owed.met(PHONE, ALICE)
    [due] = owed.due(PHONE, 9)
    owed.untold(due)
    assert owed.due(PHONE, 9) == [due]


def test_at_most_three_at_a_time_the_newest_first() -> None:
    owed = Owed()
    for n in range(5):
        owed.promised(bytes([n]) * 32, content(n), n)
        owed.answered(PHONE, content(n))
    assert told(owed, PHONE, 9) == [content(4), content(3), content(2)]
    assert told(owed, PHONE, 9) == [content(1), content(0)]


def test_a_carrier_that_says_who_it_is_is_not_taken_for_those_it_carries() -> None:
    owed = Owed()
    owed.promised(ALICE, content(0), 0)
    owed.promised(BOB, content(1), 1)
    owed.promised(BOB, content(2), 2)
    owed.answered(PHONE, content(0))  # its own comes first
    owed.answered(PHONE, content(1))
    assert told(owed, PHONE, 9) == [content(1), content(0)]


def test_many_who_claim_one_key_are_told_four_times_in_all() -> None:
    owed = Owed()
    owed.promised(ALICE, content(0), 0)
    for n in range(10):
        owed.met(("ble", f"{n}"), ALICE)
    assert sum(len(owed.due(("ble", f"{n}"), 9)) for n in range(10)) == module.MAX_TOLD


def test_everything_that_is_kept_has_its_bound() -> None:
    owed = Owed()
    for n in range(module.MAX_CONTENTS + 100):
        key = content(n // 7)
        owed.promised(key, content(n), n)
        owed.answered(("ble", f"{n}"), content(n))
        owed.answered(PHONE, content(n))
    assert len(owed) <= module.MAX_CONTENTS
    assert len(owed._contacts) == module.MAX_CONTACTS
    assert len(owed._contacts[PHONE].brought) == module.MAX_BROUGHT
    assert set(owed._contents) == {one for ours in owed._by_key.values() for one in ours}
    assert max(map(len, owed._by_key.values())) == module.MAX_OF_A_KEY
    owed.untold(module.Due(PHONE, content(0), Stage.NOTHING))  # long forgotten
