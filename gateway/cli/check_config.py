"""``check-config``: every problem of a configuration file at once, with line, path and what is allowed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from gateway.cli.hints import completed, remember
from gateway.cli.options import DEFAULT_CONFIG
from gateway.config import Config, load, radio_setups
from gateway.systemclock import SystemClock


@click.command("check-config")
@click.argument(
    "file",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="OFFGRID_CONFIG",
    callback=remember,
)
def command(file: Path) -> None:
    """Judge the configuration FILE (default: /etc/offgrid/config.yml).

    Nothing is opened and nothing is changed; each radio's driver judges its own settings. Prints one
    line a problem, FILE:LINE:COLUMN, and exits with 2 if there is any. What is missing beside a sound file
    (keys, firmware, folders that may be written) is a hint.
    """
    config = load(file, clock=SystemClock())
    click.echo(f"{file}: fine")
    for note in _notes(config):
        click.echo(f"note: {note}")
    for hint in _hints(file, config):
        click.echo(f"hint: {completed(hint)}")


def _notes(config: Config) -> Iterator[str]:
    """What is allowed and may still surprise."""
    radios = ", ".join(f"{setup.name} ({setup.driver})" for setup in radio_setups(config))
    yield f"radios: {radios or 'none'}"
    if config.lora is not None and config.lora.driver != "none" and config.lora.region is None:
        yield "lora.region is not set: the gateway listens and never transmits"
    if config.network.allow_insecure:
        yield "network.allow_insecure is set: what goes to the coordinator can be read on the way"


def _hints(file: Path, config: Config) -> Iterator[str]:
    """What the file names and is not there or not as it must be."""
    from gateway.services.doctor import FILES, Host, Patient, examine

    for finding in examine(Patient(host=Host(), config_path=file, config=config), FILES):
        if finding.fix:
            yield f"{finding.name}: {finding.seen}; {finding.fix}"
