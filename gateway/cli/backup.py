"""``backup``: copies of the log off the device, looked at, made at once, and tried."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gateway.cli.options import config_option
from gateway.cli.running import LONG_S, NotRunning, ask
from gateway.config import Config, load
from gateway.errors import CommandError, GatewayError

if TYPE_CHECKING:
    from gateway.core.backup import Name
    from gateway.keys import Identity
    from gateway.services.backup import Restored, Source

key_option = click.option(
    "--key", "key_path", type=click.Path(path_type=Path), help="Open with this age key (the operator's)."
)
from_option = click.option("--from", "where", metavar="TARGET", help="Another target: s3://… or a folder.")


@click.group("backup")
def command() -> None:
    """Copies of the log off this device; see docs/backup.md."""


@command.command("now")
@config_option
def now(config_path: Path) -> None:
    """Back up what is new, at once, and verify it."""
    config = _configured(config_path)
    try:
        done = ask(config.control_socket, "backup.now", {}, timeout_s=LONG_S)
    except NotRunning:
        done = asyncio.run(_from_file(config))
    click.echo(f"{done['leaves']} leaves are backed up: {done['objects']} objects, {done['bytes']} bytes")


@command.command("list")
@config_option
@key_option
@from_option
def show(config_path: Path, key_path: Path | None, where: str | None) -> None:
    """What lies at the target, by name."""
    config = load(config_path)
    found = opened(config, key_path, where)
    with told():
        items = found.target.list(config.gateway.id)
    for item in items:
        click.echo(f"{item.size:>12}  {item.name}")
    click.echo(f"{len(items)} objects, {sum(item.size for item in items)} bytes")


@command.command("verify")
@config_option
@key_option
@from_option
def verify(config_path: Path, key_path: Path | None, where: str | None) -> None:
    """Read every object back, open it and check it. Exits with 1 when one does not stand."""
    from gateway.core.backup import BackupRefused
    from gateway.services.backup import fetch, listed

    found = opened(load(config_path), key_path, where)
    refused = 0
    with told():
        names = listed(found)
        for name in names:
            try:
                fetch(found, name)
            except BackupRefused as error:
                refused += 1
                click.echo(f"{name}: {error}")
    if refused or not names:
        raise CommandError(f"{refused} of {len(names)} objects do not stand")
    click.echo(f"{len(names)} objects stand, {covered(names)}")


@command.command("test")
@config_option
def test(config_path: Path) -> None:
    """Restore into a folder beside the database, compare the root with the log here, and throw it away.

    The outcome is a metric: gateway_backup_test_passed, gateway_backup_test_timestamp_seconds.
    """
    from gateway.services.backup import BackupBook
    from gateway.systemclock import SystemClock

    config = _configured(config_path)
    book = BackupBook(config.storage.backup_path, SystemClock())
    try:
        restored = _tried(config)
        _compare(config, restored)
    except GatewayError:
        book.tested(passed=False)
        raise
    book.tested(passed=True)
    click.echo(f"the backup restores: {restored.head.origin}, {restored.head.size} leaves, the same root")


def opened(config: Config, key_path: Path | None, where: str | None) -> Source:
    """The backups of this gateway: by its own keys, or by the operator's and then whoever signed them."""
    from gateway.app.backups import key_here, source
    from gateway.backup import read_key

    if config.backup is None and where is None:
        raise CommandError("no backup is configured; set backup.target, or name one with --from")
    if key_path is not None:
        return source(config, None, key=read_key(key_path), where=where)
    return source(config, own_identity(config).public_key, key=key_here(config), where=where)


def own_identity(config: Config) -> Identity:
    """By the files, or as systemd hands them to its services. Raises KeyFileError."""
    from gateway.keys import handed_over, load_identity

    security = config.security
    path = handed_over(security.private_key_path, os.environ)
    return load_identity(path, security.certificate_path, guarded=path != security.private_key_path)


def covered(names: list[Name]) -> str:
    """What the names together hold, in words."""
    newest = max(names, key=lambda name: (name.epoch, name.generation, name.end))
    return f"up to leaf {newest.end} of epoch {newest.epoch}"


@contextmanager
def told() -> Iterator[None]:
    """An object that does not stand is a command's failure, in its own words."""
    from gateway.core.backup import BackupRefused

    try:
        yield
    except BackupRefused as error:
        raise CommandError(str(error)) from error


def _configured(config_path: Path) -> Config:
    config = load(config_path)
    if config.backup is None:
        raise CommandError(f"{config_path}: no backup is configured; see backup in config.example.yml")
    return config


async def _from_file(config: Config) -> dict[str, Any]:
    """The daemon is stopped: from its database."""
    from gateway.app.backups import Backups
    from gateway.app.settings import store_settings
    from gateway.store import Store
    from gateway.systemclock import SystemClock

    if not config.storage.path.exists():
        raise CommandError(f"{config.storage.path}: no database here yet")
    identity = own_identity(config)
    async with Store(store_settings(config)) as store:
        with told():
            done: Any = await Backups(config, identity, store, SystemClock()).now({})
    return dict(done)


def _tried(config: Config) -> Restored:
    from gateway.services.backup import restore

    found = opened(config, None, None)
    with (
        tempfile.TemporaryDirectory(prefix="restore-test-", dir=config.storage.path.parent) as folder,
        told(),
    ):
        restored = restore(found, Path(folder, "gateway.db"), lambda: 1 << 62, lambda what, figures: None)
    if restored is None:
        raise CommandError("there is no backup to restore from; run: offgrid-gateway backup now")
    if restored.refused:
        raise CommandError("; ".join(f"{name}: {why}" for name, why in restored.refused.items()))
    return restored


def _compare(config: Config, restored: Restored) -> None:
    head = restored.head
    arguments = {"epoch": head.epoch, "size": head.size}
    try:
        root = ask(config.control_socket, "backup.root", arguments, timeout_s=LONG_S)
    except NotRunning:
        root = asyncio.run(_root_in_file(config, arguments))
    if root != head.root.hex():
        raise CommandError(
            f"the backup has root {head.root.hex()} at {head.size} leaves of epoch {head.epoch}, "
            f"the log here {root}"
        )


async def _root_in_file(config: Config, arguments: dict[str, Any]) -> Any:
    from gateway.app.backups import Backups
    from gateway.app.settings import store_settings
    from gateway.store import Store
    from gateway.systemclock import SystemClock

    identity = own_identity(config)
    async with Store(store_settings(config)) as store:
        return await Backups(config, identity, store, SystemClock()).root(arguments)
