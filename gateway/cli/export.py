"""``export``: the log as bundles in a folder (a USB stick); the daemon may run or not."""

from __future__ import annotations

import asyncio
import os
from base64 import b64decode
from pathlib import Path
from typing import Any

import click

from gateway.cli.freight import Progress, stopped_desk
from gateway.cli.options import config_option
from gateway.cli.running import LONG_S, NotRunning, ask
from gateway.config import Config, load
from gateway.errors import CommandError


@click.command("export")
@config_option
@click.option("--since", type=click.IntRange(0), help="From this leaf on, whatever is cosigned.")
@click.option("--all", "everything", is_flag=True, help="The whole log.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def command(config_path: Path, since: int | None, everything: bool, folder: Path) -> None:
    """Write bundles to FOLDER: what the coordinator has not cosigned, and what is carried for other gateways.

    A bundle is signed and whole: whoever has it can verify it (bundle verify), and the coordinator takes it
    as it takes a link. Take the stick there, or to any gateway that has a network.
    """
    config = load(config_path)
    wanted = {"since": since, "all": everything}
    try:
        paths = _fetched(config, folder, wanted)
    except NotRunning:
        paths = asyncio.run(_made(config, folder, since, everything))
    for path in paths:
        click.echo(f"{path}  {path.stat().st_size} bytes")
    if not paths:
        click.echo("nothing to export: the coordinator has cosigned all of the log (--all exports it again)")


def _fetched(config: Config, folder: Path, wanted: dict[str, Any]) -> list[Path]:
    """What the running gateway makes, a piece at a time: it need not see the stick, nor we its folders."""
    socket = config.control_socket
    made = ask(socket, "export", wanted, timeout_s=LONG_S)
    paths = []
    for file in made["files"]:
        path, part = folder / file["name"], folder / f"{file['name']}.part"
        progress = Progress(file["name"], file["bytes"])
        try:
            with part.open("wb") as out:
                while out.tell() < file["bytes"]:
                    piece = ask(socket, "carry.read", {"name": file["name"], "offset": out.tell()})["bytes"]
                    if not piece:
                        raise CommandError(f"{file['name']} changed while it was read; export again")
                    out.write(b64decode(piece))
                    progress(out.tell())
                out.flush()
                os.fsync(out.fileno())
            part.replace(path)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror or error}") from error
        paths.append(path)
    return paths


async def _made(config: Config, folder: Path, since: int | None, everything: bool) -> list[Path]:
    async with stopped_desk(config) as desk:
        return await desk.export(since, everything=everything, folder=folder, progress=Progress("leaves", 1))
