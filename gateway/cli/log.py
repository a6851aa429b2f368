"""``log``: show, prove and verify what the gateway has logged; the daemon may run or not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import config_option
from gateway.cli.running import LONG_S, NotRunning, ask
from gateway.config import Config, load
from gateway.errors import CommandError

Document = Mapping[str, Any]

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("log")
def command() -> None:
    """The log of all that was accepted. Read through the running gateway, else from its database."""


@command.command("show")
@config_option
@json_option
@click.option("--count", "-n", default=10, show_default=True, type=click.IntRange(1, 100))
@click.argument("index", type=click.IntRange(0), required=False)
def show(config_path: Path, as_json: bool, count: int, index: int | None) -> None:
    """The newest leaves, or leaf INDEX with its objects."""
    found = answer(load(config_path), "log.show", {"index": index, "count": count})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    _echo_head(found["head"])
    for entry in found["entries"]:
        click.echo(_entry_line(entry))
        for item in entry.get("contents", ()):
            size = "" if item["bytes"] is None else f"{item['bytes']} bytes"
            click.echo(f"        {item['kind']:<12} {item['hash']}  {size}")


@command.command("prove")
@config_option
@click.argument("what")
def prove(config_path: Path, what: str) -> None:
    """Prove that leaf WHAT (an index, or a content's hash in hex) is under a signed checkpoint.

    Prints JSON: entry, paths and checkpoint, all that is needed to verify it elsewhere.
    """
    click.echo(json.dumps(answer(load(config_path), "log.prove", _named(what)), indent=2))


@command.command("verify")
@config_option
@json_option
def verify(config_path: Path, as_json: bool) -> None:
    """Compute the whole log again from its objects, and check both checkpoints. Exits with 1 on a fault."""
    found = answer(load(config_path), "log.verify", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        _echo_head(found["head"])
        click.echo(f"{found['entries']} leaves and {found['objects']} objects read, {found['pruned']} pruned")
    if found["problemCount"]:
        raise CommandError(f"{found['problemCount']} faults: " + "; ".join(found["problems"]))
    if not as_json:
        click.echo("every leaf, the root and the checkpoints hold")


@command.command("epochs")
@config_option
@json_option
def epochs(config_path: Path, as_json: bool) -> None:
    """Epochs of the log: which are over, and why."""
    found = answer(load(config_path), "log.epochs", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    _echo_epochs(found)


@command.command("resume")
@config_option
def resume(config_path: Path) -> None:
    """Say that you have looked at why the log halted or began again, and mended it: it goes on."""
    config = load(config_path)
    found = answer(config, "log.resume", {})
    _echo_epochs(found)
    try:
        ask(config.control_socket, "sync")
    except NotRunning:
        click.echo("the gateway does not run; start it to go on")
        return
    click.echo("the log goes on; the coordinator is tried at once")


def _echo_epochs(found: Document) -> None:
    for one in found["ended"]:
        ended = datetime.fromtimestamp(one["endedAt"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
        mark = "" if one["seen"] else "  (nobody has looked yet)"
        click.echo(f"epoch {one['epoch']}: {one['size']} leaves cosigned, ended {ended}{mark}")
        click.echo(f"  {one['why']}")
        click.echo(f"  {one['fix']}")
    _echo_head(found["head"])


def _named(what: str) -> dict[str, Any]:
    if what.isascii() and what.isdecimal() and len(what) < 19:
        return {"index": int(what)}
    try:
        if len(bytes.fromhex(what)) == 32:
            return {"content": what}
    except ValueError:
        pass
    raise click.BadParameter("a leaf's index, or 64 hexadecimal characters", param_hint="WHAT")


def answer(config: Config, name: str, arguments: dict[str, Any]) -> Any:
    """What the running gateway answers, else what its database does."""
    try:
        return ask(config.control_socket, name, arguments, timeout_s=LONG_S)
    except NotRunning:
        return asyncio.run(_from_file(config, name, arguments))


async def _from_file(config: Config, name: str, arguments: dict[str, Any]) -> Any:
    from gateway.app.commands import log_commands
    from gateway.app.settings import store_settings
    from gateway.keys import load_identity
    from gateway.store import Store

    if not config.storage.path.exists():
        raise CommandError(f"{config.storage.path}: no database here yet")
    identity = load_identity(config.security.private_key_path, config.security.certificate_path)
    async with Store(store_settings(config)) as store:
        return await log_commands(config, identity, store)[name](arguments)


def _echo_head(head: Document) -> None:
    click.echo(f"{head['origin']}  {head['size']} leaves, {head['ackedSize']} cosigned, root {head['root']}")
    if head["halted"]:
        click.echo(f"halted: {head['halted']}")


def _entry_line(entry: Document) -> str:
    received = datetime.fromtimestamp(entry["receivedAt"] / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return (
        f"{entry['index']:>6}  {received}  {entry['kind']:<12} {entry['radio']:<16} "
        f"{entry['objects']:>4} objects  {entry['leaf'][:16]}"
    )
