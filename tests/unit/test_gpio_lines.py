"""Which GPIO chip and line: by label on each Raspberry Pi, else by name; never by number alone."""

from __future__ import annotations

import ctypes
import shutil
import struct
import subprocess
import types
from pathlib import Path
from typing import Any

import pytest
from device_holder import other_program

from drivers.errors import DriverConfigError, DriverLost
from drivers.transport import gpio, spidev
from drivers.transport import spi as spi_transport
from drivers.transport.holders import DeviceLock
from drivers.transport.spi import UnixSpi, open_spi


class FakeChip:
    """One /dev/gpiochip as libgpiod 2 shows it."""

    def __init__(self, label: str, lines: dict[str, int]) -> None:
        self.label, self.lines = label, lines

    def __enter__(self) -> FakeChip:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def get_info(self) -> Any:
        return types.SimpleNamespace(label=self.label)

    def line_offset_from_id(self, name: str) -> int:
        if name not in self.lines:
            raise OSError(2, "no such line")
        return self.lines[name]


class FakeGpiod:
    """The parts of libgpiod 2's Python interface in use; what was requested is kept."""

    line = types.SimpleNamespace(
        Direction=types.SimpleNamespace(OUTPUT="output"), Value=types.SimpleNamespace(ACTIVE=1, INACTIVE=0)
    )

    def __init__(self, chips: dict[str, FakeChip], refuse: OSError | None = None) -> None:
        self.chips, self.refuse = chips, refuse
        self.requested: list[tuple[str, dict[int, Any]]] = []
        self.levels: list[int] = []
        self.released = 0

    def Chip(self, path: str) -> FakeChip:
        return self.chips[path]

    def LineSettings(self, **settings: Any) -> dict[str, Any]:
        return settings

    def request_lines(self, path: str, *, consumer: str, config: dict[int, Any]) -> FakeGpiod:
        if self.refuse is not None:
            raise self.refuse
        assert consumer == "offgrid-gateway"
        self.requested.append((path, config))
        return self

    def set_value(self, offset: int, value: int) -> None:
        self.levels.append(value)

    def release(self) -> None:
        self.released += 1


def install(
    monkeypatch: pytest.MonkeyPatch, chips: dict[str, FakeChip], refuse: OSError | None = None
) -> FakeGpiod:
    module = FakeGpiod(chips, refuse)
    monkeypatch.setattr(gpio, "_import_gpiod", lambda: module)
    monkeypatch.setattr("drivers.transport.gpio.glob.glob", lambda _: list(chips))
    return module


HEADERS = {
    "Pi 3": {
        "/dev/gpiochip0": FakeChip("pinctrl-bcm2835", {}),
        "/dev/gpiochip1": FakeChip("raspberrypi-exp-gpio", {}),
    },
    "Pi 4": {
        "/dev/gpiochip0": FakeChip("pinctrl-bcm2711", {}),
        "/dev/gpiochip1": FakeChip("raspberrypi-exp-gpio", {}),
    },
    "Pi 5": {
        "/dev/gpiochip0": FakeChip("gpio-brcmstb@107d508500", {}),
        "/dev/gpiochip4": FakeChip("pinctrl-rp1", {"GPIO17": 17}),
    },
}


@pytest.mark.parametrize(
    ("model", "path"), [("Pi 3", "/dev/gpiochip0"), ("Pi 4", "/dev/gpiochip0"), ("Pi 5", "/dev/gpiochip4")]
)
def test_the_headers_chip_is_found_by_its_label(
    monkeypatch: pytest.MonkeyPatch, model: str, path: str
) -> None:
    module = install(monkeypatch, HEADERS[model])
    line = gpio.open_output("gpio:17")
    ((seen, config),) = module.requested
    assert seen == path
    assert config == {17: {"direction": "output", "output_value": 0}}
    line.set(True)
    line.set(False)
    assert module.levels == [1, 0]
    assert module.released == 0  # held for life
    line.close()
    line.close()
    assert module.released == 1


