"""``init``: from nothing to a gateway that can be started: answers, a file, keys, registration, doctor."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import click

from gateway.app.examine import patient_at
from gateway.cli import doctor
from gateway.cli.hints import completed
from gateway.cli.options import config_option
from gateway.cli.questions import BANDS, answers
from gateway.cli.register import enrol, stored_token
from gateway.config import Config, load
from gateway.config.explained import SYSTEM_FOLDER, explained
from gateway.errors import CommandError, ConfigError, GatewayError
from gateway.keys import Owner, durable, is_handed_over
from gateway.services.doctor import Finding, Host, examine
from gateway.systemclock import SystemClock

MODE = 0o640  # a PIN may come to stand in it
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
        said = answers(host, given, allow_insecure=allow_insecure)
        _write(config_path, explained(said, config_path.parent.absolute()), host)
    config = load(config_path, clock=SystemClock())
    _make(config, host)
    failed = _register(config, token_file)
    _say_what_is_off(config)
    click.echo("\nWhat is there, what is missing:")
    findings = examine(
        patient_at(config_path, doctor.status_or_none(config.control_socket), host), told=_tell_faults
    )
    click.echo(doctor.summary([finding for finding in findings if finding.name != NEVER_RAN]))
    click.echo(completed("then start it: sudo systemctl start offgrid-gateway, or: offgrid-gateway run"))
    if failed:
        raise failed


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
    keys_owner = Owner() if is_handed_over(security.private_key_path) else owner
    made = make_keys(security.private_key_path, security.certificate_path, config.gateway.id, keys_owner)
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
