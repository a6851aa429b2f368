"""Airtime ledger, transmit schedule and watchdog of the SX1301 driver: rules without a chip."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.errors import DriverConfigError, TransmitRefused
from drivers.lora_sx1301.ledger import AirtimeLedger, Claim, Interval, SlidingWindow
from drivers.lora_sx1301.regions import HOUR_US, REGIONS, find_region
from drivers.lora_sx1301.schedule import DEPTH, GUARD_US, TOO_EARLY_US, TOO_LATE_US, Place, Schedule
from drivers.lora_sx1301.send import Emission, LoraModulation
from drivers.lora_sx1301.watchdog import Silence, Vitals, judge

EMISSION = Emission(
    frequency_hz=869_525_000,
    gain_index=0,
    modulation=LoraModulation(
        spreading_factor=7, bandwidth_hz=125_000, coding_rate="4/5", crc=False, invert_iq=True
    ),
    payload=b"x",
)


# -- sliding windows


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(1, 30)), max_size=40), st.randoms())
def test_no_window_of_the_length_ever_holds_more_than_the_limit(
    gaps: list[tuple[int, int]], order: object
) -> None:
    """By brute force over every start; entered in order of time, and some ahead of others."""
    window = SlidingWindow(length_us=100, limit_us=40)
    wanted, at = [], 0
    for gap, length in gaps:
        wanted.append(Interval(at + gap, at + gap + length))
        at += gap + length
    order.shuffle(wanted)  # type: ignore[attr-defined]
    taken: list[Interval] = []
    for interval in wanted:
        if window.fits(interval):
            window._intervals.append(interval)  # keep all: pruning assumes that time goes on
            taken.append(interval)
    for start in range(0, at + 1):
        held = sum(max(0, min(one.end_us, start + 100) - max(one.start_us, start)) for one in taken)
        assert held <= 40


def test_what_no_window_reaches_any_more_is_forgotten_and_what_was_struck_counts_no_more() -> None:
    window = SlidingWindow(length_us=100, limit_us=40)
    first = Interval(0, 40)
    window.add(first)
    assert not window.fits(Interval(50, 60))
    window.remove(first)
    assert window.fits(Interval(50, 60))
    window.remove(first)  # harmless
    for n in range(1000):
        assert not window.forget(1000 * n)
        window.add(Interval(1000 * n, 1000 * n + 1))
    assert window.used_us(999_001) == 1
    assert len(window._intervals) < 3


def claim(
    region: str, frequency_hz: int, start_us: int, length_us: int, bandwidth_hz: int = 125_000
) -> Claim:
    band = REGIONS[region].sub_band(frequency_hz, bandwidth_hz)
    assert band is not None
    return Claim(band, frequency_hz, bandwidth_hz, Interval(start_us, start_us + length_us))


def test_ten_percent_at_869_525_and_a_tenth_of_a_percent_at_868_8() -> None:
    ledger = AirtimeLedger(REGIONS["EU868"])
    ledger.enter(claim("EU868", 869_525_000, 0, HOUR_US // 10), 0)
    with pytest.raises(TransmitRefused, match=r"in the sub-band at 869400 kHz, 0 ms left"):
        ledger.check(claim("EU868", 869_525_000, HOUR_US // 2, 1))
    ledger.check(claim("EU868", 869_525_000, HOUR_US + HOUR_US // 10, 1))
    ledger.check(claim("EU868", 868_800_000, 0, HOUR_US // 1000))
    with pytest.raises(TransmitRefused) as caught:
        ledger.check(claim("EU868", 868_800_000, 0, HOUR_US // 1000 + 1))
    assert caught.value.reason == "duty_cycle"


def test_an_emission_still_to_come_counts_before_one_that_comes_first() -> None:
    ledger = AirtimeLedger(REGIONS["EU868"])
    ledger.enter(claim("EU868", 868_100_000, 300_000_000, 36_000_000), 0)
    with pytest.raises(TransmitRefused):
        ledger.check(claim("EU868", 868_100_000, 0, 1_000_000))


def test_dwell_is_kept_a_channel_and_not_for_500_khz() -> None:
    ledger = AirtimeLedger(REGIONS["US915"])
    ledger.enter(claim("US915", 923_300_000, 0, 300_000), 0)
    with pytest.raises(TransmitRefused, match="400 ms are allowed in any 20 s") as caught:
        ledger.check(claim("US915", 923_300_000, 1_000_000, 200_000))
    assert caught.value.reason == "dwell_time"
    ledger.check(claim("US915", 923_900_000, 1_000_000, 200_000))
    ledger.check(claim("US915", 923_300_000, 1_000_000, 2_000_000, bandwidth_hz=500_000))
    ledger.check(claim("US915", 923_300_000, 20_200_000, 200_000))


def test_what_is_queued_far_ahead_hides_nothing_that_comes_before_it() -> None:
    """It once pushed nearer emissions out of the dwell window, and striking one of those was an error."""
    ledger = AirtimeLedger(REGIONS["US915"])
    near, far = (
        claim("US915", 923_300_000, 10_000_000, 300_000),
        claim("US915", 923_300_000, 100_000_000, 300_000),
    )
    ledger.enter(near, 0)
    ledger.enter(far, 0)
    with pytest.raises(TransmitRefused, match="400 ms are allowed"):
        ledger.check(claim("US915", 923_300_000, 12_000_000, 200_000))
    ledger.strike(near)
    ledger.check(claim("US915", 923_300_000, 12_000_000, 200_000))


def test_channels_that_were_not_used_lately_are_forgotten() -> None:
    ledger = AirtimeLedger(REGIONS["US915"])
    for n in range(1000):
        at_us = n * 1_000_000
        one = claim("US915", 903_000_000 + n, at_us, 300_000)
        ledger.check(one)
        ledger.enter(one, at_us)
    assert len(ledger._channels) < 25


def test_a_region_without_rules_is_a_matter_for_a_person() -> None:
    with pytest.raises(DriverConfigError, match="EU868, US915"):
        find_region("ATLANTIS")


@pytest.mark.parametrize("frequency_hz", [862_950_000, 868_650_000, 869_300_000, 869_690_000, 915_000_000])
def test_between_the_sub_bands_nothing_may_be_sent(frequency_hz: int) -> None:
    assert REGIONS["EU868"].sub_band(frequency_hz, 125_000) is None


# -- schedule


def place(ticket: int, start_us: int, length_us: int = 50_000, priority: int = 1) -> Place:
    return Place(
        ticket=ticket, emission=EMISSION, interval=Interval(start_us, start_us + length_us), priority=priority
    )


def test_late_is_up_to_the_lead_and_early_is_beyond_512_seconds() -> None:
    schedule = Schedule()
    for at_us, reason in (
        (-1, "too_late"),
        (TOO_LATE_US, "too_late"),
        (TOO_EARLY_US + 1, "too_early"),
        (3_000_000_000, "too_early"),
    ):
        with pytest.raises(TransmitRefused) as caught:
            schedule.find(0, at_us, 1000)
        assert caught.value.reason == reason
    assert schedule.find(0, TOO_LATE_US + 1, 1000) == Interval(TOO_LATE_US + 1, TOO_LATE_US + 1001)


def test_as_soon_as_possible_is_the_first_gap_that_is_wide_enough() -> None:
    schedule = Schedule()
    schedule.add(place(1, 60_000))
    schedule.add(place(2, 150_000))
    schedule.add(place(3, 400_000))
    assert schedule.find(0, None, 10_000).start_us == 110_000 + GUARD_US  # 40 ms between 1 and 2 do
    assert schedule.find(0, None, 100_000).start_us == 200_000 + GUARD_US
    assert schedule.find(0, None, 500_000).start_us == 450_000 + GUARD_US


def test_two_places_need_the_time_to_program_the_second_between_them() -> None:
    schedule = Schedule()
    schedule.add(place(1, 100_000))
    assert schedule.clashes(Interval(150_000 + GUARD_US, 200_000), 1) == []
    with pytest.raises(TransmitRefused) as caught:
        schedule.clashes(Interval(150_000 + GUARD_US - 1, 200_000), 1)
    assert caught.value.reason == "collision"


def test_all_that_is_in_the_way_must_be_lower_and_not_armed() -> None:
    schedule = Schedule()
    low, high = place(1, 100_000, priority=5), place(2, 200_000, priority=1)
    schedule.add(low)
    schedule.add(high)
    assert schedule.clashes(Interval(90_000, 120_000), 0) == [low]
    assert schedule.clashes(Interval(90_000, 220_000), 0) == [low, high]
    with pytest.raises(TransmitRefused):
        schedule.clashes(Interval(90_000, 220_000), 1)
    schedule.arm(1)
    with pytest.raises(TransmitRefused):
        schedule.clashes(Interval(90_000, 120_000), 0)
    schedule.remove(1)
    assert schedule.armed is None
    assert schedule.clashes(Interval(90_000, 120_000), 9) == []


def test_at_most_32_wait() -> None:
    schedule = Schedule()
    for n in range(DEPTH):
        schedule.add(place(n, n * 1_000_000))
    with pytest.raises(TransmitRefused) as caught:
        schedule.clashes(Interval(99_000_000, 99_100_000), 0)
    assert caught.value.reason == "queue_full"
    assert schedule.clashes(Interval(0, 50_000), 0)  # one that displaces another fits
    assert schedule.first is not None
    assert len(schedule) == DEPTH


# -- watchdog


def vitals(at_s: float, counter_us: int, **changes: object) -> Vitals:
    settings = {"version": 103, "agc_status": 0x40, "configured": True, "took_s": 0.001, **changes}
    return Vitals(at_s=at_s, counter_us=counter_us, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (vitals(10, 10_000_000), None),
        (vitals(10, 10_400_000), None),  # within 5 %
        (vitals(10, 0), "the counter is frozen at 0"),
        (vitals(10, 20_000_000), "advanced 20.000 s while 10.000 s passed"),
        (vitals(10, 5_000_000), "advanced 5.000 s while 10.000 s passed"),
        (vitals(10, 5_000_000, took_s=6.0), None),  # the host was slow, not the chip
        (vitals(10, 10_000_000, version=255), "chip version reads 255"),
        (vitals(10, 10_000_000, agc_status=0), "gain control status 0x00"),
        (vitals(10, 10_000_000, configured=False), "registers lost their values"),
    ],
)
def test_vitals_are_judged_and_what_is_wrong_is_named(now: Vitals, words: str | None) -> None:
    verdict = judge(vitals(0, 0), now)
    assert verdict is None if words is None else words in (verdict or "")


def test_without_an_earlier_look_the_counter_is_not_judged() -> None:
    assert judge(None, vitals(10, 5)) is None


def test_silence_is_judged_against_what_was_heard_and_with_growing_patience() -> None:
    silence = Silence(floor_s=60)
    assert silence.judge(1e9) is None  # nothing was ever heard: a quiet place
    for n in range(30):
        silence.heard(n * 4.0)
    assert silence.limit_s == pytest.approx(120)  # 30 mean intervals
    assert silence.judge(116 + 119) is None
    assert "nothing received for 121 s; before, a frame came each 4.0 s" in (silence.judge(116 + 121) or "")
    silence.reset_done(300)
    assert silence.persists
    assert silence.judge(300 + 239) is None  # twice as long now
    assert silence.judge(300 + 241)
    learned = Silence(floor_s=60)
    for n in range(30):
        learned.heard(n * 4.0)
    learned.reset_done(300)
    learned.heard(560)  # it was a quiet hour after all: that is learned too
    assert not learned.persists
    assert learned.limit_s == pytest.approx(30 * (0.95 * 4 + 0.05 * 260))


def test_a_few_frames_are_no_history() -> None:
    silence = Silence(floor_s=1)
    for n in range(5):
        silence.heard(n)
    assert silence.judge(1e6) is None
