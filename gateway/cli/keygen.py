"""``keygen``: the gateway's key and certificate at the configured paths; nothing is ever overwritten."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

import click

from gateway.cli.options import config_option
from gateway.config import load
from gateway.keys import Owner


def _owner(ctx: click.Context, option: click.Parameter, value: str | None) -> Owner:
    """``user[:group]`` by name or number; without a group, the user's own."""
    if value is None:
        return Owner()
    user, _, group = value.partition(":")
    try:
        account = pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
        gid = account.pw_gid if not group else int(group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except KeyError as error:
        raise click.BadParameter(str(error.args[0])) from None
    return Owner(account.pw_uid, gid)


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
    made = make_keys(security.private_key_path, security.certificate_path, config.gateway.id, owner)
    for path in (security.private_key_path, security.certificate_path):
        click.echo(f"{path}: {'made' if path in made.new_files else 'was there, left as it is'}")
    click.echo(f"public key of {config.gateway.id}: {made.identity.registration_key_base64}")
