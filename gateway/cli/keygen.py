"""``keygen``: the gateway's key and certificate at the configured paths; nothing is ever overwritten."""

from __future__ import annotations

import asyncio
import grp
import pwd
from pathlib import Path

import click

from gateway.cli.options import config_option
from gateway.config import Config, load
from gateway.errors import CommandError
from gateway.keys import Owner
from gateway.keys.durable import create, folder_owner

_LAST_ID = 2**32 - 2
_MOST_DIGITS = 10


def _owner(ctx: click.Context, option: click.Parameter, value: str | None) -> Owner:
    """``user[:group]`` by name or number; without a group, the user's own."""
    if value is None:
        return Owner()
    user, _, group = value.partition(":")
    try:
        account = pwd.getpwuid(_number(user)) if user.isdecimal() else pwd.getpwnam(user)
        gid = account.pw_gid if not group else _gid(group)
    except KeyError as error:
        raise click.BadParameter(str(error.args[0])) from None
    return Owner(account.pw_uid, gid)


def _gid(group: str) -> int:
    """A number needs no name in the host's list of groups."""
    return _number(group) if group.isdecimal() else grp.getgrnam(group).gr_gid


def _number(text: str) -> int:
    """Raises BadParameter above what Linux numbers; (uid_t)-1 means "leave it" to chown(2)."""
    if len(text) > _MOST_DIGITS or int(text) > _LAST_ID:
        raise click.BadParameter(f"a user or group is numbered {_LAST_ID} at most")
    return int(text)


@click.command("keygen")
@config_option
@click.option(
    "--owner", metavar="USER[:GROUP]", callback=_owner, help="Whose the files shall be (the service user)."
)
def command(config_path: Path, owner: Owner) -> None:
    """Make the gateway's Ed25519 key (0600) and self-signed certificate at the configured paths.

    Files that are there stay; run again, it checks them and prints the public key.
    """
    from gateway.keys.generate import make_keys

    config = load(config_path)
    security = config.security
    if not security.private_key_path.exists() and config.storage.path.exists():
        asyncio.run(_refuse_beside_a_signed_log(config))
    made = make_keys(security.private_key_path, security.certificate_path, config.gateway.id, owner)
    for path in (security.private_key_path, security.certificate_path):
        click.echo(f"{path}: {'made' if path in made.new_files else 'was there, left as it is'}")
    if config.backup is not None:
        _make_backup_key(config, owner)
    click.echo(f"public key of {config.gateway.id}: {made.identity.registration_key_base64}")


def _make_backup_key(config: Config, owner: Owner) -> None:
    """Whose the state is, where nobody is named: the daemon has to read it."""
    from gateway.app.backups import key_here
    from gateway.backup import make_backup_key

    path = config.backup_key_path
    made = not path.exists()
    if made:
        whose = _state_owner(config) if owner == Owner() else owner
        create(path, make_backup_key(), mode=0o600, owner=whose)
    click.echo(
        f"{path}: {'made' if made else 'was there, left as it is'}; opens {key_here(config).recipient}"
    )


def _state_owner(config: Config) -> Owner:
    return folder_owner(config.storage.path) if config.storage.path.parent.exists() else Owner()


async def _refuse_beside_a_signed_log(config: Config) -> None:
    """Raises CommandError: the daemon would not start under a new key, and the old one may still be found."""
    from gateway.app.settings import store_settings
    from gateway.store import Store

    async with Store(store_settings(config)) as store:
        head = await store.head()
    if head.signed_note is not None:
        raise CommandError(
            f"{config.storage.path} holds the log {head.origin}, signed by a key that is not at "
            f"{config.security.private_key_path}; put that key back (a backup of the card?). If it is lost, "
            "move the database away, take another gateway.id and run: offgrid-gateway keygen"
        )
