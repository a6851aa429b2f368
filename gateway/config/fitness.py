"""Which drivers a section of the configuration can take: what is expected of it, and who offers that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.base import Locator, Receiver, Transmitter
from drivers.errors import DriverConfigError
from drivers.registry import DriverFactory, known_drivers, load_driver


@dataclass(frozen=True, slots=True)
class Need:
    """What a driver must be able to do, and how its name begins where that tells such drivers apart."""

    words: str
    capabilities: tuple[type, ...]
    prefix: str = ""

    def met_by(self, name: str, factory: DriverFactory) -> bool:
        """Classes are asked; whatever else builds drivers is believed until it has built one."""
        if not name.startswith(self.prefix):
            return False
        return not isinstance(factory, type) or all(issubclass(factory, one) for one in self.capabilities)


NEEDS: Mapping[str, Need] = {
    "lora": Need("hears and sends LoRa frames", (Receiver, Transmitter), "lora_"),
    "ble": Need("serves phones by Bluetooth", (Receiver, Transmitter), "ble"),
    "gsm": Need("receives and sends text messages", (Receiver, Transmitter), "gsm_"),
    "gps": Need("tells where it is", (Locator,)),
    "radios": Need("receives", (Receiver,)),
}


def unfit(section: str, name: str, factory: DriverFactory) -> str | None:
    """Why the driver is none for this section, with those that are; None where it fits."""
    need = NEEDS[section]
    if need.met_by(name, factory):
        return None
    return f"saw {name!r}, which is no driver that {need.words}; allowed: {fit(section)}"


def fit(section: str) -> str:
    """The drivers that this section can take, in words."""
    names = [one for one in known_drivers() if _fits(NEEDS[section], one)]
    return " or ".join(names) + (", or none for no LoRa radio" if section == "lora" else "")


def _fits(need: Need, name: str) -> bool:
    try:
        return need.met_by(name, load_driver(name))
    except DriverConfigError:  # what it needs is not installed; its name has to do
        return bool(need.prefix) and name.startswith(need.prefix)
