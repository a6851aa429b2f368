"""``reload``, ``restart`` and ``sync``: a word to the running daemon."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.options import config_option
from gateway.cli.running import ask
from gateway.config import load
from gateway.errors import CommandError


@click.command("reload")
@config_option
def reload(config_path: Path) -> None:
    """Have the running gateway read its configuration again; says what was taken and what waits.

    Exits with 1 if the configuration is wrong; the gateway then goes on with the one it has.
    """
    answer = ask(load(config_path).control_socket, "reload")
    if answer["problems"]:
        raise CommandError("\n".join(["not taken:", *answer["problems"]]))
    click.echo(f"taken: {', '.join(answer['taken']) or 'nothing has changed'}")
    if answer["waiting"]:
        click.echo(f"needs a restart: {', '.join(answer['waiting'])}")


@click.command("restart")
@config_option
@click.argument("service")
def restart(config_path: Path, service: str) -> None:
    """Run one SERVICE of the running gateway anew, such as a radio that was halted and is mended."""
    ask(load(config_path).control_socket, "restart", {"service": service})


@click.command("sync")
@config_option
def sync(config_path: Path) -> None:
    """Try the coordinator at once, whatever the backoff says."""
    ask(load(config_path).control_socket, "sync")
