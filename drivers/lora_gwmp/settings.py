"""What a person may set for a GWMP radio, checked before anything is opened."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from drivers.errors import DriverConfigError

DEFAULT_PORT = 1700


@dataclass(frozen=True, slots=True, kw_only=True)
class GwmpSettings:
    """``host`` and ``port`` to listen on (UDP).

    ``forwarders``: EUIs that may speak, as 16 hex digits; empty lets anyone, for the protocol authenticates
    nobody. Name them where ``host`` is not loopback. ``max_forwarders``: how many are remembered at once.
    ``queue``: frames that may wait for the gateway. ``tx_ack_timeout_s``: how long a TX_ACK is awaited.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    forwarders: frozenset[bytes] = frozenset()
    max_forwarders: int = 16
    queue: int = 1024
    tx_ack_timeout_s: float = 2.0

    @classmethod
    def from_mapping(cls, settings: Mapping[str, Any]) -> GwmpSettings:
        """Raises :class:`DriverConfigError` that names the setting, what was seen and what is allowed."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(settings) - known):
            raise DriverConfigError(
                f"unknown setting {unknown[0]!r}", fix=f"use one of {', '.join(sorted(known))}"
            )
        default = cls()
        return cls(
            host=_address(settings.get("host", default.host)),
            port=_whole(settings, "port", 0, 65535, default.port),
            forwarders=_euis(settings.get("forwarders", ())),
            max_forwarders=_whole(settings, "max_forwarders", 1, 256, default.max_forwarders),
            queue=_whole(settings, "queue", 1, 65536, default.queue),
            tx_ack_timeout_s=_seconds(settings.get("tx_ack_timeout_s", default.tx_ack_timeout_s)),
        )


def _address(host: object) -> str:
    try:
        return str(ipaddress.ip_address(str(host)))
    except ValueError as error:
        raise DriverConfigError(
            f"host is {host!r}", fix="give an IP address to listen on, such as 0.0.0.0"
        ) from error


def _whole(settings: Mapping[str, Any], name: str, low: int, high: int, default: int) -> int:
    value = settings.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise DriverConfigError(f"{name} is {value!r}", fix=f"give a whole number from {low} to {high}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0.1 <= value <= 10:
        raise DriverConfigError(f"tx_ack_timeout_s is {value!r}", fix="give seconds from 0.1 to 10")
    return float(value)


def _euis(euis: object) -> frozenset[bytes]:
    if not isinstance(euis, Sequence | set | frozenset) or isinstance(euis, str | bytes):
        raise DriverConfigError(f"forwarders is {euis!r}", fix="give a list of EUIs, 16 hex digits each")
    return frozenset(_eui(eui) for eui in euis)


def _eui(eui: object) -> bytes:
    try:
        raw = bytes.fromhex(str(eui).replace(":", "").replace("-", ""))
    except ValueError:
        raw = b""
    if len(raw) != 8:
        raise DriverConfigError(f"forwarder EUI {eui!r}", fix="give 16 hex digits, such as b827ebfffe010203")
    return raw
