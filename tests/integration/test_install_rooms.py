"""The installer's rooms against trees of other machines: boot partitions of each Pi, udev rules, accounts."""

from __future__ import annotations

import fnmatch
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
RULES = REPOSITORY / "systemd" / "udev.rules"
MODELS = {
    "3": "Raspberry Pi 3 Model B Plus Rev 1.3",
    "4": "Raspberry Pi 4 Model B Rev 1.4",
    "5": "Raspberry Pi 5 Model B Rev 1.0",
}
# As Raspberry Pi OS Bookworm has them, shortened.
CONFIG = "# For more options see http://rptl.io/configtxt\n#dtparam=spi=on\ndtparam=audio=on\n\n[cm4]\notg_mode=1\n"
CMDLINE = (
    "console=serial0,115200 console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
)
QUIET = "console=tty1 root=PARTUUID=4e639091-02 rootfstype=ext4 fsck.repair=yes rootwait\n"
DEVICE = "/dev/ttyAMA0"


@dataclass(frozen=True, slots=True)
class Pi:
    """The tree of a machine: ``root``, and its boot partition."""

    root: Path
    boot: Path

    @property
    def config(self) -> str:
        return (self.boot / "config.txt").read_text()

    @property
    def ours(self) -> list[str]:
        """The lines between our marks."""
        found = re.search(
            r"^# offgrid-gateway: begin.*?\n(.*?)^# offgrid-gateway: end$", self.config, re.M | re.S
        )
        return found[1].splitlines() if found else []

    @property
    def reboot_is_due(self) -> bool:
        return (self.root / "run/reboot-required").exists()


def pi(folder: Path, model: str, boot: str = "boot/firmware") -> Pi:
    partition = folder / boot
    for path in (partition, folder / "proc/device-tree", folder / "run"):
        path.mkdir(parents=True)
    (folder / "proc/device-tree/model").write_text(model + "\0")
    (partition / "config.txt").write_text(CONFIG)
    (partition / "cmdline.txt").write_text(CMDLINE)
    return Pi(folder, partition)


