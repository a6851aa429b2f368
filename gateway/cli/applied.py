"""``applied``: what the coordinator applied over the configuration file, and a way to be rid of it."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.app.starting import write
from gateway.cli.options import config_option
from gateway.config import applied, applied_beside


@click.command("applied")
@config_option
@click.option("--drop", is_flag=True, help="Take it away: the configuration file alone holds.")
def command(config_path: Path, drop: bool) -> None:
    """What the coordinator applied over the configuration file, and how it went.

    Whatever of it is in force wins over the file. After --drop: offgrid-gateway reload, or a restart.
    """
    path = applied_beside(config_path)
    now = applied.read(path)
    if drop:
        write(path, now.dropped())
        click.echo(f"{path}: dropped; the file alone holds after: offgrid-gateway reload, or a restart")
        return
    click.echo(now.last or "the coordinator has applied nothing")
    if now.in_force:
        click.echo(json.dumps(now.in_force, indent=2))
