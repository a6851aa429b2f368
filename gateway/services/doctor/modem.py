"""The GSM modem and its SIM, and ModemManager beside it."""

from __future__ import annotations

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned
from gateway.services.doctor.daemon import STOPPED

NONE = "no gsm is configured"
TEST = "run: offgrid-gateway radios check gsm, while the gateway is stopped"
IGNORE = "ID_MM_PORT_IGNORE"
RULES = ("/etc/udev/rules.d/*.rules", "/usr/lib/udev/rules.d/*.rules", "/lib/udev/rules.d/*.rules")


def _modem(patient: Patient) -> Outcome:
    gsm = patient.sound.gsm
    if gsm is None:
        return skipped(NONE)
    found = patient.host.names(gsm.port) if gsm.port.startswith("/dev/") else [gsm.port]
    if not found:
        return failed(f"nothing matches gsm.port {gsm.port}", f"plug it in, look at its supply; {TEST}")
    return passed(", ".join(found))


def _sim(patient: Patient) -> Outcome:
    if patient.sound.gsm is None:
        return skipped(NONE)
    if patient.status is None:
        return skipped(f"{STOPPED}; {TEST}")
    radio, service = patient.status["radios"]["gsm"], patient.status["services"]["gsm"]
    why = service["reason"] or radio["note"]
    if service["state"] == "halted":
        return failed(why, f"mend it, then run: offgrid-gateway restart gsm; {TEST}")
    if radio["state"] != "works":
        return failed(why or "the modem does not work", TEST)
    signal = radio["gauges"].get("signal_dbm")
    level = "" if signal is None else f", {signal:.0f} dBm"
    return warned(why + level, TEST) if radio["note"] else passed(f"SIM and network work{level}")


def _modem_manager(patient: Patient) -> Outcome:
    if patient.sound.gsm is None:
        return skipped(NONE)
    host = patient.host
    if not host.running(["ModemManager"]):
        return passed("does not run")
    rules = [rule for pattern in RULES for rule in host.names(pattern) if IGNORE in (host.read(rule) or "")]
    if any("offgrid" in rule for rule in rules):
        return passed(f"runs, and leaves our port alone ({next(one for one in rules if 'offgrid' in one)})")
    fix = f"set {IGNORE}=1 for the port by a udev rule (./scripts/install.sh does), or disable ModemManager"
    return warned("ModemManager runs and probes every modem port", fix)


CHECKS = (
    Check("modem", "without a modem no text message and no last way home", _modem),
    Check("sim", "a SIM without PIN, credit or network is a modem without use", _sim),
    Check("modem-manager", "it talks to our port in between", _modem_manager),
)
