"""``import``: bundles of other gateways, to be carried; acks of the coordinator."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from pathlib import Path
from typing import Protocol

import click

from gateway.cli.freight import Progress, stopped_desk
from gateway.cli.options import config_option
from gateway.cli.running import LONG_S, NotRunning, ask
from gateway.config import Config, load
from gateway.errors import CommandError
from gateway.services.carrying import Carrying, verify_file

PIECE_BYTES = 32 << 10
MAX_ACK_BYTES = 8 << 10


@click.command("import")
@config_option
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
def command(config_path: Path, files: tuple[Path, ...]) -> None:
    """Take in FILES: bundles (*.bundle) of other gateways, and acks (*.ack).

    A bundle is verified whole, kept, and handed to the coordinator by this gateway's link, its mesh or the
    next export. An ack of this gateway's own log marks it acked, exactly as over the network.
    """
    config = load(config_path)
    try:
        ask(config.control_socket, "carry.list")
        for path in files:
            click.echo(asyncio.run(_take(path, _Running(config))))
    except NotRunning:
        asyncio.run(_stopped(config, files))


class _Desk(Protocol):
    async def piece(self, content_id: bytes, offset: int, data: bytes) -> int: ...
    async def ack(self, note: bytes) -> tuple[str, int]: ...


class _Running:
    """The daemon's."""

    def __init__(self, config: Config) -> None:
        self._socket = config.control_socket

    async def piece(self, content_id: bytes, offset: int, data: bytes) -> int:
        told = {"id": _text(content_id), "offset": offset, "bytes": _text(data)}
        have: int = ask(self._socket, "carry.piece", told, timeout_s=LONG_S)["have"]
        return have

    async def ack(self, note: bytes) -> tuple[str, int]:
        taken = ask(self._socket, "import.ack", {"note": _text(note)})
        return taken["origin"], taken["size"]


async def _stopped(config: Config, files: tuple[Path, ...]) -> None:
    async with stopped_desk(config) as carrying:
        for path in files:
            click.echo(await _take(path, _Stopped(carrying)))


class _Stopped:
    """On the files of a gateway that does not run."""

    def __init__(self, carrying: Carrying) -> None:
        self._carrying = carrying

    async def piece(self, content_id: bytes, offset: int, data: bytes) -> int:
        return await self._carrying.bring(content_id, offset, data)

    async def ack(self, note: bytes) -> tuple[str, int]:
        taken = await self._carrying.take_ack(note)
        return taken.origin, taken.size


async def _take(path: Path, desk: _Desk) -> str:
    """What was done, in words."""
    with path.open("rb") as file:
        start = file.read(8)
    if start != b"OGBUNDLE":
        return await _take_ack(path, desk)
    manifest = verify_file(path, Progress(f"{path.name}: verified", 1))
    progress = Progress(f"{path.name}: taken in", manifest.length)
    with path.open("rb") as file:
        have = await desk.piece(manifest.content_id, 0, b"")
        while have < manifest.length:
            file.seek(have)
            grown = await desk.piece(manifest.content_id, have, file.read(PIECE_BYTES))
            if grown <= have:
                raise CommandError(f"{path}: the gateway does not take it; try again")
            have = grown
            progress(have)
    what = f"leaves {manifest.start} to {manifest.size} of {manifest.origin}"
    return f"{path}: {what} are carried now, until the coordinator has them"


async def _take_ack(path: Path, desk: _Desk) -> str:
    with path.open("rb") as file:
        note = file.read(MAX_ACK_BYTES + 1)
    if len(note) > MAX_ACK_BYTES or not note.startswith(b"offgrid/"):
        raise CommandError(f"{path}: neither a bundle nor an ack")
    origin, size = await desk.ack(note)
    return f"{path}: the coordinator has cosigned {size} leaves of {origin}"


def _text(data: bytes) -> str:
    return b64encode(data).decode()
