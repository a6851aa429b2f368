"""``first-boot``: a flashed card sets itself up from a file on its boot partition, once.

What a cut leaves behind, step by step: the claim (which file is being used) is written first, so that the
same file goes on where it stopped and another one is refused; ``init`` leaves alone what is there; the token
is on disk for the registration before it is removed from the card; the card's file is renamed last.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import click
import yaml

from gateway.cli.access_point import open_access_point
from gateway.cli.options import config_option
from gateway.config import load
from gateway.config.card import Card, read_card
from gateway.errors import CommandError, ConfigError, GatewayError
from gateway.keys import durable, load_identity

PLACES = (Path("/boot/firmware/offgrid.yml"), Path("/boot/offgrid.yml"))
ERRORS, READY = "offgrid-errors.txt", "offgrid-ready.txt"
CLAIM, TOKEN = "first-boot", "enrolment.token"


@click.command("first-boot")
@config_option
@click.argument("card", required=False, type=click.Path(path_type=Path, dir_okay=False))
def command(config_path: Path, card: Path | None) -> None:
    """Set this gateway up from CARD (default: offgrid.yml on the boot partition).

    What is wrong with it is written beside it, into offgrid-errors.txt, and tried again at the next boot. The
    token is removed once it is kept for the registration; afterwards the file is offgrid-done.yml.
    """
    card = card or next((place for place in PLACES if place.exists()), None)
    if card is None:
        raise CommandError(f"no {PLACES[0]}; nothing to set up from")
    try:
        said = _set_up(card, config_path)
    except (GatewayError, click.UsageError) as error:
        _tell(card, ERRORS, _explanation(card, error))
        raise
    card.with_name(ERRORS).unlink(missing_ok=True)
    _tell(card, READY, said)
    click.echo(said)


def _set_up(path: Path, config_path: Path) -> str:
    card = read_card(path)
    _claim(path, card, config_path)
    _init(card, config_path)
    lines = []
    if card.access_point is not None:
        lines.append(open_access_point(card.access_point))
    if card.token is not None:
        _keep_token(config_path.with_name(TOKEN), card.token)
        lines.append("it registers with the coordinator as soon as a network is there")
    security = load(config_path).security
    key = load_identity(security.private_key_path, security.certificate_path).registration_key_base64
    _retire(path, card)
    return "\n".join([f"{card.id} is set up; its public key is {key}", *lines])


def _claim(path: Path, card: Card, config_path: Path) -> None:
    """Raises CommandError where the gateway was set up already, by another file or by hand."""
    digest = hashlib.sha256(card.model_dump_json(exclude={"token", "access_point"}).encode()).hexdigest()
    claim = config_path.with_name(CLAIM)
    if config_path.exists() and not (claim.exists() and claim.read_text().strip() == digest):
        raise CommandError(
            f"this gateway is set up already: {config_path} is there, and is left as it is; "
            f"remove {path.name} from the boot partition, or, to set it up anew: sudo rm {config_path}"
        )
    try:
        config_path.parent.mkdir(parents=True, exist_ok=True)
        durable.replace(claim, f"{digest}\n".encode(), mode=0o644)
    except OSError as error:
        raise CommandError(f"{claim}: cannot be written: {error.strerror}; use sudo") from error


def _init(card: Card, config_path: Path) -> None:
    from gateway.cli import init

    place = card.place
    click.get_current_context().invoke(
        init.command,
        config_path=config_path,
        token_file=None,
        allow_insecure=card.allow_insecure,
        region=card.region,
        gateway_id=card.id,
        place=f"{place.lat},{place.lon},{place.name}",
        coordinator=card.coordinator,
        radios=card.radios,
    )


def _keep_token(path: Path, token: str) -> None:
    path.unlink(missing_ok=True)
    durable.create(path, f"{token}\n".encode(), mode=0o600)


def _retire(path: Path, card: Card) -> None:
    """Written over where it stands, without its secrets: FAT leaves a replaced file's bytes on the card."""
    shown = card.model_dump(exclude={"token", "access_point"})
    content = ("# used; secrets were removed\n" + yaml.safe_dump(shown, sort_keys=False)).encode()
    with path.open("r+b") as file:
        file.write(content.ljust(path.stat().st_size, b"\n"))
        file.flush()
        os.fsync(file.fileno())
    path.rename(path.with_name("offgrid-done.yml"))


def _explanation(card: Path, error: Exception) -> str:
    said = error.format_message() if isinstance(error, click.UsageError) else str(error)
    problems = [str(problem) for problem in error.problems] if isinstance(error, ConfigError) else [said]
    return "\n".join([f"{card.name} was not taken:", *problems, "Mend it and switch the gateway on again."])


def _tell(card: Path, name: str, text: str) -> None:
    """For somebody who takes the card out and puts it into another machine: FAT, and Windows' line ends."""
    try:
        with card.with_name(name).open("w", encoding="utf-8", newline="\r\n") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as failure:
        click.echo(f"{card.with_name(name)}: cannot be written: {failure.strerror}", err=True)
