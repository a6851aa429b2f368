"""Driver name → class, imported on demand; third parties add theirs by entry point.

A driver package registers under the entry-point group ``offgrid_gateway.drivers``::

    [project.entry-points."offgrid_gateway.drivers"]
    lora_acme = "acme_radio.driver:AcmeDriver"

The class is built as ``DriverClass(name, settings, clock=clock)`` where ``name`` is the configured name
of the radio, ``settings`` the plain mapping under it, and ``clock`` a :class:`drivers.base.Clock`; it
raises :class:`drivers.errors.DriverConfigError` for settings it cannot use.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any, Protocol

from drivers.base import Clock, Driver
from drivers.errors import DriverConfigError

GROUP = "offgrid_gateway.drivers"

BUILT_IN: Mapping[str, str] = {
    "ble": "drivers.ble:BleDriver",
    "gps": "drivers.gps:GpsDriver",
    "gsm_at": "drivers.gsm_at:GsmDriver",
    "lora_gwmp": "drivers.lora_gwmp:GwmpDriver",
    "lora_sx1301": "drivers.lora_sx1301:Sx1301Driver",
}


EXTRAS: Mapping[str, str] = {"ble": "ble", "lora_sx1301": "pi"}
"""Of the built-in drivers that need more than the gateway itself: what installs it."""


class DriverFactory(Protocol):
    """A driver class, as the registry hands it out."""

    def __call__(self, name: str, settings: Mapping[str, Any], *, clock: Clock) -> Driver: ...


def known_drivers() -> list[str]:
    """All names that :func:`load_driver` accepts, built in or installed, sorted."""
    return sorted({*BUILT_IN, *(point.name for point in entry_points(group=GROUP))})


def load_driver(name: str) -> DriverFactory:
    """Import and return the class registered as ``name``.

    Built-in names win over entry points, so that no package can take a name over silently.
    Raises :class:`DriverConfigError` when the name is unknown or its module cannot be imported.
    """
    target = BUILT_IN.get(name)
    if target is None:
        target = next((point.value for point in entry_points(group=GROUP) if point.name == name), None)
    if target is None:
        raise DriverConfigError(f"no driver named {name!r}", fix=f"use one of {', '.join(known_drivers())}")
    module_name, _, class_name = target.partition(":")
    try:
        module = importlib.import_module(module_name)
        factory: DriverFactory = getattr(module, class_name)
    except (ImportError, AttributeError) as error:
        fix = "correct its entry point, or install what it needs"
        if name in EXTRAS:
            fix = f"install the extra it needs: pip install 'offgrid-gateway[{EXTRAS[name]}]'"
        raise DriverConfigError(f"driver {name!r} cannot be loaded: {error}", fix=fix) from error
    return factory
