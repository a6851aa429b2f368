"""The header: the reset line, and who wants which pin."""

from __future__ import annotations

import importlib.util
import os

from gateway.config import CONCENTRATOR
from gateway.services.doctor.check import Check, Outcome, Patient, failed, passed, skipped, warned

SPI_PINS = frozenset(range(7, 12))  # CE1, CE0, MISO, MOSI, SCLK of SPI0, whatever an overlay says of CE1
UART_PINS = frozenset({14, 15})
HEADER_UART = ("/dev/ttyAMA0", "/dev/ttyS0", "/dev/serial0", "/dev/serial1")


def _gpio(patient: Patient) -> Outcome:
    resets = [str(one.settings.get("reset", "gpio:17")) for one in patient.radios(CONCENTRATOR)]
    if not any(reset.startswith("gpio:") for reset in resets):
        return skipped("no reset line on the header is configured")
    host = patient.host
    chips = host.names("/dev/gpiochip*")
    if not chips:
        return failed("there is no /dev/gpiochip*", "use Raspberry Pi OS with its own kernel")
    if not any(host.may(host.path(chip), os.R_OK | os.W_OK) for chip in chips):
        fix = f"run: sudo usermod -aG gpio {host.account.name}, then start the gateway again"
        return failed(f"{host.account.name} may not open {chips[0]}", fix)
    if importlib.util.find_spec("gpiod") is None and importlib.util.find_spec("RPi") is None:
        return failed("neither gpiod nor RPi.GPIO is installed", "install requirements/pi.lock")
    return passed(f"{', '.join(chips)}; lines are found by name, not by the numbers that kernel 6.6 moved")


def _pins(patient: Patient) -> Outcome:
    wanted = {
        f"{one.name} reset": str(one.settings.get("reset", "gpio:17")) for one in patient.radios(CONCENTRATOR)
    }
    gsm = patient.sound.gsm
    if gsm is not None and gsm.options.get("power_pin"):
        wanted["gsm power_pin"] = str(gsm.options["power_pin"])
    lines = {
        what: int(pin[5:]) for what, pin in wanted.items() if pin.startswith("gpio:") and pin[5:].isdecimal()
    }
    for what, number in lines.items():
        if number in SPI_PINS:
            return failed(
                f"{what} is GPIO {number}, which SPI uses", "take another; a RAK2245's reset is GPIO 17"
            )
        others = [other for other, taken in lines.items() if taken == number and other != what]
        if others:
            return failed(f"{what} and {others[0]} are both GPIO {number}", "give each a line of its own")
    return _header_uart(patient, lines)


def _header_uart(patient: Patient, lines: dict[str, int]) -> Outcome:
    uarts = [setting for setting, path in patient.serial_paths().items() if path in HEADER_UART]
    if len(uarts) > 1:
        fix = "move one to USB: a SIM7600 HAT and a RAK2245's GPS both want GPIO 14 and 15"
        return failed(f"{' and '.join(uarts)} want the one serial port of the header", fix)
    taken = [what for what, number in lines.items() if number in UART_PINS]
    if uarts and taken:
        return warned(f"{taken[0]} is a pin of the serial port that {uarts[0]} uses", "take another line")
    if not lines and not uarts:
        return skipped("no pin of the header is configured")
    return passed(", ".join([*(f"{what} GPIO {number}" for what, number in lines.items()), *uarts]))


CHECKS = (
    Check("gpio", "a chip that hangs is mended by its reset line only", _gpio),
    Check("pins", "two boards on one pin: neither works, at times", _pins),
)
