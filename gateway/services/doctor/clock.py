"""The clock: is it plausible, who has confirmed it, does it survive a power cut."""

from __future__ import annotations

from datetime import UTC, datetime

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

NO_EARLIER = datetime(2025, 1, 1, tzinfo=UTC).timestamp()
NO_LATER = datetime(2045, 1, 1, tzinfo=UTC).timestamp()
AGREED = 2
SYNCHRONISED = "/run/systemd/timesync/synchronized"


def _clock(patient: Patient) -> Outcome:
    now = patient.host.unix_s()
    shown = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    fix = (
        "set it (sudo date -s), add a GPS or a clock battery; the gateway goes on with the coordinator's time"
    )
    if not NO_EARLIER < now < NO_LATER:
        return failed(f"it says {shown}", fix)
    if patient.status is not None and patient.status["time"]["quality"] >= AGREED:
        return passed(f"{shown}, confirmed by coordinator, GPS or NTP")
    if patient.host.exists(SYNCHRONISED):
        return passed(f"{shown}, confirmed by NTP")
    return warned(f"{shown}, and nobody has confirmed it yet", "wait for NTP, the coordinator or a GPS fix")


def _battery(patient: Patient) -> Outcome:
    if patient.host.exists("/sys/class/rtc/rtc0"):
        return passed("there is a clock that runs on a battery")
    return skipped("no clock battery: after a power cut the time comes from NTP, the coordinator or GPS")


CHECKS = (
    Check("clock", "certificates and payments' times are judged by it", _clock, needs_config=False),
    Check("clock-battery", "without one a Pi wakes up in the past", _battery, needs_config=False),
)
