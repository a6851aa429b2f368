"""Every promised name is on the page, means what it says, and names nobody."""

from __future__ import annotations

import re

import pytest
from test_vitals import VITALS

from drivers.base import Frame, LoraUplink
from gateway.services.metrics import Metrics
from gateway.services.metrics.names import ROWS

OF_THE_GUIDE = {
    'gateway_health{gateway_id="gw"}': 90,
    "transactions_total": 9,
    "transactions_pending": 3,
    "conflicts_total": 3,
    "conflicts_pending": 2,
    "conflicts_resolved": 1,
    "conflicts_resolved_total": 1,
    "merkle_sync_duration_count": 1,
    "merkle_sync_duration_seconds_count": 1,
    'http_requests_total{status="503"}': 1,
}
LABELS = {
    "gateway_id",
    "version",
    "reason",
    "kind",
    "service",
    "standing",
    "radio",
    "outcome",
    "figure",
    "event",
    "fault",
    "band",
    "status",
    "direction",
    "channel",
    "mhz",
    "spreading_factor",
    "verdict",
    "le",
}


@pytest.fixture
def page() -> str:
    metrics = Metrics()
    metrics.synced(1.5)
    metrics.requested(503, 0.1)
    metrics.answered("lora", "accepted")
    metrics.sent("lora", 50_000)
    lora = LoraUplink(
        frequency_hz=868_100_000,
        spreading_factor=7,
        bandwidth_hz=125_000,
        coding_rate="4/5",
        counter_us=0,
        rssi_dbm=-97.0,
        snr_db=4.5,
        channel=0,
        concentrator="eui-of-a-forwarder",
        airtime_us=70_000,
    )
    metrics.heard(
        Frame(radio="lora", payload=b"", peer="peer-address", received_unix_ns=0, reply_to=None, lora=lora)
    )
    return metrics.page(VITALS).decode()


def samples(page: str) -> dict[str, float]:
    lines = [line for line in page.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_the_guide_s_names_are_there_to_the_letter_with_their_meanings(page: str) -> None:
    seen = samples(page)
    assert {name: seen[name] for name in OF_THE_GUIDE} == OF_THE_GUIDE


def test_every_row_has_help_and_appears_once(page: str) -> None:
    helped = re.findall(r"^# HELP (\S+) (.+)$", page, re.MULTILINE)
    names = [name for name, _ in helped]
    assert len(names) == len(set(names))
    assert {row.name for row in ROWS} <= set(names)
    assert all(text.endswith(".") or name.startswith("process_") for name, text in helped)


def test_no_device_no_peer_and_no_key_is_ever_a_label(page: str) -> None:
    assert set(re.findall(r'[{,]([a-z_]+)="', page)) <= LABELS
    assert "peer-address" not in page
    assert "eui-of-a-forwarder" not in page


def test_signal_and_airtime_are_metered_by_radio(page: str) -> None:
    seen = samples(page)
    assert seen['gateway_radio_rssi_dbm_bucket{le="-90.0",radio="lora"}'] == 1
    assert seen['gateway_radio_rssi_dbm_bucket{le="-100.0",radio="lora"}'] == 0
    assert seen['gateway_radio_airtime_seconds_total{direction="heard",radio="lora"}'] == pytest.approx(0.07)
    assert seen['gateway_radio_airtime_seconds_total{direction="sent",radio="lora"}'] == pytest.approx(0.05)
    assert seen['gateway_radio_duty_left_seconds{band="P",radio="lora"}'] == 300


def test_a_status_never_seen_stands_at_0_so_that_its_first_error_is_a_rise(page: str) -> None:
    assert samples(page)['http_requests_total{status="500"}'] == 0


def test_health_tells_what_it_lacks_by_code(page: str) -> None:
    seen = samples(page)
    assert seen['gateway_health_deduction_points{reason="link_down"}'] == 5
    assert seen['gateway_health_deduction_points{reason="time_untrusted"}'] == 5


def test_each_channel_and_spreading_factor_airtime_and_gps_have_their_figures(page: str) -> None:
    seen = samples(page)
    place = '{channel="8",mhz="867.1",radio="lora",spreading_factor="12"}'
    assert seen[f"gateway_radio_channel_frames_total{place}"] == 3
    assert seen[f"gateway_radio_channel_crc_errors_total{place}"] == 2
    assert seen[f"gateway_radio_channel_rssi_dbm{place}"] == -120.5
    assert seen['gateway_radio_duty_used_seconds{band="P",radio="lora"}'] == 60
    assert seen['gateway_lora_figure{figure="exchanges",radio="lora"}'] == 4
    assert seen["gateway_gps_crystal_drift_ppm"] == -1.5
    assert seen['gateway_gps_pulses_total{verdict="taken"}'] == 9
