"""The backoff by simulation: virtual time, seeded dice."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gateway.core.backoff import MAX_DELAY_S, Backoff


def attempts_within(seconds: float, backoff: Backoff) -> int:
    """How many attempts begin, when each is accepted and closed at once."""
    now, attempts = 0.0, 0
    while now < seconds:
        attempts += 1
        now += backoff.next_delay()
    return attempts


@pytest.mark.parametrize("base_s", [0.0, 0.1, 0.5, 1.0, 5.0, 600.0])
def test_a_coordinator_that_accepts_and_closes_sees_at_most_ten_attempts_in_a_minute(base_s: float) -> None:
    assert attempts_within(60.0, Backoff(base_s, lambda: 0.0)) <= 10
    dice = random.Random(1)
    assert max(attempts_within(60.0, Backoff(base_s, dice.random)) for _ in range(1000)) <= 10


def test_the_delay_doubles_about_the_configured_interval_and_stays_below_five_minutes() -> None:
    middle = Backoff(5.0, lambda: 0.5)
    assert [middle.next_delay() for _ in range(6)] == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0]
    highest = Backoff(5.0, lambda: 0.999999)
    assert max(highest.next_delay() for _ in range(100)) <= MAX_DELAY_S


def test_only_a_reset_brings_the_short_delays_back() -> None:
    backoff = Backoff(5.0, lambda: 0.5)
    long_after = [backoff.next_delay() for _ in range(10)][-1]
    backoff.reset()
    assert backoff.next_delay() == 5.0 < long_after


def test_five_hundred_gateways_come_back_spread_over_the_interval_and_not_in_lockstep() -> None:
    dice = random.Random(500)
    fleet = [Backoff(5.0, dice.random) for _ in range(500)]
    arrivals: Counter[int] = Counter()
    for backoff in fleet:
        now = 0.0
        while now < 600.0:  # the coordinator refuses all of them for ten minutes
            now += backoff.next_delay()
            arrivals[int(now)] += 1
    first = [arrivals[second] for second in range(8)]
    assert sum(first) >= 500  # all of them within one and a half intervals
    assert max(first) <= 150  # none of which sees a third of the fleet
    late = [arrivals[second] for second in range(120, 600)]
    assert max(late) <= 25
    assert sum(late) <= 500 * 6


def test_a_fleet_that_is_turned_away_by_a_slow_coordinator_is_served_without_a_storm() -> None:
    """100 sessions a second are taken, the others are refused and come again."""
    dice = random.Random(7)
    waiting = [(Backoff(5.0, dice.random), 0.0) for _ in range(500)]
    queue = sorted((backoff.next_delay(), i, backoff) for i, (backoff, _) in enumerate(waiting))
    served, tries, taken = 0, 0, Counter[int]()
    while queue:
        now, i, backoff = queue.pop(0)
        tries += 1
        if taken[int(now)] < 100:
            taken[int(now)] += 1
            served += 1
            continue
        queue.append((now + backoff.next_delay(), i, backoff))
        queue.sort()
    assert served == 500
    assert tries <= 700
    assert now <= 60.0
