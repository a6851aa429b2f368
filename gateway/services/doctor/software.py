"""What is installed and configured: file, drivers, region, versions, the service."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import sqlite3

from drivers.errors import DriverConfigError
from drivers.registry import load_driver
from gateway import __version__
from gateway.config import gps_setup, radio_setups
from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

UNIT = "offgrid-gateway.service"
UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")


def _configuration(patient: Patient) -> Outcome:
    if patient.config is not None:
        return passed(f"{patient.config_path} is sound")
    more = f" and {len(patient.problems) - 1} more" if len(patient.problems) > 1 else ""
    seen = (patient.problems[0] if patient.problems else "not read") + more
    return failed(seen, "run: offgrid-gateway check-config, and mend what it names")


def _region(patient: Patient) -> Outcome:
    lora = patient.sound.lora
    if lora is None or lora.driver == "none":
        return skipped("no LoRa radio")
    if lora.region is None:
        return warned(
            f"lora.region is not set: {lora.frequency} MHz is heard and nothing is ever sent",
            "set lora.region to the rules of the country it stands in: EU868 or US915",
        )
    return passed(f"{lora.region}, {lora.tx_power:g} dBm EIRP")


def _drivers(patient: Patient) -> Outcome:
    config = patient.sound
    gps = gps_setup(config)
    setups = [*radio_setups(config), *([gps] if gps else [])]
    for setup in setups:
        try:
            load_driver(setup.driver)
        except DriverConfigError as error:
            return failed(str(error).removesuffix(f"; {error.fix}"), error.fix or "correct the driver's name")
    if not setups:
        return warned("no radio is configured", "add lora, ble or gsm to the configuration")
    return passed(", ".join(f"{setup.name} by {setup.driver}" for setup in setups))


def _versions(patient: Patient) -> Outcome:
    missing = []
    for line in importlib.metadata.requires("offgrid-gateway") or ():
        name = re.split(r"[^A-Za-z0-9._-]", line)[0]
        if "extra ==" in line:
            continue
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        return failed(f"packages are missing: {', '.join(missing)}", "install again: ./scripts/install.sh")
    return passed(
        f"offgrid-gateway {__version__}, Python {platform.python_version()}, "
        f"SQLite {sqlite3.sqlite_version}, Linux {patient.host.kernel}"
    )


def _service(patient: Patient) -> Outcome:
    host = patient.host
    if not host.exists("/run/systemd/system"):
        return skipped("systemd does not run here")
    if not any(host.exists(f"{folder}/{UNIT}") for folder in UNIT_FOLDERS):
        return warned(f"{UNIT} is not installed: nothing starts at boot", "run: sudo ./scripts/install.sh")
    if not host.exists(f"/etc/systemd/system/multi-user.target.wants/{UNIT}"):
        return warned(f"{UNIT} does not start at boot", f"run: sudo systemctl enable --now {UNIT}")
    return passed(f"{UNIT} starts at boot, as {host.account.name}")


CHECKS = (
    Check("configuration", "a gateway does not start on a wrong file", _configuration, needs_config=False),
    Check("drivers", "a radio whose driver cannot be loaded stays silent", _drivers),
    Check("region", "without the rules of a place nothing may be transmitted", _region),
    Check("versions", "what is missing fails at three in the morning", _versions, needs_config=False),
    Check("service", "after a power cut nobody is there to start it", _service, needs_config=False),
)
