"""``support-bundle``: one archive for whoever helps from afar, without secrets."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import click

from gateway.app.examine import patient_at
from gateway.app.support import write_bundle
from gateway.cli.doctor import status_or_none
from gateway.cli.options import config_option, socket_option
from gateway.cli.running import socket_at
from gateway.errors import CommandError


@click.command("support-bundle")
@config_option
@socket_option
@click.option("--output", "-o", type=click.Path(path_type=Path), help="The file to make; never written over.")
def command(config_path: Path, socket_path: Path | None, output: Path | None) -> None:
    """Gather what somebody far away needs: doctor, status, configuration, logs, versions, devices.

    Tokens, keys, PINs, passphrases and telephone numbers are taken out, and of the database only its size
    goes in. The gateway may run or not. Look through it before you send it.
    """
    patient = patient_at(config_path, status_or_none(socket_at(config_path, socket_path)))
    path = output or _own_name("" if patient.config is None else patient.config.gateway.id)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise CommandError(f"{path}: cannot be made: {error.strerror}; name another with --output") from error
    with open(descriptor, "wb") as out:
        names = write_bundle(patient, out)
    click.echo(
        f"{path}: {len(names)} files, {path.stat().st_size >> 10} KiB; look through it: tar -tvzf {path}"
    )


def _own_name(gateway_id: str) -> Path:
    moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    return Path(f"offgrid-support-{gateway_id or 'unknown'}-{moment}.tar.gz")
