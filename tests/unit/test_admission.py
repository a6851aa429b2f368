"""Floods run into their own limit, and honest neighbours do not notice."""

from __future__ import annotations

import pytest

from gateway.core.admission import MAX_PEERS, Admission, Rate, Rates
from gateway.core.refusal import Refusal, Refused

KEY, OTHER = bytes(32), bytes([1]) * 32


def admission(**rates: Rate) -> Admission:
    wide = Rate(1_000_000, 1 << 34)
    return Admission(Rates(**{"radio": wide, "peer": wide, "device": wide, **rates}))


def test_a_flooding_peer_is_told_when_to_come_again_and_its_neighbour_is_let_in() -> None:
    door = admission(peer=Rate(2, 1 << 20), radio=Rate(4, 1 << 20))
    door.arrived("lora", "a", 10, 0.0)
    door.arrived("lora", "a", 10, 0.0)
    for _ in range(100):  # what is refused is charged to nobody
        with pytest.raises(Refused) as refusal:
            door.arrived("lora", "a", 10, 0.0)
    assert (refusal.value.code, refusal.value.retry_after_s) == (Refusal.RATE_LIMITED, 30)
    door.arrived("lora", "b", 10, 0.0)
    door.arrived("lora", "a", 10, 30.0)


def test_many_peers_together_meet_the_limit_of_their_radio_and_of_no_other() -> None:
    door = admission(radio=Rate(3, 1 << 20))
    for peer in "abc":
        door.arrived("lora", peer, 1, 0.0)
    with pytest.raises(Refused, match="lora"):
        door.arrived("lora", "d", 1, 0.0)
    door.arrived("ble", "d", 1, 0.0)


def test_a_message_larger_than_its_bucket_is_let_in_once_and_is_paid_for_afterwards() -> None:
    door = admission(peer=Rate(1000, 1000))
    door.arrived("http", "a", 3000, 0.0)
    with pytest.raises(Refused) as refusal:
        door.arrived("http", "a", 1, 0.0)
    assert refusal.value.retry_after_s == 121
    door.arrived("http", "a", 1, 121.0)


def test_bytes_that_were_not_announced_are_owed_once_they_came() -> None:
    door = admission(peer=Rate(2, 1000), radio=Rate(1_000_000, 2000))
    door.arrived("http", "a", 0, 0.0)
    door.brought("http", "a", 2000, 0.0)
    with pytest.raises(Refused) as of_peer:
        door.arrived("http", "a", 0, 0.0)
    assert of_peer.value.retry_after_s == 61
    with pytest.raises(Refused, match="too much on http"):
        door.arrived("http", "b", 0, 0.0)
    door.arrived("http", "a", 0, 61.0)  # it was one message, and is not counted twice


def test_a_bucket_never_holds_more_than_a_minute_however_long_nobody_came() -> None:
    door = admission(peer=Rate(2, 1 << 20))
    door.arrived("http", "a", 1, 0.0)
    for _ in range(2):
        door.arrived("http", "a", 1, 1e9)
    with pytest.raises(Refused):
        door.arrived("http", "a", 1, 1e9)


def test_claims_do_not_use_up_a_device_s_share_only_what_its_key_verified_does() -> None:
    door = admission(device=Rate(1, 1 << 20))
    for _ in range(1000):
        door.claimed(KEY, 0.0)
    door.verified(KEY, 100, 0.0)
    with pytest.raises(Refused, match="device"):
        door.claimed(KEY, 0.0)
    door.claimed(OTHER, 0.0)
    door.claimed(KEY, 60.0)


def test_a_blocked_device_is_refused_as_such() -> None:
    wide = Rate(10, 1000)
    same_id = KEY[:8] + bytes([1]) * 24
    door = Admission(Rates(wide, wide, wide), blocked=frozenset({KEY.hex()}))
    with pytest.raises(Refused) as refusal:
        door.claimed(KEY, 0.0)
    assert refusal.value.code is Refusal.BLOCKED
    door.claimed(same_id, 0.0)
    door.block(frozenset({KEY.hex()[:16]}))
    for key in (KEY, same_id):
        with pytest.raises(Refused, match="block list"):
            door.claimed(key, 0.0)
    door.claimed(OTHER, 0.0)
    door.block(frozenset())
    door.claimed(KEY, 0.0)


def test_the_table_of_peers_is_bounded_and_forgets_the_one_seen_longest_ago() -> None:
    door = admission(peer=Rate(1, 1 << 20))
    door.arrived("http", "first", 1, 0.0)
    door.arrived("http", "second", 1, 0.0)
    for n in range(MAX_PEERS - 1):
        door.arrived("http", str(n), 1, 0.0)
    door.arrived("http", "first", 1, 0.0)  # forgotten, so its bucket is full again
    with pytest.raises(Refused):
        door.arrived("http", str(MAX_PEERS - 2), 1, 0.0)


def test_a_clock_that_stands_still_or_steps_back_gives_nothing_away() -> None:
    door = admission(peer=Rate(1, 1 << 20))
    door.arrived("http", "a", 1, 100.0)
    with pytest.raises(Refused):
        door.arrived("http", "a", 1, 50.0)


def test_new_limits_hold_at_once() -> None:
    door = admission()
    door.arrived("http", "a", 1, 0.0)
    tight = Rate(1, 1024)
    door.limit(Rates(tight, tight, tight))
    door.arrived("http", "a", 1, 0.0)
    with pytest.raises(Refused):
        door.arrived("http", "a", 1, 0.0)
