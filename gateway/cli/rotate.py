"""``rotate``: a new certificate for the running gateway, without a restart."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.cli.options import config_option, socket_option
from gateway.cli.running import ask, socket_at

_WITHOUT_END = 9999
"""The year of RFC 5280 4.1.2.5."""


@click.command("rotate")
@config_option
@socket_option
@click.argument("what", type=click.Choice(["certificate"]))
def command(config_path: Path, socket_path: Path | None, what: str) -> None:
    """Put a new certificate for the gateway's key in force; the link to the coordinator is opened again.

    The gateway makes its own. One by an authority is put in the place of the old file first.
    """
    answer = ask(socket_at(config_path, socket_path), "rotate", {"what": what})
    end = answer["notAfter"]
    year = None if end is None else datetime.fromtimestamp(end / 1000, UTC)
    until = (
        ""
        if year is None
        else ", without an end"
        if year.year == _WITHOUT_END
        else f", until {year:%Y-%m-%d}"
    )
    click.echo(f"in force: {answer['certificate']}{until}")
