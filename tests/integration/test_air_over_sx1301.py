"""Fifty devices in the air, our driver, the link and a real store, in virtual time."""

from __future__ import annotations

from collections import defaultdict, deque
from itertools import pairwise

import pytest

from benchmarks.air import EU868, LEAST_ACCEPTED, US915, Habit, Outcome, Scenario, simulate

WRAP_US = 1 << 32
HOUR_S = 3600.0


def check(outcome: Outcome) -> None:
    """What must hold in any air."""
    assert not outcome.missed
    assert not outcome.unexplained
    assert not outcome.violations
    assert max(use.share for use in outcome.gateway) <= 1
    assert max(use.share for use in outcome.devices) <= 1
    assert outcome.log.rx1_errors_us
    assert max(map(abs, outcome.log.rx1_errors_us)) <= 1000


@pytest.mark.parametrize(("plan", "habits"), [("EU868", EU868), ("US915", US915)])
def test_what_the_air_lets_through_is_accepted_by_law_and_in_time(
    plan: str, habits: dict[int, Habit]
) -> None:
    outcome = simulate(Scenario(plan=plan, habits=habits, seconds=300.0))
    check(outcome)
    assert outcome.accepted_percent >= LEAST_ACCEPTED
    fates = outcome.log.outcomes()
    assert min(fates["collided"], fates["lost"], fates["transmitting"]) > 0
    assert outcome.promised <= set(outcome.offered.values())
    assert len(outcome.promised) >= 0.9 * len(outcome.offered)


def test_where_much_is_lost_the_air_and_the_store_agree_on_what_came_through() -> None:
    habits = {7: Habit(6, 3, 300), 8: Habit(4, 2, 300)}
    outcome = simulate(Scenario(plan="EU868", habits=habits, seconds=300.0, loss=0.75, pause_scale=0.1))
    assert outcome.accepted == outcome.completable
    assert 0 < len(outcome.completable) < len(outcome.offered)


def test_the_same_seed_is_the_same_run_and_another_one_is_not() -> None:
    habits = {7: Habit(4, 2, 60), 10: Habit(2, 1, 60)}

    def seen(seed: int) -> list[tuple[str, bytes, int, str]]:
        log = simulate(Scenario(plan="EU868", habits=habits, seconds=60.0, seed=seed)).log
        return [(one.handset, one.payload, one.signal.end_us, one.outcome) for one in log.flights]

    assert seen(1) == seen(1)
    assert seen(1) != seen(2)


def test_timestamps_stay_right_when_the_counter_wraps_and_the_host_clock_steps_in_traffic() -> None:
    """The chip starts a minute before its wrap; the wall clock gains an hour and then loses a day."""
    outcome = simulate(
        Scenario(
            plan="EU868",
            habits=EU868,
            seconds=120.0,
            counter_at_start=WRAP_US - 60_000_000,
            steps=((30.0, HOUR_S), (75.0, -24 * HOUR_S)),
        )
    )
    check(outcome)
    assert outcome.accepted_percent >= LEAST_ACCEPTED
    raw = [emission.counter_us for emission in outcome.log.emissions]
    assert any(later < sooner for sooner, later in pairwise(raw))  # it did wrap
    ends: dict[bytes, deque[int]] = defaultdict(deque)
    for flight in outcome.log.flights:
        if flight.outcome == "heard":
            ends[flight.payload].append(flight.signal.end_us)
    truths = [(stamped, ends[stamped.payload].popleft()) for stamped in outcome.stamped]
    assert not any(ends.values())
    offsets = {stamped.counter_us - end_us for stamped, end_us in truths}
    assert len(offsets) == 1  # the counter is one line, to the microsecond
    assert max(abs(stamped.end_us - end_us) for stamped, end_us in truths) < 1000
