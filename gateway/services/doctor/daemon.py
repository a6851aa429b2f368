"""The running gateway: what it says of its own health, its services and its radios."""

from __future__ import annotations

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

STOPPED = "the gateway does not run"
SLOW_SYNC_S = 30.0
"""The deployment guide: Merkle sync over 30 s is a fault."""
START = "run: sudo systemctl start offgrid-gateway, and read: journalctl -u offgrid-gateway"


def _gateway(patient: Patient) -> Outcome:
    status = patient.status
    if status is None:
        return warned(STOPPED, START)
    reasons = "; ".join(one["reason"] for one in status["deductions"])
    seen = f"score {status['score']}" + (f": {reasons}" if reasons else "")
    if status["score"] < 50:
        return failed(seen, "mend what stands first; the checks below go into it")
    return passed(seen) if status["score"] == 100 else warned(seen, "see the checks below")


def _services(patient: Patient) -> Outcome:
    if patient.status is None:
        return skipped(STOPPED)
    services = patient.status["services"]
    for state, say in (("halted", failed), ("waiting", warned)):
        found = [f"{name}: {part['reason']}" for name, part in services.items() if part["state"] == state]
        if found:
            names = [name for name, part in services.items() if part["state"] == state]
            fix = f"mend it, then run: offgrid-gateway restart {names[0]}"
            return say(f"{state}: " + "; ".join(found), fix)
    return passed(f"{len(services)} services run")


def _radios(patient: Patient) -> Outcome:
    if patient.status is None:
        return skipped(f"{STOPPED}; each radio has a test: offgrid-gateway radios check NAME")
    radios = patient.status["radios"]
    down = [name + (f" ({one['note']})" if one["note"] else "") for name, one in radios.items() if _down(one)]
    if down:
        say = failed if len(down) == len(radios) else warned
        return say(f"not working: {', '.join(down)}", "run: offgrid-gateway radios, and see its own checks")
    silent = [name for name, one in radios.items() if not one["frames"].get("ok")]
    if silent:
        return warned(
            f"nothing heard since the start: {', '.join(silent)}",
            "have a device send nearby; if it does, look at antenna, frequency and sync word",
        )
    return passed(", ".join(f"{name} heard {one['frames']['ok']}" for name, one in radios.items()) or "none")


def _down(radio: dict[str, object]) -> bool:
    return radio["state"] != "works"


def _sync(patient: Patient) -> Outcome:
    if patient.status is None:
        return skipped(STOPPED)
    store, link = patient.status["store"], patient.status["link"]
    took = link["latencyMs"]
    if took is not None and took > SLOW_SYNC_S * 1000:
        return warned(
            f"the last ack took {took / 1000:.0f} s",
            "look at the backhaul; sync.batch_bytes: 65536 suits GPRS",
        )
    if store["backlog"] and store["oldestUnackedSeconds"] > 3600 and link["state"] == "connected":
        return warned(
            f"{store['backlog']} wait, the oldest for {store['oldestUnackedSeconds'] / 3600:.0f} h, "
            "on a link that is up",
            "run: offgrid-gateway sync, and look at the coordinator",
        )
    return passed(f"{store['ackedSize']} of {store['size']} leaves are cosigned")


CHECKS = (
    Check("gateway", "what the gateway itself knows to be wrong", _gateway, needs_config=False),
    Check("services", "a part that waits for a person waits for you", _services, needs_config=False),
    Check("radios", "a radio that hears nothing serves nobody", _radios, needs_config=False),
    Check("sync", "what is not cosigned is only on this disk", _sync, needs_config=False),
)
