"""The concentrator on SPI: device, speed, firmware, and whoever else drives it."""

from __future__ import annotations

import os

from drivers.base import FirmwareKeeper
from drivers.errors import DriverConfigError
from drivers.registry import load_driver
from gateway.config import CONCENTRATOR
from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned
from gateway.systemclock import SystemClock

NONE = "no lora_sx1301 is configured"
SURE_HZ = 2_000_000
FORWARDERS = (
    "lora_pkt_fwd",
    "poly_pkt_fwd",
    "mp_pkt_fwd",
    "basicstation",
    "station",
    "chirpstack-concentratord",
)
IMPORT = (
    "git clone https://github.com/Lora-net/lora_gateway, then run: "
    "offgrid-gateway firmware import lora_gateway/libloragw/src"
)


def _spi(patient: Patient) -> Outcome:
    host = patient.host
    for setup in patient.radios(CONCENTRATOR):
        scheme, _, place = str(setup.settings.get("address", "spidev:0.0")).partition(":")
        if scheme != "spidev":
            continue
        device = f"/dev/spidev{place}"
        if not host.exists(device):
            on = "spi=on" in host.boot_setting("dtparam")
            fix = (
                "restart the Pi: it is switched on in config.txt"
                if on
                else "add dtparam=spi=on to config.txt"
            )
            return failed(f"{device} is not there", fix + ("" if on else ", then restart the Pi"))
        if not host.may(host.path(device), os.R_OK | os.W_OK):
            fix = f"run: sudo usermod -aG spi {host.account.name}, then start the gateway again"
            return failed(f"{host.account.name} may not open {device}", fix)
        return passed(f"{device} is there and may be opened")
    return skipped(NONE)


def _speed(patient: Patient) -> Outcome:
    setups = patient.radios(CONCENTRATOR)
    if not setups:
        return skipped(NONE)
    hz = int(setups[0].settings.get("spi_hz", SURE_HZ))
    core = patient.host.boot_setting("core_freq")
    if hz > SURE_HZ:
        fix = f"set lora.options.spi_hz to {SURE_HZ}, or leave it out; test-lora has a burst test"
        return warned(f"SPI runs at {hz / 1e6:g} MHz", fix)
    if core and int(core[-1]) > 250:
        fix = "take core_freq out of config.txt: SPI's clock is divided from it"
        return warned(f"core_freq={core[-1]} in config.txt moves the SPI clock", fix)
    return passed(f"{hz / 1e6:g} MHz; halved by itself where bytes read back wrong")


def _firmware(patient: Patient) -> Outcome:
    setups = patient.radios(CONCENTRATOR)
    if not setups:
        return skipped(NONE)
    try:
        driver = load_driver(CONCENTRATOR)(setups[0].name, setups[0].settings, clock=SystemClock())
    except DriverConfigError as error:
        return failed(str(error), "run: offgrid-gateway check-config")
    assert isinstance(driver, FirmwareKeeper)  # noqa: S101 - our own
    wrong = [f"{image.name}: {image.problem}" for image in driver.firmware_status() if image.problem]
    return failed("; ".join(wrong), IMPORT) if wrong else passed("the three images are there and right")


def _alone(patient: Patient) -> Outcome:
    if not patient.radios(CONCENTRATOR):
        return skipped(NONE)
    found = patient.host.running(FORWARDERS)
    if found:
        return failed(f"{', '.join(found)} runs too", f"stop it: sudo systemctl disable --now {found[0]}")
    return passed("no packet forwarder runs beside us")


CHECKS = (
    Check("spi", "the concentrator is reached over SPI and nothing else", _spi),
    Check("spi-speed", "bytes that read back wrong look like a dead board", _speed),
    Check("firmware", "its microcontrollers run images of their maker's", _firmware),
    Check("packet-forwarder", "two programs on one chip answer to neither", _alone),
)
