"""GPS: a position, and pulses."""

from __future__ import annotations

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned
from gateway.services.doctor.daemon import STOPPED

FAR_M = 5000


def _gps(patient: Patient) -> Outcome:
    if patient.sound.gps is None:
        return skipped("no gps is configured")
    if patient.status is None:
        return skipped(f"{STOPPED}; test-lora looks at it too")
    gps, service = (
        patient.status["gps"],
        patient.status["services"].get("gps", {"state": "running", "reason": ""}),
    )
    if service["state"] != "running":
        return failed(f"{service['state']}: {service['reason']}", "check gps.address, gps.baud and the cable")
    position = gps["position"]
    if position is None:
        return warned(
            f"no position yet ({gps['note'] or 'it is listened to'})",
            "a cold start under open sky takes minutes",
        )
    if position["fromConfiguredM"] > FAR_M:
        fix = f"set gateway.location to {position['lat']}, {position['lon']}, or bring it to its place"
        return warned(f"{position['fromConfiguredM'] / 1000:.0f} km from where the configuration says", fix)
    if not gps["fixed"]:
        return warned("the fix is lost", "it needs to see the sky")
    return passed(f"fixed at {position['lat']}, {position['lon']}")


CHECKS = (Check("gps", "place, time without a network, and exact times of frames", _gps),)
