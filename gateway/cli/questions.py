"""What ``init`` asks: five questions, each only where no option has answered it, and how answers are read."""

from __future__ import annotations

import asyncio
import re
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import click

from drivers.base import Locator
from drivers.errors import DriverError
from drivers.registry import load_driver
from gateway.config.explained import Answers
from gateway.services.doctor import Host
from gateway.services.doctor.discovery import Found, look_around
from gateway.systemclock import SystemClock

BANDS = {
    "EU868": (868, "EU868"),
    "US915": (915, "US915"),
    "868": (868, None),
    "915": (915, None),
    "none": (None, None),
}
FIX_WITHIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Question:
    """Asked only where no option has answered; ``default`` is offered."""

    option: str
    words: str
    default: str | None = None


def answers(host: Host, given: Mapping[str, str | None], *, allow_insecure: bool) -> Answers:
    """From options and from whoever sits at the terminal. Raises UsageError where neither says it."""
    found = look_around(host)
    seen = ", ".join(f"{name} {address}".strip() for name, address in found.radios.items() if address)
    questions = (
        Question("region", "LoRa region (EU868, US915; 868 or 915 to listen only; none)"),
        Question("gateway_id", "Id of this gateway", _own_id()),
        Question("place", "Place: LAT,LON,NAME" + (", or gps,NAME" if found.gps else "")),
        Question("coordinator", "Coordinator's address (https://…)"),
        Question("radios", f"Radios (found: {seen or 'none'}; lora alone is a packet forwarder's)", "all"),
    )
    open_ones = [_flag(one) for one in questions if given[one.option] is None]
    if open_ones and not sys.stdin.isatty():
        raise click.UsageError(f"no terminal to ask at; give {', '.join(open_ones)}")
    said = {one.option: _asked(one, given[one.option], found) for one in questions}
    frequency, region = said["region"]
    (latitude, longitude, place), (api_url, ws_url) = said["place"], said["coordinator"]
    return Answers(
        gateway_id=said["gateway_id"],
        latitude_deg=latitude,
        longitude_deg=longitude,
        place=place,
        api_url=api_url,
        ws_url=ws_url,
        frequency=frequency if "lora" in said["radios"] else None,
        region=region,
        allow_insecure=allow_insecure,
        radios=said["radios"],
    )


def _asked(question: Question, given: str | None, found: Found) -> Any:
    """The answer, understood; asked again at a terminal until it is."""
    while True:
        text = given
        if text is None:
            text = str(click.prompt(question.words, default=question.default, err=True))
        try:
            return READERS[question.option](text.strip(), found)
        except ValueError as error:
            if given is not None:
                raise click.UsageError(f"{_flag(question)}: {error}") from None
            click.echo(f"  {error}", err=True)


def _flag(question: Question) -> str:
    return "--" + question.option.removeprefix("gateway_")


def _own_id() -> str:
    """From the machine's name, as far as it is one; a name that all machines have is none."""
    name = re.sub(r"[^a-z0-9_-]+", "_", socket.gethostname().split(".")[0].lower()).strip("_")[:17]
    return "gw_" + (name if name and name not in ("raspberrypi", "localhost") else "1")


def _read_region(text: str, found: Found) -> tuple[int | None, str | None]:
    band = {name.lower(): band for name, band in BANDS.items()}.get(text.lower())
    if band is None:
        raise ValueError(f"one of {', '.join(BANDS)}")
    return band


def _read_id(text: str, found: Found) -> str:
    if not re.fullmatch(r"[a-z0-9_-]{1,20}", text):
        raise ValueError("1 to 20 of the characters a-z, 0-9, '_' and '-'")
    return text


def _read_place(text: str, found: Found) -> tuple[float, float, str]:
    parts = [part.strip() for part in text.split(",", 2)]
    if parts[0].lower() == "gps":
        if found.gps is None:
            raise ValueError("no GPS receiver is found; give LAT,LON,NAME")
        latitude, longitude = asyncio.run(_fix(found.gps))
        return latitude, longitude, ", ".join(parts[1:]) or "unnamed"
    try:
        latitude, longitude, name = float(parts[0]), float(parts[1]), parts[2]
    except (ValueError, IndexError):
        raise ValueError("such as 48.2082,16.3738,Vienna market") from None
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180 and 0 < len(name) <= 80):
        raise ValueError("degrees from -90 to 90 and -180 to 180, then a name of at most 80 characters")
    return latitude, longitude, name


async def _fix(address: str) -> tuple[float, float]:
    """The receiver's own position. Raises ValueError where it has none in time."""
    click.echo(f"  asking {address}, for a minute at most ...", err=True)
    gps = load_driver("gps")("gps", {"address": address, "baud": 9600}, clock=SystemClock())
    assert isinstance(gps, Locator)  # noqa: S101 - our own
    try:
        async with asyncio.timeout(FIX_WITHIN_S), gps:
            async for fix in gps.fixes():
                if fix.latitude_deg is not None and fix.longitude_deg is not None:
                    return round(fix.latitude_deg, 5), round(fix.longitude_deg, 5)
    except (DriverError, TimeoutError) as error:
        why = str(error) or "no fix in time"
        raise ValueError(f"no position ({why}); give LAT,LON,NAME") from None
    raise ValueError("no position; give LAT,LON,NAME")


def _read_coordinator(text: str, found: Found) -> tuple[str, str]:
    api, _, own = text.partition(" ")
    address = urlsplit(api)
    if address.scheme not in ("https", "http") or not address.hostname:
        raise ValueError("https://HOST, or two addresses: https://HOST wss://HOST")
    api = api.rstrip("/")
    return api, own.strip() or re.sub("^http", "ws", api)


def _read_radios(text: str, found: Found) -> dict[str, str]:
    """Sections with addresses; what is named and not found is refused, but LoRa by a packet forwarder."""
    if text.lower() == "none":
        return {}
    if text.lower() == "all":
        return dict(found.radios)
    names = [name.strip().lower() for name in text.split(",")]
    for name in names:
        if name not in found.radios:
            raise ValueError(f"no {name!r} here; found: {', '.join(found.radios)}")
    return {name: found.radios[name] for name in names}


READERS: Mapping[str, Callable[[str, Found], Any]] = {
    "region": _read_region,
    "gateway_id": _read_id,
    "place": _read_place,
    "coordinator": _read_coordinator,
    "radios": _read_radios,
}
