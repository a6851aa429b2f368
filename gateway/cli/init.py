"""``init``: from nothing to a gateway that can be started: answers, a file, keys, registration, doctor."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import socket
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from drivers.base import Locator
from drivers.errors import DriverError
from drivers.registry import load_driver
from gateway.app.examine import patient_at
from gateway.cli import doctor
from gateway.cli.hints import completed
from gateway.cli.options import config_option
from gateway.cli.register import enrol, stored_token
from gateway.config import Config, load
from gateway.config.explained import SYSTEM_FOLDER, Answers, explained
from gateway.errors import CommandError, ConfigError, GatewayError
from gateway.keys import Owner, durable
from gateway.services.doctor import Finding, Host, examine
from gateway.services.doctor.discovery import Found, look_around
from gateway.systemclock import SystemClock

BANDS = {
    "EU868": (868, "EU868"),
    "US915": (915, "US915"),
    "868": (868, None),
    "915": (915, None),
    "none": (None, None),
}
MODE = 0o640  # a PIN may come to stand in it
FIX_WITHIN_S = 60.0
NEVER_RAN = "gateway"
"""The check that would say so of what nobody has started yet."""


@click.command("init")
@config_option
@click.option(
    "--region", type=click.Choice(list(BANDS)), help="868, 915: listen and never send. none: no LoRa."
)
@click.option("--id", "gateway_id", help="1 to 20 of a-z 0-9 _ -.")
@click.option(
    "--place", metavar="LAT,LON,NAME", help="Degrees and a name for people; gps,NAME: ask the receiver."
)
@click.option(
    "--coordinator", metavar="URL", help="https://HOST; a second one, after a blank, for the WebSocket."
)
@click.option("--radios", metavar="NAMES", help="Of lora,ble,gsm,gps; all: what is found; none.")
@click.option(
    "--token-file", type=click.Path(path_type=Path, dir_okay=False), help="Register too, with this token."
)
@click.option("--allow-insecure", is_flag=True, help="Allow http:// to another machine.")
def command(config_path: Path, token_file: Path | None, allow_insecure: bool, **given: str | None) -> None:
    """Set a gateway up: asks five things at most, writes an explained configuration, makes the keys.

    What is there already stays as it is: run again, it goes on where it stopped. Every answer can be given
    as an option; without a terminal all of them must be. In /etc/offgrid the system's folders are used;
    anywhere else everything stands beside the file.
    """
    host = Host()
    if config_path.exists():
        click.echo(f"{config_path}: was there, left as it is")
    else:
        _write(
            config_path, explained(_answers(host, given, allow_insecure), config_path.parent.absolute()), host
        )
    config = load(config_path, clock=SystemClock())
    _make(config, host)
    failed = _register(config, token_file)
    _say_what_is_off(config)
    click.echo("\nWhat is there, what is missing:")
    findings = examine(patient_at(config_path, None, host), told=_tell_faults)
    click.echo(doctor.summary([finding for finding in findings if finding.name != NEVER_RAN]))
    click.echo(completed("then start it: sudo systemctl start offgrid-gateway, or: offgrid-gateway run"))
    if failed:
        raise failed


@dataclass(frozen=True, slots=True)
class Question:
    """Asked only where no option has answered; ``default`` is offered."""

    option: str
    words: str
    default: str | None = None


def _answers(host: Host, given: dict[str, str | None], allow_insecure: bool) -> Answers:
    found = look_around(host)
    seen = ", ".join(f"{name} {address}".strip() for name, address in found.radios.items() if address)
    questions = (
        Question("region", "LoRa region (EU868, US915; 868 or 915 to listen only; none)"),
        Question("gateway_id", "Id of this gateway", _own_id()),
        Question("place", "Place: LAT,LON,NAME" + (", or gps,NAME" if found.gps else "")),
        Question("coordinator", "Coordinator's address (https://…)"),
        Question("radios", f"Radios (found: {seen or 'none'}; lora alone is a packet forwarder's)", "all"),
    )
    if missing := [one.option for one in questions if given[one.option] is None and not sys.stdin.isatty()]:
        options = ", ".join("--" + name.replace("gateway_", "") for name in missing)
        raise click.UsageError(f"no terminal to ask at; give {options}")
    said: dict[str, Any] = {}
    for question in questions:
        said[question.option] = _asked(question, given[question.option], found)
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
                raise click.UsageError(f"--{question.option.replace('gateway_', '')}: {error}") from None
            click.echo(f"  {error}", err=True)


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


def _write(path: Path, text: str, host: Host) -> None:
    """Judged before anything stands at ``path``; never over what is there."""
    draft = path.with_name(f".{path.name}.draft")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text)
        load(draft, clock=SystemClock())
        durable.create(path, text.encode(), mode=MODE, owner=_owner(path, host))
    except OSError as error:
        raise CommandError(
            f"{path}: cannot be written: {error.strerror}; use sudo, or --config FILE"
        ) from error
    except ConfigError as error:
        raise CommandError(
            "\n".join(["not written:", *(problem.message for problem in error.problems)])
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    click.echo(f"{path}: written")


def _owner(path: Path, host: Host) -> Owner:
    """The service's user for what stands in the system's folder, where there is such a user."""
    if os.geteuid() != 0 or path.parent.absolute() != SYSTEM_FOLDER or host.account.uid == 0:
        return Owner()
    return Owner(host.account.uid, pwd.getpwuid(host.account.uid).pw_gid)


def _make(config: Config, host: Host) -> None:
    """Keys and folders; what is there stays."""
    from gateway.keys.generate import make_keys

    security = config.security
    owner = _owner(security.private_key_path, host)
    for folder in (config.storage.path.parent, config.runtime_dir):
        if not folder.exists():
            _folder(folder, owner)
    made = make_keys(security.private_key_path, security.certificate_path, config.gateway.id, owner)
    for path in (security.private_key_path, security.certificate_path):
        click.echo(f"{path}: {'made' if path in made.new_files else 'was there, left as it is'}")


def _folder(folder: Path, owner: Owner) -> None:
    try:
        folder.mkdir(parents=True, mode=0o750)
        os.chown(folder, owner.uid, owner.gid)
    except OSError as error:
        raise CommandError(f"{folder}: cannot be made: {error.strerror}; use sudo") from error


def _register(config: Config, token_file: Path | None) -> GatewayError | None:
    """What went wrong with it, for the end: the rest is worth doing all the same."""
    if token_file is None:
        if config.network.coordinator_key is None and not config.storage.pin_path.exists():
            click.echo(
                completed(
                    "register it with the token of the coordinator's operator: offgrid-gateway register"
                )
            )
        return None
    try:
        enrol(config, stored_token(token_file))
    except GatewayError as error:
        return error
    return None


def _say_what_is_off(config: Config) -> None:
    lora = config.lora
    if lora is not None and lora.driver != "none" and lora.region is None:
        click.echo("lora.region is not set: the gateway listens and NEVER TRANSMITS until it is")


def _tell_faults(finding: Finding) -> None:
    """What is fine needs no line here."""
    if finding.fix and finding.name != NEVER_RAN:
        doctor.tell(finding)