def script(name: str, *arguments: str | Path, fails: bool = False) -> str:
    done = subprocess.run(
        [REPOSITORY / "scripts" / name, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert (done.returncode != 0) == fails, done.stdout
    return done.stdout


@pytest.mark.parametrize(
    ("model", "options", "lines"),
    [
        ("3", (), ["dtparam=spi=on", "enable_uart=1", "dtoverlay=miniuart-bt", "core_freq=250"]),
        ("4", (), ["dtparam=spi=on", "enable_uart=1", "dtoverlay=miniuart-bt"]),
        ("4", ("--no-onboard-bluetooth",), ["dtparam=spi=on", "enable_uart=1", "dtoverlay=disable-bt"]),
        ("5", (), ["dtparam=spi=on", "dtparam=uart0=on"]),
    ],
)
def test_each_pi_gets_spi_and_the_good_uart_without_a_console(
    tmp_path: Path, model: str, options: tuple[str, ...], lines: list[str]
) -> None:
    machine = pi(tmp_path, MODELS[model])
    said = script("install.sh", "--boot-only", "--root", tmp_path, *options)
    assert f"Raspberry Pi {model}, SPI at /dev/spidev0.0, GPS at {DEVICE}" in said
    assert "REBOOT NEEDED" in said and machine.reboot_is_due
    assert machine.config.startswith(CONFIG)
    assert machine.ours == ["[all]", *lines]
    assert (machine.boot / "cmdline.txt").read_text() == QUIET
    assert (machine.boot / "config.txt.before-offgrid").read_text() == CONFIG
    getty = tmp_path / "etc/systemd/system/serial-getty@ttyAMA0.service"
    assert os.readlink(getty) == "/dev/null"


def test_a_second_run_changes_nothing_and_asks_for_no_second_reboot(tmp_path: Path) -> None:
    machine = pi(tmp_path, MODELS["4"])
    script("install.sh", "--boot-only", "--root", tmp_path)
    before = machine.config
    for file in (tmp_path / "run").iterdir():  # the Pi was restarted
        file.unlink()
    assert "REBOOT" not in script("install.sh", "--boot-only", "--root", tmp_path)
    assert machine.config == before


def test_another_choice_replaces_our_lines_and_no_others(tmp_path: Path) -> None:
    machine = pi(tmp_path, MODELS["3"])
    script("install.sh", "--boot-only", "--root", tmp_path)
    script("install.sh", "--boot-only", "--root", tmp_path, "--no-onboard-bluetooth")
    assert machine.config.count("offgrid-gateway: begin") == 1
    assert "dtoverlay=disable-bt" in machine.ours and "dtoverlay=miniuart-bt" not in machine.ours


def test_before_bookworm_the_partition_is_at_boot(tmp_path: Path) -> None:
    machine = pi(tmp_path, MODELS["4"], boot="boot")
    script("install.sh", "--boot-only", "--root", tmp_path)
    assert "dtparam=spi=on" in machine.ours


@pytest.mark.parametrize(
    ("model", "words"),
    [("Raspberry Pi 2 Model B Rev 1.1", "none of 3, 4, 5"), ("Radxa ROCK 5B", "no Raspberry Pi")],
)
def test_another_machine_is_left_as_it_is(tmp_path: Path, model: str, words: str) -> None:
    machine = pi(tmp_path, model)
    assert words in script("install.sh", "--boot-only", "--root", tmp_path)
    assert machine.config == CONFIG and not machine.reboot_is_due


def test_a_boot_partition_that_is_not_mounted_is_named(tmp_path: Path) -> None:
    machine = pi(tmp_path, MODELS["4"])
    (machine.boot / "config.txt").unlink()
    assert "mount the boot partition" in script("install.sh", "--boot-only", "--root", tmp_path, fails=True)


def test_uninstalling_takes_our_lines_out_and_leaves_the_data(tmp_path: Path) -> None:
    machine = pi(tmp_path, MODELS["4"])
    script("install.sh", "--boot-only", "--root", tmp_path)
    for kept in ("etc/offgrid/gateway.key", "var/lib/offgrid/gateway.db"):
        (tmp_path / kept).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / kept).touch()
    (tmp_path / "opt/offgrid-gateway/releases").mkdir(parents=True)
    assert "/var/lib/offgrid stay" in script("uninstall.sh", "--root", tmp_path)
    assert machine.config == CONFIG
    assert not (tmp_path / "opt/offgrid-gateway").exists()
    assert (tmp_path / "var/lib/offgrid/gateway.db").exists()
    script("uninstall.sh", "--root", tmp_path, "--purge")
    assert not (tmp_path / "var/lib/offgrid").exists() and not (tmp_path / "etc/offgrid").exists()


def test_a_root_without_python_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    assert "has no python3" in script("install.sh", "--root", tmp_path, fails=True)
    assert list(tmp_path.iterdir()) == []


@dataclass(slots=True)
class Device:
    """What udev would make of one device: ``properties`` go in, the rest comes out."""

    properties: dict[str, str]
    links: set[str] = field(default_factory=set)
    set: dict[str, str] = field(default_factory=dict)

    @property
    def ignored_by_modem_manager(self) -> str:
        """ "port", "device" or ""."""
        return (
            "port"
            if "ID_MM_PORT_IGNORE" in self.properties
            else ("device" if "ID_MM_DEVICE_IGNORE" in self.properties else "")
        )


def judged(properties: Mapping[str, str]) -> Device:
    """Our rules, by the part of udev(7) that they use: ==, !=, =, +=, GOTO and LABEL."""
    device, skipping = Device({"ACTION": "add", **properties}), ""
    for line in RULES.read_text().splitlines():
        tokens = re.findall(r'([A-Z]+)(?:\{(\w+)\})?(==|!=|\+=|=)"([^"]*)"', line.split("#")[0])
        if skipping:
            if ("LABEL", "", "=", skipping) in tokens:
                skipping = ""
            continue
        if all(_matches(device, *token) for token in tokens if token[2] in ("==", "!=")):
            for key, name, operator, value in tokens:
                if key == "GOTO":
                    skipping = value
                elif operator == "+=" and key == "SYMLINK":
                    device.links.add(value)
                elif operator == "=" and key == "ENV":
                    device.properties[name] = value
                elif operator == "=" and key != "LABEL":
                    device.set[key] = value
    assert not skipping, "a GOTO without its LABEL"
    return device


def _matches(device: Device, key: str, name: str, operator: str, value: str) -> bool:
    seen = device.properties.get(name if key == "ENV" else key, "")
    equal = any(fnmatch.fnmatchcase(seen, pattern) for pattern in value.split("|"))
    return equal == (operator == "==")


def usb_port(vendor: str, model: str, interface: str) -> Device:
    return judged(
        {
            "SUBSYSTEM": "tty",
            "KERNEL": "ttyUSB2",
            "ID_VENDOR_ID": vendor,
            "ID_MODEL_ID": model,
            "ID_USB_INTERFACE_NUM": interface,
        }
    )


@pytest.mark.parametrize(
    ("vendor", "model", "ours"), [("1e0e", "9001", "02"), ("1e0e", "9011", "04"), ("2c7c", "0125", "02")]
)
def test_of_a_modem_one_port_is_ours_and_the_others_stay_modem_managers(
    vendor: str, model: str, ours: str
) -> None:
    port = usb_port(vendor, model, ours)
    assert (port.links, port.set, port.ignored_by_modem_manager) == (
        {"offgrid/modem"},
        {"GROUP": "dialout", "MODE": "0660"},
        "port",
    )
    others = [usb_port(vendor, model, f"{number:02}") for number in range(7) if f"{number:02}" != ours]
    assert not any(other.links or other.ignored_by_modem_manager for other in others)


def test_a_bluetooth_dongle_on_usb_serial_is_kept_from_modem_manager_as_a_whole() -> None:
    port = usb_port("2fe3", "0004", "00")
    assert (port.links, port.ignored_by_modem_manager) == ({"offgrid/ble"}, "device")
    whole = judged({"SUBSYSTEM": "usb", "DEVTYPE": "usb_device", "ID_VENDOR_ID": "2fe3"})
    assert whole.ignored_by_modem_manager == "device"


@pytest.mark.parametrize(
    ("properties", "group"),
    [
        ({"SUBSYSTEM": "spidev", "KERNEL": "spidev0.0"}, "spi"),
        ({"SUBSYSTEM": "gpio", "KERNEL": "gpiochip4"}, "gpio"),
        ({"SUBSYSTEM": "tty", "KERNEL": "ttyAMA0"}, "dialout"),
        ({"SUBSYSTEM": "usb", "DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":e00101:fe0101:"}, "dialout"),
    ],
)
def test_the_services_groups_may_open_its_devices(properties: Mapping[str, str], group: str) -> None:
    assert judged(properties).set == {"GROUP": group, "MODE": "0660"}


def test_a_device_of_somebody_else_is_left_alone() -> None:
    for properties in (
        {"SUBSYSTEM": "tty", "KERNEL": "ttyUSB0", "ID_VENDOR_ID": "0403", "ID_MODEL_ID": "6001"},
        {"SUBSYSTEM": "tty", "KERNEL": "ttyAMA0", "ACTION": "remove"},
        {"SUBSYSTEM": "usb", "DEVTYPE": "usb_device", "ID_USB_INTERFACES": ":080650:"},
    ):
        device = judged(properties)
        assert (device.links, device.set, device.ignored_by_modem_manager) == (set(), {}, "")