def test_a_board_with_another_label_is_found_by_the_lines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    chips = {"/dev/gpiochip0": FakeChip("other", {}), "/dev/gpiochip2": FakeChip("soc", {"GPIO17": 81})}
    module = install(monkeypatch, chips)
    gpio.open_output("gpio:17")
    assert module.requested[0][0] == "/dev/gpiochip2"
    assert list(module.requested[0][1]) == [81]


def test_no_header_names_what_was_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, {"/dev/gpiochip0": FakeChip("INT34C6:00", {})})
    with pytest.raises(DriverConfigError, match=r"seen: /dev/gpiochip0 \(INT34C6:00\)"):
        gpio.open_output("gpio:17")


@pytest.mark.parametrize(
    ("refuse", "words"),
    [(PermissionError(13, "denied"), "group gpio"), (OSError(16, "busy"), "stop whatever holds it")],
)
def test_a_line_that_cannot_be_taken_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, refuse: OSError, words: str
) -> None:
    install(monkeypatch, HEADERS["Pi 4"], refuse)
    with pytest.raises(DriverConfigError, match=words):
        gpio.open_output("gpio:17")


class FakeRpiGpio:
    """RPi.GPIO's module, as far as it is used."""

    BCM, OUT, LOW, HIGH = "BCM", "out", 0, 1

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *arguments, **options: self.calls.append((name, *arguments, *options.values()))


def test_without_gpiod_2_the_legacy_library_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    legacy = FakeRpiGpio()
    monkeypatch.setattr(gpio, "_import_gpiod", lambda: None)
    monkeypatch.setattr("drivers.transport.gpio.importlib.import_module", lambda _: legacy)
    line = gpio.open_output("gpio:17")
    line.set(True)
    line.close()
    line.close()
    assert legacy.calls[2:] == [("setup", 17, "out", 0), ("output", 17, 1), ("cleanup", 17)]


