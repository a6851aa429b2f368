"""One output line by address: ``gpio:17`` on a Raspberry Pi's header, ``unix:PATH`` on a simulator's board.

The numbers are the header's (BCM), on every model. ``/dev/gpiochip0`` is not: the header is chip 0 on a Pi 3
and 4, chip 4 or 0 on a Pi 5, and the sysfs numbers moved by 512 with kernel 6.6. So the chip is found by its
label, else by the line's name. The line is held until closed: released, it may float, and a board whose reset
is active high then comes and goes.
"""

from __future__ import annotations

import glob
import importlib
import struct
from typing import Any, Protocol

from drivers.errors import DriverConfigError
from drivers.transport.spi import UnixPins

HEADER_LABELS = ("pinctrl-bcm2835", "pinctrl-bcm2711", "pinctrl-rp1")  # Pi 0 to 3, Pi 4, Pi 5
CONSUMER = "offgrid-gateway"


class OutputLine(Protocol):
    """A line held as output."""

    def set(self, high: bool) -> None:
        """Drive it. OSError when the line is gone."""
        ...

    def close(self) -> None:
        """Let go of it; closing twice is harmless."""
        ...


def open_output(address: str) -> OutputLine:
    """Take the line as output, low. Raises :class:`DriverConfigError` when a person must act."""
    scheme, _, rest = address.partition(":")
    if scheme == "unix" and rest:
        return UnixLine(rest)
    if scheme == "gpio" and rest.isdecimal():
        return _open_header_line(int(rest))
    raise DriverConfigError(f"GPIO address {address!r} is not known", fix="use gpio:NUMBER or unix:PATH")


def _open_header_line(number: int) -> OutputLine:
    gpiod = _import_gpiod()
    if gpiod is not None:
        return GpiodLine(gpiod, number)
    try:
        # Off a Pi this package raises RuntimeError, not ImportError, at import.
        gpio = importlib.import_module("RPi.GPIO")
    except (ImportError, RuntimeError) as error:
        raise DriverConfigError(
            f"no way to drive GPIO {number}: neither gpiod 2 nor RPi.GPIO can be used ({error})",
            fix="on a Raspberry Pi: pip install 'offgrid-gateway[pi]'",
        ) from error
    return LegacyLine(gpio, number)


def _import_gpiod() -> Any:
    """The gpiod package if it is version 2 or later (version 1 has another interface), else None."""
    try:
        module = importlib.import_module("gpiod")
    except ImportError:
        return None
    return module if hasattr(module, "request_lines") else None


class GpiodLine:
    """The GPIO character device, through libgpiod 2."""

    def __init__(self, gpiod: Any, number: int) -> None:
        from_line = gpiod.line
        chip, offset = find_header_line(gpiod, number)
        self._offset = offset
        self._active, self._inactive = from_line.Value.ACTIVE, from_line.Value.INACTIVE
        settings = gpiod.LineSettings(direction=from_line.Direction.OUTPUT, output_value=self._inactive)
        try:
            self._request = gpiod.request_lines(chip, consumer=CONSUMER, config={offset: settings})
        except PermissionError as error:
            raise DriverConfigError(
                f"no permission to use {chip}", fix="add the gateway's user to the group gpio"
            ) from error
        except OSError as error:
            raise DriverConfigError(
                f"GPIO {number} on {chip} cannot be taken: {error}",
                fix="stop whatever holds it (gpioinfo names it), such as a packet forwarder",
            ) from error

    def set(self, high: bool) -> None:
        self._request.set_value(self._offset, self._active if high else self._inactive)

    def close(self) -> None:
        if self._request is not None:
            self._request.release()
            self._request = None


def find_header_line(gpiod: Any, number: int) -> tuple[str, int]:
    """Device path and offset of the header's line. Raises :class:`DriverConfigError` if there is none."""
    seen: list[str] = []
    named: tuple[str, int] | None = None
    for path in sorted(glob.glob("/dev/gpiochip*")):
        try:
            with gpiod.Chip(path) as chip:
                label = chip.get_info().label
                if label in HEADER_LABELS:
                    return path, number
                named = named or _by_name(chip, path, number)
        except PermissionError as error:
            raise DriverConfigError(
                f"no permission to open {path}", fix="add the gateway's user to the group gpio"
            ) from error
        seen.append(f"{path} ({label})")
    if named is not None:
        return named
    raise DriverConfigError(
        f"no GPIO chip of a Raspberry Pi's header found; seen: {', '.join(seen) or 'none'}",
        fix="name the line's simulator as unix:PATH, or run on a Raspberry Pi",
    )


def _by_name(chip: Any, path: str, number: int) -> tuple[str, int] | None:
    """The line named GPIO<number>, as the device tree of a Pi calls it."""
    try:
        return path, int(chip.line_offset_from_id(f"GPIO{number}"))
    except (OSError, ValueError):
        return None  # no line of this name here


class LegacyLine:
    """RPi.GPIO, for systems without gpiod 2 (no Pi 5)."""

    def __init__(self, gpio: Any, number: int) -> None:
        self._gpio, self._number = gpio, number
        gpio.setwarnings(False)
        gpio.setmode(gpio.BCM)
        gpio.setup(number, gpio.OUT, initial=gpio.LOW)
        self._open = True

    def set(self, high: bool) -> None:
        self._gpio.output(self._number, self._gpio.HIGH if high else self._gpio.LOW)

    def close(self) -> None:
        if self._open:
            self._gpio.cleanup(self._number)
            self._open = False


class UnixLine:
    """The reset line of a simulated board."""

    def __init__(self, path: str, number: int = 17) -> None:
        self._pins = UnixPins(path)
        self._number = number

    def set(self, high: bool) -> None:
        self._pins.ask(b"G", struct.pack(">HB", self._number, high))

    def close(self) -> None:
        self._pins.close()
