"""The machine itself: model, supply, heat, memory."""

from __future__ import annotations

import re

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

THROTTLED = "/sys/devices/platform/soc/soc:firmware/get_throttled"
UNDERVOLTAGE_NOW, UNDERVOLTAGE_SINCE_BOOT = 1 << 0, 1 << 16
"""https://www.raspberrypi.com/documentation/computers/os.html, vcgencmd get_throttled."""
HOT_C, TOO_HOT_C = 80.0, 85.0
LITTLE_MEMORY_KIB = 64 << 10


def _model(patient: Patient) -> Outcome:
    host = patient.host
    if host.machine in ("armv6l", "armv7l"):
        return failed(f"a 32-bit system ({host.machine})", "install the 64-bit Raspberry Pi OS")
    model = host.read("/proc/device-tree/model")
    if model is None:
        return skipped(f"no Raspberry Pi ({host.machine})")
    if not re.search(r"Raspberry Pi (3|4|5|Compute Module [345]|Zero 2)", model):
        return warned(f"{model}, {host.machine}: never tried", "use a Raspberry Pi 3, 4 or 5")
    return passed(f"{model}, {host.machine}")


def _undervoltage(patient: Patient) -> Outcome:
    host = patient.host
    fix = "use the official supply and a short thick cable; a modem or a dongle may need a hub of its own"
    flags = host.read(THROTTLED)
    if flags is not None:
        bits = int(flags, 16)
        if bits & UNDERVOLTAGE_NOW:
            return failed("the supply is too low now", fix)
        if bits & UNDERVOLTAGE_SINCE_BOOT:
            return warned("the supply was too low since the last boot", fix)
        return passed("never since the last boot")
    for name in host.names("/sys/class/hwmon/hwmon*/name"):
        if host.read(name) == "rpi_volt":
            alarm = host.read(name.removesuffix("name") + "in0_lcrit_alarm")
            return failed("the supply is too low", fix) if alarm == "1" else passed("not now")
    return skipped("this machine does not say")


def _temperature(patient: Patient) -> Outcome:
    text = patient.host.read("/sys/class/thermal/thermal_zone0/temp")
    if text is None:
        return skipped("no sensor")
    celsius = int(text) / 1000
    fix = "give the case air, or take it out of the sun"
    if celsius >= TOO_HOT_C:
        return failed(f"{celsius:.0f} °C: the processor is slowed down", fix)
    return warned(f"{celsius:.0f} °C", fix) if celsius >= HOT_C else passed(f"{celsius:.0f} °C")


def _memory(patient: Patient) -> Outcome:
    found = re.search(r"^MemAvailable:\s+(\d+) kB", patient.host.read("/proc/meminfo") or "", re.MULTILINE)
    if found is None:
        return skipped("the kernel does not say")
    free = int(found[1])
    if free < LITTLE_MEMORY_KIB:
        return warned(
            f"only {free >> 10} MiB available", "stop what else runs here; the gateway needs 60 MiB"
        )
    return passed(f"{free >> 10} MiB available")


CHECKS = (
    Check("model", "drivers and packages are for 64-bit Pis", _model, needs_config=False),
    Check(
        "undervoltage", "a supply that dips hangs radios and tears files", _undervoltage, needs_config=False
    ),
    Check("temperature", "a hot Pi is slow, and its oscillators drift", _temperature, needs_config=False),
    Check("memory", "without memory the kernel kills what it likes", _memory, needs_config=False),
)
