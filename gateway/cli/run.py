"""``run``: the daemon, in the foreground; systemd or a terminal is above it."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.cli.options import config_option


@click.command("run")
@config_option
def command(config_path: Path) -> None:
    """Run the gateway until SIGTERM or Ctrl-C; SIGHUP reads the configuration again.

    Exits with 0 when it was told to stop, 1 when it cannot go on, 2 when the configuration is wrong.
    """
    from gateway.app import main

    main(config_path)
