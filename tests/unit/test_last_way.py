"""When the coordinator is told by text message."""

from __future__ import annotations

from gateway.core.last_way import DAY_S, LastWay, LastWaySettings

SETTINGS = LastWaySettings(after_s=100, interval_s=50, per_day=3)


def test_the_first_message_waits_until_the_coordinator_was_long_enough_out_of_reach() -> None:
    way = LastWay(SETTINGS)
    assert way.wait_s(0, 0) == 100
    assert way.wait_s(40, 1000) == 60
    assert way.wait_s(100, 1060) == 0


def test_the_next_ones_wait_twice_as_long_each_time_and_a_day_at_most() -> None:
    way = LastWay(LastWaySettings(after_s=1, interval_s=DAY_S / 3, per_day=100))
    waits, now = [], 0.0
    for _ in range(4):
        way.sent(now)
        waits.append(way.wait_s(9, now))
        now += waits[-1]
    assert waits == [DAY_S / 3, 2 * DAY_S / 3, DAY_S, DAY_S]


def test_a_coordinator_that_comes_and_goes_starts_the_schedule_anew_but_not_the_days_budget() -> None:
    way = LastWay(SETTINGS)
    for now in (0.0, 10.0, 20.0):
        assert way.wait_s(100, now) == 0
        way.sent(now)
        assert way.wait_s(0, now) == 100
    assert way.wait_s(100, 30.0) == DAY_S - 30
    assert way.wait_s(100, DAY_S) == 0


def test_what_the_radio_refused_costs_nothing_and_is_tried_again_soon_however_often() -> None:
    way = LastWay(SETTINGS)
    for _ in range(9):
        way.refused(0.0)
    assert way.wait_s(100, 0.0) == 50
    way.sent(50.0)
    assert way.wait_s(150, 50.0) == 50
