"""Which time is believed, and when certificates are judged by it."""

from __future__ import annotations

import pytest

from gateway.core.certificate_dates import Validity, date_fault
from gateway.core.timekeeper import LATEST_MS, MAX_SOURCE_AGE_S, RELEASED_MS, Timekeeper
from gateway.model import Stamp, TimeQuality

NOW_MS = 1_800_000_000_000
DAY_MS = 86_400_000
TEN_YEARS_MS = 3653 * DAY_MS


class TwoClocks:
    """A host's clock that can be wrong and step, and a monotonic one that cannot."""

    def __init__(self, unix_ms: int) -> None:
        self.host_ms = unix_ms
        self.seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def unix_ns(self) -> int:
        return self.host_ms * 1_000_000

    async def sleep(self, seconds: float) -> None:
        self.pass_by(seconds)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds
        self.host_ms += int(seconds * 1000)


def test_a_plausible_host_clock_is_used_but_not_trusted() -> None:
    keeper = Timekeeper(TwoClocks(NOW_MS))
    assert keeper.now() == Stamp(NOW_MS, TimeQuality.HOST)
    assert not keeper.trusted


def test_a_clock_of_1970_is_replaced_by_what_is_known_to_be_past() -> None:
    clock = TwoClocks(0)
    keeper = Timekeeper(clock, NOW_MS)
    clock.pass_by(90)
    assert keeper.now() == Stamp(NOW_MS + 90_000, TimeQuality.UNTRUSTED)


def test_without_any_knowledge_the_time_is_never_before_the_release() -> None:
    assert Timekeeper(TwoClocks(0)).now() == Stamp(RELEASED_MS, TimeQuality.UNTRUSTED)


@pytest.mark.parametrize("host_ms", [0, NOW_MS, NOW_MS + TEN_YEARS_MS])
def test_the_coordinators_time_is_believed_over_any_host_clock_and_steps_change_nothing(host_ms: int) -> None:
    clock = TwoClocks(host_ms)
    keeper = Timekeeper(clock)
    assert keeper.hear(NOW_MS, TimeQuality.AGREED, round_trip_s=2.0)
    clock.pass_by(10)
    clock.host_ms = 42
    assert keeper.now() == Stamp(NOW_MS + 1000 + 10_000, TimeQuality.AGREED)
    assert keeper.past_ms == NOW_MS + 11_000


def test_after_a_day_without_hearing_it_again_the_time_runs_on_with_less_trust() -> None:
    clock = TwoClocks(0)
    keeper = Timekeeper(clock)
    keeper.hear(NOW_MS, TimeQuality.AGREED)
    clock.pass_by(MAX_SOURCE_AGE_S + 1)
    assert keeper.now() == Stamp(NOW_MS + DAY_MS + 1000, TimeQuality.HOST)


def test_gps_is_not_replaced_by_the_coordinator_while_it_is_heard() -> None:
    clock = TwoClocks(0)
    keeper = Timekeeper(clock)
    keeper.hear(NOW_MS, TimeQuality.GPS)
    assert not keeper.hear(NOW_MS + 5000, TimeQuality.AGREED)
    clock.pass_by(MAX_SOURCE_AGE_S + 1)
    assert keeper.hear(NOW_MS + 5000, TimeQuality.AGREED)


@pytest.mark.parametrize(("unix_ms", "round_trip_s"), [(5, 0.0), (NOW_MS, 31.0), (NOW_MS, -1.0)])
def test_an_absurd_or_late_answer_is_not_taken(unix_ms: int, round_trip_s: float) -> None:
    keeper = Timekeeper(TwoClocks(NOW_MS))
    assert not keeper.hear(unix_ms, TimeQuality.AGREED, round_trip_s=round_trip_s)
    assert keeper.now().quality is TimeQuality.HOST


def test_an_untrusted_host_clock_ten_years_ahead_never_becomes_the_past() -> None:
    keeper = Timekeeper(TwoClocks(NOW_MS + TEN_YEARS_MS), NOW_MS)
    assert keeper.past_ms == NOW_MS
    keeper.not_before(NOW_MS + 5)
    keeper.not_before(NOW_MS - 5)
    assert keeper.past_ms == NOW_MS + 5


YEAR = Validity(NOW_MS - 180 * DAY_MS, NOW_MS + 180 * DAY_MS)


@pytest.mark.parametrize("quality", [TimeQuality.UNTRUSTED, TimeQuality.HOST])
@pytest.mark.parametrize("now_ms", [RELEASED_MS, NOW_MS, NOW_MS + TEN_YEARS_MS])
def test_a_certificate_is_not_refused_by_a_time_that_is_not_trusted(
    now_ms: int, quality: TimeQuality
) -> None:
    assert date_fault(YEAR, Stamp(now_ms, quality), RELEASED_MS) is None


def test_a_certificate_that_had_expired_at_the_last_known_time_is_refused_by_any_clock() -> None:
    fault = date_fault(YEAR, Stamp(0, TimeQuality.UNTRUSTED), YEAR.not_after_ms + DAY_MS)
    assert fault == "expired 1.0 days before our last known time"


@pytest.mark.parametrize(
    ("now_ms", "fault"),
    [
        (YEAR.not_before_ms, None),
        (YEAR.not_after_ms, None),
        (YEAR.not_before_ms - DAY_MS, "valid only in 1.0 days"),
        (YEAR.not_after_ms + 2 * DAY_MS, "expired 2.0 days ago"),
    ],
)
def test_a_trusted_time_judges_both_ends(now_ms: int, fault: str | None) -> None:
    assert date_fault(YEAR, Stamp(now_ms, TimeQuality.AGREED), now_ms) == fault


@pytest.mark.parametrize("beyond_ms", [LATEST_MS + 1, 2**53 - 1, (2**63 - 1) * 1000])
def test_a_time_beyond_all_calendars_is_believed_of_nobody(beyond_ms: int) -> None:
    keeper = Timekeeper(TwoClocks(NOW_MS))
    keeper.not_before(beyond_ms)
    assert not keeper.hear(beyond_ms, TimeQuality.GPS)
    assert keeper.now() == Stamp(NOW_MS, TimeQuality.HOST)
    assert Timekeeper(TwoClocks(beyond_ms)).now() == Stamp(RELEASED_MS, TimeQuality.UNTRUSTED)
