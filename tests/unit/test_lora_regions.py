"""Channels, windows and limits of EU868 and US915; time on air; the duty ledger."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.airtime import lora_airtime_us
from gateway.core.lora.airtime import airtime_us
from gateway.core.lora.duty import DutyLedger
from gateway.core.lora.regions import EU868, REGIONS, US915, Channel, DataRate, SubBand
from simulators.concentrator.air import lora_us

BAND = SubBand("M", 868_000_000, 868_600_000, 0.01, 16.0)


@pytest.mark.parametrize(
    ("size", "spreading_factor", "expected_us"),
    # Semtech's LoRa calculator (AN1200.13): 8 symbols of preamble, 4/5, CRC, explicit header, 125 kHz.
    [(10, 7, 41_216), (13, 9, 164_864), (10, 11, 577_536), (10, 12, 991_232)],
)
def test_time_on_air_is_what_semtechs_calculator_says(
    size: int, spreading_factor: int, expected_us: int
) -> None:
    assert airtime_us(size, spreading_factor=spreading_factor, bandwidth_hz=125_000) == expected_us


@given(
    size=st.integers(1, 255),
    spreading_factor=st.integers(7, 12),
    bandwidth=st.sampled_from([125_000, 250_000, 500_000]),
    crc=st.booleans(),
)
def test_link_driver_and_simulator_agree_on_time_on_air(
    size: int, spreading_factor: int, bandwidth: int, crc: bool
) -> None:
    ours = airtime_us(size, spreading_factor=spreading_factor, bandwidth_hz=bandwidth, crc=crc)
    drivers = lora_airtime_us(size, spreading_factor=spreading_factor, bandwidth_hz=bandwidth, crc=crc)
    assert ours == drivers
    assert abs(ours - lora_us(size + 2 * crc, spreading_factor, bandwidth, 5, 8)) <= 1


def test_a_promise_of_95_bytes_fits_one_frame_of_every_second_window() -> None:
    for region in REGIONS.values():
        rate = region.rx2.rate
        assert 6 + 95 <= rate.max_bytes
        took = airtime_us(
            101, spreading_factor=rate.spreading_factor, bandwidth_hz=rate.bandwidth_hz, crc=False
        )
        assert took <= region.max_airtime_us


def test_in_europe_the_first_window_is_the_uplinks_own_channel() -> None:
    assert EU868.rx1(867_300_000, 8, 125_000) == Channel(867_300_000, DataRate(8, 125_000, 255))
    assert EU868.rx1(867_300_000, 7, 500_000) is None


@pytest.mark.parametrize(
    ("uplink", "downlink"),
    # RP002-1.0.4 table 2.5.7: channel modulo 8, DR0 → DR10 … DR3 → DR13, DR4 → DR13.
    [
        ((903_900_000, 10, 125_000), (923_300_000, 10)),  # channel 8
        ((904_500_000, 7, 125_000), (925_100_000, 7)),  # channel 11
        ((905_300_000, 9, 125_000), (927_500_000, 9)),  # channel 15
        ((904_600_000, 8, 500_000), (923_900_000, 7)),  # channel 65
        ((914_900_000, 8, 125_000), (927_500_000, 8)),  # channel 63
    ],
)
def test_in_the_us_the_first_window_follows_the_channel_modulo_eight(
    uplink: tuple[int, int, int], downlink: tuple[int, int]
) -> None:
    channel = US915.rx1(*uplink)
    assert channel is not None
    assert (channel.frequency_hz, channel.rate.spreading_factor, channel.rate.bandwidth_hz) == (
        *downlink,
        500_000,
    )


@pytest.mark.parametrize(
    "uplink",
    [
        (903_850_000, 7, 125_000),
        (915_100_000, 7, 125_000),
        (903_900_000, 12, 125_000),
        (904_700_000, 8, 500_000),
    ],
)
def test_a_channel_that_is_none_has_no_first_window(uplink: tuple[int, int, int]) -> None:
    assert US915.rx1(*uplink) is None


def test_every_frame_a_us_device_may_send_stays_within_400_ms() -> None:
    for rate in US915.uplink_rates:
        took = airtime_us(
            rate.max_bytes, spreading_factor=rate.spreading_factor, bandwidth_hz=rate.bandwidth_hz
        )
        assert took <= 400_000, rate


def test_every_uplink_channel_and_second_window_lies_in_a_sub_band() -> None:
    for region in REGIONS.values():
        for frequency in (*region.uplink_hz, region.rx2.frequency_hz):
            assert region.sub_band(frequency) is not None


def test_power_is_what_is_wanted_or_the_sub_bands_limit() -> None:
    assert EU868.eirp_dbm(868_100_000, 14) == 14
    assert EU868.eirp_dbm(868_100_000, 20) == 16
    assert EU868.eirp_dbm(869_525_000, 30) == 27
    assert EU868.sub_band(868_650_000) is None


def test_an_hours_duty_can_be_spent_and_not_exceeded() -> None:
    ledger = DutyLedger()
    for second in range(36):
        assert ledger.allows(BAND, 1_000_000, float(second))
        ledger.spend(BAND, 1_000_000, float(second))
    assert not ledger.allows(BAND, 1, 36.0)
    assert not ledger.allows(BAND, 1, 3599.0)
    assert ledger.allows(BAND, 1_000_000, 3600.0 + 100.0)


def test_a_lower_priority_leaves_part_of_the_hour_alone() -> None:
    ledger = DutyLedger()
    ledger.spend(BAND, 30_000_000, 0.0)
    assert not ledger.allows(BAND, 1_000_000, 1.0, share=0.7)
    assert ledger.allows(BAND, 1_000_000, 1.0, share=0.9)


def test_what_the_radio_refused_is_refunded() -> None:
    ledger = DutyLedger()
    ledger.spend(BAND, 36_000_000, 5.0)
    ledger.refund(BAND, 36_000_000, 5.0)
    assert ledger.used_us(BAND, 6.0) == 0


@given(st.lists(st.tuples(st.floats(0, 7200), st.integers(1_000, 3_000_000)), max_size=200))
def test_no_sliding_hour_ever_holds_more_than_its_share(frames: list[tuple[float, int]]) -> None:
    ledger = DutyLedger()
    sent: list[tuple[float, int]] = []
    for at, airtime in sorted(frames):
        if ledger.allows(BAND, airtime, at):
            ledger.spend(BAND, airtime, at)
            sent.append((at, airtime))
    for end, _ in sent:
        assert sum(airtime for at, airtime in sent if end - 3600 < at <= end) <= 36_000_000
