"""Configuration: YAML → frozen, typed values; errors with file, line and path."""

from __future__ import annotations

from gateway.config.fields import Section
from gateway.config.load import CONCENTRATOR, RadioSetup, concentrator_settings, gps_setup, load, radio_setups
from gateway.config.model import (
    Ble,
    Config,
    DeviceLimits,
    Gateway,
    Gps,
    Http,
    Limits,
    Location,
    Logging,
    Lora,
    Metrics,
    Network,
    PeerLimits,
    Radio,
    RadioLimits,
    Security,
    Storage,
    Sync,
    Tls,
)

__all__ = [
    "CONCENTRATOR",
    "Ble",
    "Config",
    "DeviceLimits",
    "Gateway",
    "Gps",
    "Http",
    "Limits",
    "Location",
    "Logging",
    "Lora",
    "Metrics",
    "Network",
    "PeerLimits",
    "Radio",
    "RadioLimits",
    "RadioSetup",
    "Section",
    "Security",
    "Storage",
    "Sync",
    "Tls",
    "concentrator_settings",
    "gps_setup",
    "load",
    "radio_setups",
]
