"""What could be a radio on this machine: SPI, serial ports by lasting names, Bluetooth dongles."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass

from gateway.services.doctor.host import Host

SPI = "/dev/spidev0.0"
# Names that our udev rules give, then what the makers call themselves under /dev/serial/by-id.
GPS = ("/dev/offgrid/gps", re.compile(r"u-?blox|GPS|GNSS", re.IGNORECASE))
MODEM = ("/dev/offgrid/modem", re.compile(r"Quectel|SIMCom|SimTech|Huawei|Sierra|ZTE|Telit", re.IGNORECASE))
DONGLE = ("/dev/offgrid/ble", re.compile(r"Zephyr|HCI|Nordic_Semiconductor", re.IGNORECASE))
BLUETOOTH_CLASS = "e0"  # USB-IF class code: wireless controller


@dataclass(frozen=True, slots=True)
class Found:
    """Addresses as the configuration takes them; None: nothing that looks like one."""

    spi: str | None = None
    gps: str | None = None
    modem: str | None = None
    controller: str | None = None

    @property
    def radios(self) -> dict[str, str]:
        """By the name of their section; without a concentrator, LoRa is a packet forwarder's."""
        named = {"lora": self.spi or "", "ble": self.controller, "gsm": self.modem, "gps": self.gps}
        return {name: address for name, address in named.items() if address is not None}


def look_around(host: Host) -> Found:
    """Nothing is opened: a port that is opened may reset what is behind it."""
    return Found(
        spi=SPI if host.exists(SPI) else None,
        gps=_serial(host, *GPS) or _header_uart(host),
        modem=_serial(host, *MODEM),
        controller=_controller(host),
    )


def _serial(host: Host, ours: str, maker: re.Pattern[str]) -> str | None:
    if host.exists(ours):
        return ours
    names = host.names("/dev/serial/by-id/*")
    return next((name for name in names if maker.search(name.rsplit("/", 1)[1])), None)


def _header_uart(host: Host) -> str | None:
    """Where a RAK2245 has its receiver; a UART alone is no sign of one."""
    return "/dev/ttyAMA0" if host.exists(SPI) and host.exists("/dev/ttyAMA0") else None


def _controller(host: Host) -> str | None:
    if importlib.util.find_spec("bumble") is None:
        return None
    dongle = _serial(host, *DONGLE)
    if dongle is not None:
        return f"serial:{dongle},1000000,rtscts"
    for name in host.names("/sys/bus/usb/devices/*/bDeviceClass"):
        if host.read(name) == BLUETOOTH_CLASS:
            return f"usb:{name.split('/')[-2]}"
    return None
