"""Serial ports: names that stay, rights, the console, and who else has them open."""

from __future__ import annotations

import os
import re

from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned
from gateway.services.doctor.gpio import HEADER_UART

NONE = "no serial port is configured"
NUMBERED = re.compile(r"/dev/tty(USB|ACM)\d+$")


def _names(patient: Patient) -> Outcome:
    paths = patient.serial_paths()
    host = patient.host
    for setting, path in paths.items():
        if NUMBERED.match(path):
            lasting = [one for one in host.names("/dev/serial/by-id/*") if host.target(one) == path]
            fix = f"write {setting}: {lasting[0]}" if lasting else "use its name under /dev/serial/by-id"
            return warned(f"{setting} is {path}: the number changes with the order of plugging", fix)
    return passed(", ".join(paths.values())) if paths else skipped(NONE)


def _access(patient: Patient) -> Outcome:
    host, paths = patient.host, patient.serial_paths()
    for setting, path in paths.items():
        found = host.names(path)
        if not found:
            there = ", ".join(host.names("/dev/serial/by-id/*")) or "nothing under /dev/serial/by-id"
            return failed(
                f"{setting}: {path} is not there", f"plug it in, or correct the name; seen: {there}"
            )
        if not any(host.may(host.path(one), os.R_OK | os.W_OK) for one in found):
            fix = f"run: sudo usermod -aG dialout {host.account.name}, then start the gateway again"
            return failed(f"{setting}: {host.account.name} may not open {found[0]}", fix)
    return passed(f"{len(paths)} of {len(paths)} there") if paths else skipped(NONE)


def _console(patient: Patient) -> Outcome:
    host = patient.host
    used = {setting: path for setting, path in patient.serial_paths().items() if path in HEADER_UART}
    if not used:
        return skipped("no serial port of the header is configured")
    line = host.read("/boot/firmware/cmdline.txt") or host.read("/boot/cmdline.txt") or ""
    console = re.search(r"\bconsole=(serial0|ttyAMA0|ttyS0)", line)
    if console:
        fix = f"take {console[0]} out of cmdline.txt (raspi-config: Serial Port, no login shell); restart"
        return failed(f"the kernel's console is on {console[1]}", fix)
    bluetooth = any("disable-bt" in one or "miniuart-bt" in one for one in host.boot_setting("dtoverlay"))
    model = host.read("/proc/device-tree/model") or ""
    if "/dev/ttyAMA0" in used.values() and re.search(r"Raspberry Pi (3|4|Zero)", model) and not bluetooth:
        fix = "add dtoverlay=disable-bt to config.txt and restart the Pi, or name /dev/serial0"
        return warned("ttyAMA0 belongs to the Pi's own Bluetooth", fix)
    return passed("no console, no Bluetooth on it")


def _holders(patient: Patient) -> Outcome:
    host, paths = patient.host, patient.serial_paths()
    for setting, path in paths.items():
        for device in host.names(path):
            if found := host.holders(device):
                fix = "stop it, or have it leave this port"
                return warned(f"{setting}: {', '.join(found)} has {device} open", fix)
    return passed("nobody else has them open, as far as we may look") if paths else skipped(NONE)


CHECKS = (
    Check("serial-names", "ttyUSB0 is ttyUSB1 after the next boot", _names),
    Check("serial-access", "what is not there or may not be opened stays silent", _access),
    Check("serial-console", "a login prompt talks into GPS and modem", _console),
    Check("serial-holders", "whoever else reads a port takes half of each answer", _holders),
)
