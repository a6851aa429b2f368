"""``restore``: the log from its backup, where the database is gone; the daemon does so by itself."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gateway.cli.backup import from_option, key_option, opened, own_identity, told
from gateway.cli.options import config_option
from gateway.config import Config, load
from gateway.errors import CommandError


@click.command("restore")
@config_option
@key_option
@from_option
@click.option("--none", "empty", is_flag=True, help="Restore nothing: begin an empty log on purpose.")
def command(config_path: Path, key_path: Path | None, where: str | None, empty: bool) -> None:
    """Make the database again from its backup. The daemon must be stopped, the database gone.

    With --key FILE (the operator's age key) also what a card left behind that died with its keys: the log
    then goes on under this machine's new key, in a new epoch, once the coordinator's operator
    has accepted it.
    """
    config = load(config_path)
    if config.storage.path.exists():
        raise CommandError(
            f"{config.storage.path} is there; stop the gateway and move it away first: "
            f"mv {config.storage.path} {config.storage.path}.old"
        )
    if empty:
        asyncio.run(_empty(config))
        click.echo(f"{config.storage.path}: an empty log")
        return
    asyncio.run(_restore(config, key_path, where))


async def _restore(config: Config, key_path: Path | None, where: str | None) -> None:
    from gateway.app.backups import go_on_under, restored_from
    from gateway.app.settings import make_folder
    from gateway.systemclock import SystemClock

    identity = own_identity(config)
    found = opened(config, key_path, where)
    make_folder(config)
    with told():
        restored = await asyncio.to_thread(restored_from, found, config, identity.public_key)
    if restored is None:
        raise CommandError(f"no backup of {config.gateway.id} there; look with: offgrid-gateway backup list")
    for name, why in restored.refused.items():
        click.echo(f"refused: {name}: {why}")
    head = restored.head
    click.echo(f"{head.origin}: {head.size} leaves, root {head.root.hex()}")
    if restored.signer != identity.public_key:
        await go_on_under(identity, restored, config, SystemClock())
        click.echo(
            f"signed by another key, {restored.signer.hex()}: it goes on under {identity.public_key.hex()} "
            "in a new epoch. Have the coordinator's operator accept this key, then run: "
            "offgrid-gateway register"
        )


async def _empty(config: Config) -> None:
    from gateway.app.settings import restored_mark, store_settings
    from gateway.store import Store

    async with Store(store_settings(config)):
        restored_mark(config).unlink(missing_ok=True)
