"""``bundle``: verify a bundle by itself; list what is carried for others."""

from __future__ import annotations

import json
from pathlib import Path

import click

from gateway.cli.freight import Progress
from gateway.cli.options import config_option
from gateway.cli.running import ask
from gateway.config import load
from gateway.services.carrying import verify_file


@click.group("bundle")
def command() -> None:
    """Bundles: signed files with a stretch of a gateway's log."""


@command.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Verify all of FILE: no gateway and no network is needed. Exits with 1 and the place where it fails."""
    manifest = verify_file(file, Progress(file.name, 1))
    click.echo(f"{file}: whole: leaves {manifest.start} to {manifest.size} of {manifest.origin}")
    click.echo(f"signed by key {manifest.key.hex()}")
    click.echo(f"{manifest.length} bytes in {len(manifest.chunks)} chunks, id {manifest.content_id.hex()}")
    click.echo("whether that key is the gateway's own is known to the coordinator it is registered with")


@command.command("list")
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def listed(config_path: Path, as_json: bool) -> None:
    """What the running gateway carries for others."""
    found = ask(load(config_path).control_socket, "carry.list")
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found["bundles"]:
        click.echo(
            f"{one['id'][:16]}  {one['origin']:<32} {one['start']}-{one['size']}  {one['bytes']} bytes"
        )
    for one in found["acks"]:
        click.echo(f"ack               {one['origin']:<32} {one['size']}")
    if not found["bundles"] and not found["acks"]:
        click.echo("nothing is carried")
