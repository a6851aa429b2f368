"""What a person may set for the Bluetooth radio, checked before anything is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from drivers.ble.transfer import TransferLimits
from drivers.errors import DriverConfigError
from drivers.transport.hci import check_address

NAME_PREFIX = "OFFGRID_"
MAX_ID = 20  # with the prefix and a header it just fits the scan response's 31 bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BleSettings:
    """``controller``: its address, see :mod:`drivers.transport.hci`. ``id``: the gateway's, in the name.

    ``max_links``: phones at once; a dongle carries 7 to 16. ``max_gateways``: links to other gateways.
    ``queue``: messages that may wait for the gateway. ``max_message_bytes`` of one message.
    ``idle_timeout_s``: a link without progress is closed. Per address: ``peer_messages_per_minute`` and
    ``peer_bytes_per_minute``, a minute's worth at once; ``ban_s``: how long one closed for misconduct stays
    out. ``watchdog_s``: how often the controller is asked for a sign of life.
    """

    controller: str
    id: str = "gateway"
    max_links: int = 8
    max_gateways: int = 2
    queue: int = 256
    max_message_bytes: int = 4 << 20
    idle_timeout_s: float = 30.0
    peer_messages_per_minute: int = 240
    peer_bytes_per_minute: int = 16 << 20
    ban_s: float = 60.0
    watchdog_s: float = 10.0

    @property
    def name(self) -> str:
        return NAME_PREFIX + self.id

    @property
    def transfers(self) -> TransferLimits:
        return TransferLimits(max_message_bytes=self.max_message_bytes)

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> BleSettings:
        """Raises :class:`DriverConfigError` that names the setting, what was seen and what is allowed."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise DriverConfigError(
                f"unknown setting {unknown[0]!r}", fix=f"use one of {', '.join(sorted(known))}"
            )
        controller = settings.get("controller")
        if not isinstance(controller, str):
            raise DriverConfigError(
                "no Bluetooth controller is named",
                fix="set controller, such as serial:/dev/serial/by-id/NAME,1000000,rtscts",
            )
        check_address(controller)
        checked = {name: _number(settings, name, low, high) for name, (low, high) in RANGES.items()}
        return cls(controller=controller, id=_id(settings.get("id", DEFAULTS["id"])), **checked)


RANGES: Mapping[str, tuple[int, int]] = {
    "max_links": (1, 64),
    "max_gateways": (0, 8),
    "queue": (1, 65_536),
    "max_message_bytes": (1024, 1 << 23),
    "idle_timeout_s": (1, 3600),
    "peer_messages_per_minute": (1, 100_000),
    "peer_bytes_per_minute": (1024, 1 << 30),
    "ban_s": (0, 86_400),
    "watchdog_s": (1, 3600),
}
SECONDS = frozenset({"idle_timeout_s", "ban_s", "watchdog_s"})
DEFAULTS: Mapping[str, Any] = {field.name: field.default for field in fields(BleSettings)}


def _number(settings: Mapping[str, Any], name: str, low: int, high: int) -> Any:
    value = settings.get(name, DEFAULTS[name])
    kinds = int | float if name in SECONDS else int
    if isinstance(value, bool) or not isinstance(value, kinds) or not low <= value <= high:
        kind = "seconds" if name in SECONDS else "a whole number"
        raise DriverConfigError(f"{name} is {value!r}", fix=f"give {kind} from {low} to {high}")
    return value


def _id(value: object) -> str:
    if isinstance(value, str) and 0 < len(value) <= MAX_ID and value.isascii() and value.isprintable():
        return value
    raise DriverConfigError(
        f"id is {value!r}", fix=f"give 1 to {MAX_ID} printable ASCII characters: it stands in the device name"
    )