@pytest.mark.parametrize(
    "error", [ImportError("none"), RuntimeError("This module can only be run on a Raspberry Pi!")]
)
def test_off_a_pi_neither_library_is_a_matter_for_a_person(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def no_module(name: str) -> Any:
        raise ImportError(name) if name == "gpiod" else error

    monkeypatch.setattr("drivers.transport.gpio.importlib.import_module", no_module)
    with pytest.raises(DriverConfigError, match=r"neither gpiod 2 nor RPi\.GPIO"):
        gpio.open_output("gpio:17")


def test_gpiod_of_version_1_is_not_taken_for_version_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drivers.transport.gpio.importlib.import_module", lambda _: types.SimpleNamespace())
    assert gpio._import_gpiod() is None


class FakeKernel:
    """What spidev's ioctls do: settings are kept, a transfer answers each byte's complement."""

    def __init__(self, refuse: OSError | None = None) -> None:
        self.refuse = refuse
        self.set: dict[int, bytes] = {}
        self.transfers: list[tuple[int, ...]] = []

    def ioctl(self, descriptor: int, request: int, argument: bytes) -> object:
        if self.refuse is not None:
            raise self.refuse
        if request != spidev.SPI_IOC_MESSAGE_1:
            self.set[request] = argument
            return 0
        out, back, size, *rest = struct.unpack("=QQIIHBBBBBB", argument)
        ctypes.memmove(back, bytes(byte ^ 0xFF for byte in ctypes.string_at(out, size)), size)
        self.transfers.append((size, *rest))
        return 0


def with_spidev(monkeypatch: pytest.MonkeyPatch, folder: Path, kernel: FakeKernel) -> None:
    monkeypatch.setattr("drivers.transport.spidev.fcntl.ioctl", kernel.ioctl)
    monkeypatch.setattr(spi_transport, "DEVICES", f"{folder}/spidev")
    for place in ("0.0", "1.2"):
        (folder / f"spidev{place}").touch()


def test_spidev_is_opened_in_mode_0_at_the_clock_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = FakeKernel()
    with_spidev(monkeypatch, tmp_path, kernel)
    spi = open_spi("spidev:1.2", 2_000_000)
    assert kernel.set == {
        spidev.SPI_IOC_WR_MODE: b"\0",
        spidev.SPI_IOC_WR_BITS_PER_WORD: b"\x08",
        spidev.SPI_IOC_WR_MAX_SPEED_HZ: struct.pack("=I", 2_000_000),
    }
    assert spi.transfer(b"\x01\x00") == b"\xfe\xff"
    spi.set_clock(1_000_000)
    assert spi.transfer(b"") == b""
    assert kernel.transfers == [(2, 2_000_000, 0, 8, 0, 0, 0, 0, 0), (0, 1_000_000, 0, 8, 0, 0, 0, 0, 0)]
    spi.close()
    spi.close()
    DeviceLock(f"{tmp_path}/spidev1.2").close()  # it was given back


def test_spidevs_numbers_are_those_of_the_kernels_header(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler (Debian package gcc) and linux/spi/spidev.h")
    source = tmp_path / "numbers.c"
    source.write_text(
        "#include <linux/spi/spidev.h>\n#include <stdio.h>\n#include <stddef.h>\n"
        "#define AT(field) offsetof(struct spi_ioc_transfer, field)\n"
        'int main(void) { printf("%u %u %u %u %zu %zu %zu %zu", (unsigned)SPI_IOC_MESSAGE(1),'
        " (unsigned)SPI_IOC_WR_MODE, (unsigned)SPI_IOC_WR_BITS_PER_WORD, (unsigned)SPI_IOC_WR_MAX_SPEED_HZ,"
        " sizeof(struct spi_ioc_transfer), AT(len), AT(speed_hz), AT(bits_per_word)); return 0; }\n"
    )
    subprocess.run([compiler, "-o", tmp_path / "numbers", source], check=True)
    told = subprocess.run([tmp_path / "numbers"], check=True, capture_output=True).stdout.split()
    assert [int(number) for number in told] == [
        spidev.SPI_IOC_MESSAGE_1,
        spidev.SPI_IOC_WR_MODE,
        spidev.SPI_IOC_WR_BITS_PER_WORD,
        spidev.SPI_IOC_WR_MAX_SPEED_HZ,
        spidev.TRANSFER.size,
        struct.calcsize("=QQ"),
        struct.calcsize("=QQI"),
        struct.calcsize("=QQIIH"),
    ]


@pytest.mark.parametrize(
    ("refuse", "kind", "words"),
    [
        (FileNotFoundError(2, "none"), DriverConfigError, "dtparam=spi=on"),
        (PermissionError(13, "denied"), DriverConfigError, "group spi"),
        (OSError(5, "broken"), DriverLost, "cannot be opened"),
    ],
)
def test_spidev_that_cannot_be_opened_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, refuse: OSError, kind: type[Exception], words: str
) -> None:
    with_spidev(monkeypatch, tmp_path, FakeKernel(refuse))
    with pytest.raises(kind, match=words):
        open_spi("spidev:0.0", 2_000_000)
    DeviceLock(f"{tmp_path}/spidev0.0").close()  # it was given back


def test_a_spidev_that_another_program_has_open_is_not_driven_by_two(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    kernel = FakeKernel()
    with_spidev(monkeypatch, tmp_path, kernel)
    with (
        other_program(tmp_path / "spidev0.0") as pid,
        pytest.raises(DriverLost, match=rf"held by python\S* \(process {pid}\); free it: sudo"),
    ):
        open_spi("spidev:0.0", 2_000_000)
    assert not kernel.set
    open_spi("spidev:0.0", 2_000_000).close()
    assert kernel.set


def test_a_simulator_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DriverLost, match="is the simulator running"):
        UnixSpi(str(tmp_path / "none"), 1)
