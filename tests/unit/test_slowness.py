"""What takes too long is counted each time, and told once an hour with the worst of it."""

from __future__ import annotations

from gateway.core.slowness import TELL_EVERY_S, Slow, Slowness


def test_within_its_bound_nothing_is_slow() -> None:
    slowness = Slowness({"store": 2.0})
    assert slowness.took("store", 2.0, 0.0) is None
    assert slowness.counts == {"store": 0}


def test_the_first_time_is_told_at_once_and_then_an_hour_s_worst() -> None:
    slowness = Slowness({"store": 2.0})
    assert slowness.took("store", 3.0, 0.0) == Slow("store", 2.0, 3.0, 1)
    for at, seconds in enumerate((4.0, 9.0, 5.0), 1):
        assert slowness.took("store", seconds, float(at)) is None
    assert slowness.took("store", 2.5, TELL_EVERY_S) == Slow("store", 2.0, 9.0, 4)
    assert slowness.counts == {"store": 5}


def test_each_part_has_its_own_bound_and_hour() -> None:
    slowness = Slowness({"store": 2.0, "event_loop": 0.5})
    assert slowness.took("store", 3.0, 0.0) is not None
    assert slowness.took("event_loop", 1.0, 1.0) == Slow("event_loop", 0.5, 1.0, 1)
