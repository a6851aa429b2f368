"""Benchmarks ``ble_crowd`` and ``ble_misdeeds``, small: the daemon as a process behind a UART of 1 Mbaud."""

from __future__ import annotations

from pathlib import Path

from benchmarks.ble_crowd import CUTS, MTUS, PHONES, crowd
from benchmarks.ble_misdeeds import DEEDS, GAUGE, HELD_BYTES, Pace, play
from simulators.phones.call import PACKETS_AHEAD


async def test_of_twenty_phones_cut_three_times_each_all_are_accepted_once_and_little_is_sent_again(
    tmp_path: Path,
) -> None:
    seen = await crowd(tmp_path, payments=40)
    assert (seen.accepted, seen.logged_once, seen.messages_heard) == (PHONES, PHONES, PHONES)
    assert sum(len(one.again) for one in seen.walked) > PHONES
    in_the_phones_own_stack = (PACKETS_AHEAD + 1) * max(MTUS)
    assert seen.worst_again <= in_the_phones_own_stack
    assert all(one.sent - one.size <= CUTS * in_the_phones_own_stack for one in seen.walked)


async def test_each_misdeed_is_counted_and_named_and_the_others_are_served_beside_it(tmp_path: Path) -> None:
    seen = await play(tmp_path, Pace(phones=2, before=0, meanwhile=2), hang=False)
    assert len(seen) == len(DEEDS) + 2
    for one in seen:
        assert one.times >= 1, one.name
        assert len(one.receipts_s) >= 2, one.name
        assert one.figures[GAUGE, "held_bytes"] < HELD_BYTES
        assert one.figures[GAUGE, "pending_transmits"] == 0
