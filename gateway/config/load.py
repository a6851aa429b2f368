"""A configuration file → :class:`Config`, or every problem in it at once."""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from drivers.errors import DriverConfigError
from drivers.registry import known_drivers, load_driver
from gateway.clock import Clock
from gateway.config import explain
from gateway.config.applied import applied_path, in_force, over
from gateway.config.fitness import fit, unfit
from gateway.config.model import CONTROL_SOCKET, DEFAULT_RUNTIME_DIR, Config, Gsm
from gateway.config.source import MAX_BYTES, Location, Source, parse
from gateway.core.applied import Settings
from gateway.errors import ConfigError, Problem

CONCENTRATOR = "lora_sx1301"
BLUETOOTH = "ble"
GPS: Location = ("gps",)
PLANS: Mapping[int, str] = {868: "EU868", 915: "US915"}

_UNREADABLE: Mapping[type[OSError], str] = {
    FileNotFoundError: "no such file; offgrid-gateway init writes one",
    IsADirectoryError: "a folder; name the configuration file in it",
    PermissionError: "may not be read by this user; use sudo, or run it as the gateway's user",
}
_STAND_INS: Mapping[str, Mapping[str, Any]] = {
    "gateway": {"id": "unknown", "location": {"lat": 0.0, "lon": 0.0, "name": "unknown"}, "type": "mesh"},
    "network": {"api_url": "https://unknown.invalid", "ws_url": "wss://unknown.invalid"},
}


@dataclass(frozen=True, slots=True)
class RadioSetup:
    """What it takes to build one driver: ``load_driver(driver)(name, settings, clock=…)``."""

    name: str
    driver: str
    settings: Mapping[str, Any]
    location: Location  # where the configuration speaks of it

    @property
    def path(self) -> str:
        return ".".join(map(str, self.location))


def load(path: Path, *, clock: Clock | None = None, applied: Settings | None = None) -> Config:
    """Read and judge a configuration file; its relative paths count from its own folder.

    What the coordinator applied goes over it: ``applied``, or (None) what is on disk; an empty one: nothing.

    With a ``clock``, each radio's driver is built too (which opens nothing), so that its own settings are
    judged. Raises :class:`ConfigError` with all problems, in file order.
    """
    source = parse(_read(path), str(path))
    source = over(source, in_force(source, path.parent) if applied is None else applied)
    found = list(source.problems)
    config = _validate(source, path.parent, found)
    if clock is not None:
        judged = config or _sound_part(source, path.parent)
        found += [] if judged is None else _driver_problems(judged, source, clock)
    if config is None or found:
        raise ConfigError(sorted(found, key=lambda problem: (problem.line, problem.column)))
    return config


def applied_beside(path: Path) -> Path:
    """Where what the coordinator applied over this file is kept. Raises ConfigError."""
    return applied_path(parse(_read(path), str(path)).values, path.parent)


def radio_setups(config: Config) -> tuple[RadioSetup, ...]:
    """Every radio that a driver serves, ``lora``, ``ble`` and ``gsm`` first."""
    setups = [
        RadioSetup(name, radio.driver, _settings(config, radio.driver, radio.options), ("radios", name))
        for name, radio in config.radios.items()
    ]
    lora, ble, gsm = config.lora, config.ble, config.gsm
    if gsm is not None:
        setups.insert(0, RadioSetup("gsm", gsm.driver, _gsm_settings(config, gsm), ("gsm",)))
    if ble is not None:
        settings = _settings(config, ble.driver, {"controller": ble.controller, **ble.options})
        setups.insert(0, RadioSetup("ble", ble.driver, settings, ("ble",)))
    if lora is not None and lora.driver != "none":
        setups.insert(
            0, RadioSetup("lora", lora.driver, _settings(config, lora.driver, lora.options), ("lora",))
        )
    return tuple(setups)


def control_socket_of(path: Path) -> Path:
    """Where the daemon of this configuration answers, as far as the file can be read; else the default.

    Raises nothing: whoever asks a running daemon how it fares may have broken the file since it started.
    """
    try:
        folder = parse(_read(path), str(path)).values.get("runtime_dir")
    except ConfigError:
        folder = None
    runtime = path.parent / folder if isinstance(folder, str) and folder else DEFAULT_RUNTIME_DIR
    return runtime / CONTROL_SOCKET


def gps_setup(config: Config) -> RadioSetup | None:
    """What it takes to build the GPS driver; None where there is none."""
    gps = config.gps
    if gps is None:
        return None
    return RadioSetup("gps", gps.driver, {"address": gps.address, "baud": gps.baud}, GPS)


