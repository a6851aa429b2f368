"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.hints import remember

DEFAULT_CONFIG = Path("/etc/offgrid/config.yml")

config_option = click.option(
    "--config",
    "-c",
    "config_path",
    type=click.Path(path_type=Path),
    default=DEFAULT_CONFIG,
    show_default=True,
    envvar="OFFGRID_CONFIG",
    show_envvar=True,
    callback=remember,
    help="The configuration file.",
)

socket_option = click.option(
    "--socket",
    "socket_path",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The control socket; without it, the one in the configuration's runtime_dir.",
)
