"""GPS sentences, frames and the time reference."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.gps import ubx
from drivers.gps.nmea import Gga, Rmc, parse_sentence
from drivers.gps.reference import AVERAGE_OF, TimeReference, Verdict
from drivers.gps.stream import GpsStream
from drivers.gps.ubx import TimeGps

NANO = 1_000_000_000


def sentence(body: str) -> bytes:
    checksum = 0
    for byte in body.encode():
        checksum ^= byte
    return f"${body}*{checksum:02X}\r\n".encode()


RMC = sentence("GPRMC,123519.50,A,4807.038,N,01131.000,E,022.4,084.4,230326,003.1,W,A")
GGA = sentence("GNGGA,123519.50,3352.128,S,15112.558,W,1,08,0.9,545.4,M,46.9,M,,")
MOMENT = int(datetime(2026, 3, 23, 12, 35, 19, tzinfo=UTC).timestamp())


def timegps(unix_s: int, valid: int = 0x07, tow_ns: int = 0, leap_s: int = 18) -> bytes:
    week, second = divmod(unix_s + leap_s - ubx.GPS_EPOCH_UNIX_S, ubx.WEEK_S)
    payload = (second * 1000).to_bytes(4, "little") + tow_ns.to_bytes(4, "little", signed=True)
    payload += week.to_bytes(2, "little") + bytes((leap_s, valid)) + bytes(4)
    return ubx.frame(ubx.NAV_TIMEGPS, payload)


def test_rmc_gives_the_second_and_its_fraction() -> None:
    assert parse_sentence(RMC) == Rmc(True, MOMENT * NANO + 500_000_000)
    assert parse_sentence(sentence("GPRMC,,V,,,,,,,,,,N")) == Rmc(False, None)
    leap = parse_sentence(sentence("GPRMC,235960.00,A,,,,,,,311216,,,A"))
    assert leap == Rmc(True, int(datetime(2017, 1, 1, tzinfo=UTC).timestamp()) * NANO)


def test_gga_gives_signed_degrees_and_the_height_above_the_ellipsoid() -> None:
    fix = parse_sentence(GGA)
    assert isinstance(fix, Gga)
    assert fix.latitude_deg == pytest.approx(-(33 + 52.128 / 60))
    assert fix.longitude_deg == pytest.approx(-(151 + 12.558 / 60))
    assert fix.altitude_m == pytest.approx(592.3)
    assert (fix.quality, fix.satellites) == (1, 8)
    assert parse_sentence(sentence("GPGGA,123519,,,,,0,00,,,M,,M,,")) == Gga(0, 0, None, None, None)


@pytest.mark.parametrize(
    "line",
    [
        RMC.replace(b"*", b"*0")[:-4] + b"\r\n",
        b"$GPRMC,1,2\r\n",
        sentence("GPRMC,1235,A,,,,,,,230326,,,A"),
        sentence("GPRMC,123519,A,,,,,,,231326,,,A"),
        sentence("GPGGA,123519,x,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,"),
        b"$\xff*00\r\n",
    ],
)
def test_a_damaged_sentence_is_counted_and_skipped(line: bytes) -> None:
    stream = GpsStream()
    assert list(stream.feed(line + GGA)) == [parse_sentence(GGA)]
    assert stream.errors == 1


def test_timegps_gives_utc_once_week_time_and_leap_seconds_are_known() -> None:
    assert ubx.parse_frame(timegps(MOMENT)) == TimeGps(
        (MOMENT + 18 - ubx.GPS_EPOCH_UNIX_S) * NANO, MOMENT * NANO
    )
    no_leap = ubx.parse_frame(timegps(MOMENT, valid=0x03))
    assert no_leap is not None
    assert no_leap.gps_ns is not None
    assert no_leap.unix_ns is None
    assert ubx.parse_frame(timegps(MOMENT, valid=0x05)) == TimeGps(None, None)
    fraction = ubx.parse_frame(timegps(MOMENT, tow_ns=-250))
    assert fraction is not None
    assert fraction.unix_ns == MOMENT * NANO - 250


def test_the_request_for_timegps_is_the_one_of_the_reference() -> None:
    assert ubx.ENABLE_TIMEGPS.hex() == "b56206010800012000010100000" + "03294"


def test_sentences_and_frames_are_found_in_noise_byte_by_byte() -> None:
    noise = b"\x00\xb5\xff$GPX" + b"\xb5\x62\x01\x20\xff\xff" + b"$" + b"x" * 130
    stream = GpsStream()
    found = [
        message for byte in noise + RMC + timegps(MOMENT) + GGA for message in stream.feed(bytes((byte,)))
    ]
    assert found[-3:] == [parse_sentence(RMC), ubx.parse_frame(timegps(MOMENT)), parse_sentence(GGA)]


@given(st.binary(max_size=300))
def test_no_bytes_break_the_stream_or_fill_it(noise: bytes) -> None:
    stream = GpsStream()
    list(stream.feed(noise))
    assert len(stream._buffer) <= 1024
    list(stream.feed(b"\r\n" + bytes(1200)))
    assert parse_sentence(GGA) in list(stream.feed(GGA))


# -- the reference


def test_utc_follows_the_counter_between_the_pulses_and_for_thirty_seconds() -> None:
    reference = TimeReference()
    assert reference.unix_ns_at(0) is None
    assert reference.pulse(5_000_000, MOMENT * NANO) is Verdict.FIRST
    assert reference.pulse(6_000_002, (MOMENT + 1) * NANO) is Verdict.TAKEN
    assert reference.unix_ns_at(6_250_002) == (MOMENT + 1) * NANO + 250_000_000
    assert reference.unix_ns_at(5_900_002) == (MOMENT + 1) * NANO - 100_000_000
    assert reference.unix_ns_at(36_000_003) is None


def test_two_aberrant_pulses_are_not_believed_the_third_is() -> None:
    reference = TimeReference()
    reference.pulse(0, 0)
    assert reference.pulse(1_000_500, 1 * NANO) is Verdict.ABERRANT
    assert reference.unix_ns_at(1_000_000) == 1 * NANO
    assert reference.pulse(2_000_000, 2 * NANO) is Verdict.TAKEN
    for n, verdict in ((3, Verdict.ABERRANT), (4, Verdict.ABERRANT), (5, Verdict.RESYNC)):
        assert reference.pulse(50_000_000 + n * 1_000_000, n * NANO) is verdict
    assert reference.unix_ns_at(55_000_000) == 5 * NANO


def test_a_latch_that_does_not_move_is_no_pulse_however_often() -> None:
    reference = TimeReference()
    reference.pulse(0, 0)
    assert [reference.pulse(0, n * NANO) for n in range(1, 10)] == [Verdict.NO_PPS] * 9
    assert reference.unix_ns_at(0) == 0


def test_the_crystals_rate_is_learned_and_used() -> None:
    reference = TimeReference()
    for second in range(AVERAGE_OF + 5):
        reference.pulse(round(second * 1_000_004), second * NANO)
    assert reference.drift_ppm == pytest.approx(4, abs=0.01)
    last = AVERAGE_OF + 4
    ahead = reference.unix_ns_at(last * 1_000_004 + 10 * 1_000_004)
    assert ahead == pytest.approx((last + 10) * NANO, abs=500)