def concentrator_settings(config: Config) -> Mapping[str, Any]:
    """What the rest of the configuration says of a concentrator that we drive ourselves.

    The duty cycle is the link's to keep: it outlives the driver, and knows what its last second is worth.
    """
    settings: dict[str, Any] = {"firmware": str(config.storage.firmware_folder), "duty_cycle": False}
    if (lora := config.lora) is not None:
        settings |= {
            "plan": PLANS[lora.frequency],
            "region": lora.region,
            "antenna_gain_dbi": lora.antenna_gain_dbi,
        }
    return settings


def _settings(config: Config, driver: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    """Explicit options go first."""
    if driver == BLUETOOTH:
        return {"id": config.gateway.id, **options}
    return {**concentrator_settings(config), **options} if driver == CONCENTRATOR else options


def _gsm_settings(config: Config, gsm: Gsm) -> Mapping[str, Any]:
    """Explicit options go first, here too."""
    settings: dict[str, Any] = {
        "port": gsm.port,
        "per_minute": gsm.per_minute,
        "per_day": gsm.per_day,
        "may_reset_bearer": gsm.may_reset_bearer,
        "spool": str(config.storage.messages_path),
    }
    if gsm.pin is not None:
        settings["pin"] = gsm.pin
    return {**settings, **gsm.options}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        message = _UNREADABLE.get(type(error), f"cannot be read: {error.strerror}")
        raise ConfigError([Problem(file=str(path), line=0, column=0, path="", message=message)]) from error


def _validate(source: Source, base: Path, found: list[Problem]) -> Config | None:
    # A section whose every line is commented out reads as null and means: all defaults.
    values = {name: value for name, value in source.values.items() if value is not None}
    try:
        return Config.model_validate(values, context={"base": base})
    except ValidationError as error:
        named = {(problem.path, problem.line, problem.column) for problem in found}
        found += [
            problem
            for problem in explain.problems(error, Config, source)
            if (problem.path, problem.line, problem.column) not in named
        ]
        return None


def _sound_part(source: Source, base: Path) -> Config | None:
    """The configuration without what is wrong in it, so that drivers judge the rest; None where too little is
    left. No driver is told more of ``gateway`` and ``network`` than stands in for them."""
    values = {name: copy.deepcopy(value) for name, value in source.values.items() if value is not None}
    for _ in range(2):
        try:
            return Config.model_validate(values, context={"base": base})
        except ValidationError as error:
            for finding in error.errors(include_url=False, include_input=False, include_context=False):
                _take_out(values, tuple(part for part in finding["loc"] if part != "[key]"))
            values |= _STAND_INS
            if "frequency" not in _mapping(values.get("lora", {"frequency": 868})):
                values["lora"] = {"frequency": 868, **_mapping(values["lora"])}
    return None


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _take_out(values: dict[str, Any], location: Location) -> None:
    """A radio whose own driver's name is wrong goes as a whole."""
    if location[-1:] == ("driver",):
        location = location[:-1]
    *way, last = location or ("",)
    for part in way:
        values = _mapping(values.get(str(part)))
    values.pop(str(last), None)


def _driver_problems(config: Config, source: Source, clock: Clock) -> list[Problem]:
    found = []
    gps = gps_setup(config)
    for setup in (*radio_setups(config), *([gps] if gps else [])):
        section, place = str(setup.location[0]), (*setup.location, "driver")
        if setup.driver not in known_drivers():
            found.append(source.problem(place, f"no driver named {setup.driver!r}; allowed: {fit(section)}"))
            continue
        try:
            factory = load_driver(setup.driver)
        except DriverConfigError as error:
            found.append(source.problem(place, str(error)))
            continue
        if words := unfit(section, setup.driver, factory):
            found.append(source.problem(place, words))
            continue
        try:
            factory(setup.name, setup.settings, clock=clock)
        except DriverConfigError as error:
            found.append(source.problem(_blamed(error, source, setup), str(error)))
    return found


def _blamed(error: DriverConfigError, source: Source, setup: RadioSetup) -> Location:
    """The setting that the message speaks of first, if the file has it; else where the options are."""
    section = setup.location
    options = section if section == GPS else (*section, "options")
    words = re.findall(r"\w+", str(error))
    places = [(*where, word) for word in words if word != "driver" for where in (options, section)]
    return next((place for place in places if source.seen(place) != "nothing"), options)
