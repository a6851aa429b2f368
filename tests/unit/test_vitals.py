"""What the pages say of a reading, and when a radio counts as one that works."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from drivers.base import ChannelFigures, DriverStats
from gateway.cli.radios import screen as radios_screen
from gateway.cli.status import duration, screen
from gateway.core.health import Facts, assess
from gateway.core.vitals import (
    SILENT_AFTER_S,
    GpsVitals,
    LinkVitals,
    LoraVitals,
    Part,
    Position,
    RadioVitals,
    StoreVitals,
    Vitals,
    health_document,
    status_document,
    works,
)
from gateway.model import Figures, Halt, Head, Stamp, TimeQuality

HEAD = Head(
    epoch=1,
    origin="offgrid/gw/1",
    size=7,
    root=bytes(32),
    signed_size=5,
    signed_note=b"",
    acked_size=5,
    cosigned_note=b"",
)
FIGURES = Figures(
    size=7,
    acked_size=5,
    objects=20,
    verified_transactions=9,
    acked_transactions=6,
    unverified_transactions=2,
    invalid_transactions=1,
    conflicts=3,
    conflicts_pending=2,
    conflicts_awaiting=0,
    conflicts_resolved=1,
    evidence={"double_spend": 1},
    lost_promises=0,
    double_spends=1,
    oldest_unacked_received_at_ms=9_000,
    body_bytes=100,
    unproven_bytes=0,
    file_bytes=1 << 20,
    pruned_entries=0,
    commits_since_opening=4,
    syncs_since_opening=7,
    commit_seconds_since_opening=0.5,
    write_failures_since_opening=0,
)
STORE = StoreVitals(head=HEAD, figures=FIGURES, latency_s=0.001, free_disk=1 << 30, disk_floor=1 << 20)
CHANNEL = ChannelFigures(
    channel=8,
    frequency_hz=867_100_000,
    spreading_factor=12,
    frames=3,
    crc_errors=2,
    rssi_dbm=-120.5,
    snr_db=-12.25,
    airtime_us=2_500_000,
)
RADIO = RadioVitals(
    works=True,
    stats=DriverStats(frames={"ok": 3}, gauges={"forwarders": 1}, channels=(CHANNEL,)),
    lora=LoraVitals(
        counts={"sent": 2, "airtime_us": 5},
        duty_left_s={"P": 300.0},
        duty_used_s={"P": 60.0},
        gauges={"exchanges": 4.0, "airtime_us.eui-of-a-forwarder.P": 5.0},
    ),
)
GPS = GpsVitals(
    fixed=True,
    position=Position(latitude_deg=1.0, longitude_deg=2.0, altitude_m=None, from_configured_m=12.0),
    stats=DriverStats(gauges={"satellites": 7.0, "crystal_drift_ppm": -1.5, "pulses_taken": 9.0}),
)
VITALS = Vitals(
    gateway_id="gw",
    version="1",
    uptime_s=4000.0,
    stamp=Stamp(10_000, TimeQuality.HOST),
    parts={"lora": Part(state="running", for_s=5), "link": Part(state="running", for_s=5, restarts=2)},
    store=STORE,
    link=LinkVitals(down_s=12, last_fault="unreachable: no route", faults={"unreachable": 3}),
    radios={"lora": RADIO},
    health=assess(Facts(radios={"lora": True}, link_down_s=12, time_trusted=False)),
    gps=GPS,
)


def test_backlog_and_the_age_of_the_oldest_are_of_what_is_not_cosigned() -> None:
    assert (VITALS.backlog, VITALS.oldest_unacked_s) == (2, 1.0)
    stepped_back = replace(VITALS, stamp=Stamp(0, TimeQuality.UNTRUSTED))
    assert stepped_back.oldest_unacked_s == 0


@pytest.mark.parametrize(
    "store",
    [
        replace(STORE, refuses="disk full"),
        replace(STORE, head=replace(HEAD, halted=Halt(what="fork", fix="call"))),
    ],
)
def test_a_gateway_that_cannot_promise_is_not_ready(store: StoreVitals) -> None:
    assert VITALS.ready
    assert not replace(VITALS, store=store).ready


@pytest.mark.parametrize(
    ("state", "for_s", "gauges", "expected"),
    [
        ("running", 5, {}, True),
        ("waiting", 5, {}, False),
        ("halted", 5, {}, False),
        ("running", SILENT_AFTER_S, {"forwarders_reachable": 0}, True),  # they may still come
        ("running", SILENT_AFTER_S + 1, {"forwarders_reachable": 0}, False),
        ("running", SILENT_AFTER_S + 1, {"forwarders_reachable": 1, "others_reachable": 0}, True),
    ],
)
def test_a_radio_works_while_it_runs_and_hears_through_something(
    state: str, for_s: float, gauges: dict[str, float], expected: bool
) -> None:
    assert works(Part(state=state, for_s=for_s), DriverStats(gauges=gauges)) is expected


def test_health_is_one_word_one_number_and_the_reasons() -> None:
    document = health_document(VITALS)
    assert (document["status"], document["score"]) == ("degraded", 90)
    assert health_document(replace(VITALS, health=assess(Facts())))["status"] == "healthy"
    dead = assess(Facts(radios={"lora": False}))
    assert health_document(replace(VITALS, health=dead))["status"] == "unhealthy"


def test_status_is_json_and_fits_a_screen_with_every_deduction_on_it() -> None:
    document = json.loads(json.dumps(status_document(VITALS)))
    assert document["store"]["backlog"] == 2
    assert document["radios"]["lora"]["dutyLeftSeconds"] == {"P": 300.0}
    lines = list(screen(document))
    assert len(lines) <= 12
    assert all(len(line) <= 120 for line in lines)
    text = "\n".join(lines)
    for word in ("score 90", "coordinator unreachable for 12 s", "2 wait", "no route", "ok 3", "2 restarts"):
        assert word in text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (59.9, "59 s"), (60, "1 min"), (3605, "1 h 5 s"), (90_061, "1 d 1 h"), (86_400, "1 d")],
)
def test_a_duration_stands_in_its_two_largest_units(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_radios_are_shown_by_channel_and_spreading_factor_with_airtime_used_and_left() -> None:
    document = json.loads(json.dumps(status_document(VITALS)))
    assert list(radios_screen(document)) == [
        "lora  works for 5 s",
        "  heard  ok 3",
        "  sent   nothing yet",
        "  channel      MHz  SF   frames  bad CRC  RSSI dBm  SNR dB  airtime",
        "        8  867.100   12       3        2    -120.5   -12.2    2.5 s",
        "  airtime in the hour, sub-band P (869.4 to 869.65 MHz): 60.0 s used, 300.0 s left",
        "gps  fixed at 1.0, 2.0, 12 m from where the configuration says; drift -1.50 ppm",
    ]
