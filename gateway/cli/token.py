"""``token``: who may act on the gateway's page, on what, and until when."""

from __future__ import annotations

import getpass
import os
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway.audit import AuditLog, AuditUnwritten
from gateway.cli.hints import completed
from gateway.cli.options import config_option
from gateway.config import Config, load
from gateway.core.audit import Act, State
from gateway.core.tokens import MAX_NAME, SECRET_BYTES, Scope, Token, digest_of, secret_of
from gateway.errors import CommandError
from gateway.keys.tokens import TokenFile
from gateway.model import Stamp, TimeQuality
from gateway.systemclock import SystemClock

_DAY_MS = 86_400_000
_SCOPES = ", ".join(f"{scope} ({scope.meaning})" for scope in Scope)


@click.group("token")
def command() -> None:
    """Tokens for the page's acts; to look at the page nobody needs one."""


@command.command("add", help=f"Make a token NAME, and show it once. Scopes: {_SCOPES}.")
@config_option
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice([scope.value for scope in Scope]),
    multiple=True,
    help="Default: all of them.",
)
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Until it expires.")
def add(config_path: Path, name: str, scopes: tuple[str, ...], days: int) -> None:
    if not (name.isprintable() and 0 < len(name) <= MAX_NAME):
        raise CommandError(f"a name of 1 to {MAX_NAME} printable characters expected")
    config, now = load(config_path), _now()
    secret = secret_of(secrets.token_bytes(SECRET_BYTES))
    allowed = frozenset(map(Scope, scopes)) or frozenset(Scope)
    token = Token(
        name=name,
        digest=digest_of(secret),
        scopes=allowed,
        made_ms=now.unix_ms,
        expires_ms=now.unix_ms + days * _DAY_MS,
    )
    _note(config, now, "token add", {"name": name, "scopes": " ".join(sorted(allowed)), "days": str(days)})
    TokenFile(config.storage.tokens_path).add(token)
    click.echo(secret)
    click.echo("Keep it: it is not shown again. Type it into the page's token field.", err=True)


@command.command("list")
@config_option
def list_(config_path: Path) -> None:
    """Which tokens there are; never the tokens themselves."""
    now = _now()
    tokens = TokenFile(load(config_path).storage.tokens_path).tokens()
    if not tokens:
        click.echo(completed("no tokens; make one: offgrid-gateway token add NAME"), err=True)
    for token in tokens:
        until = "expired" if now.unix_ms >= token.expires_ms else f"until {_day(token.expires_ms)}"
        click.echo(f"{token.name:<{MAX_NAME}}  {until:<16}  {' '.join(sorted(token.scopes))}")


@command.command("revoke")
@config_option
@click.argument("name")
def revoke(config_path: Path, name: str) -> None:
    """Take the token NAME back; the running gateway refuses it at once."""
    config = load(config_path)
    _note(config, _now(), "token revoke", {"name": name})
    TokenFile(config.storage.tokens_path).revoke(name)


def _note(config: Config, now: Stamp, act: str, arguments: Mapping[str, str]) -> None:
    """A token that nobody knows of is none: it is written down first."""
    line = Act(at=now, actor=_actor(), act=act, state=State.BEGUN, arguments=arguments)
    try:
        AuditLog(config.storage.audit_path).append(line)
    except AuditUnwritten as error:
        raise CommandError(f"{error}; use sudo") from error


def _actor() -> str:
    return f"user {os.environ.get('SUDO_USER') or getpass.getuser()}"


def _now() -> Stamp:
    return Stamp(SystemClock().unix_ns() // 1_000_000, TimeQuality.HOST)


def _day(unix_ms: int) -> str:
    return f"{datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms):%Y-%m-%d}"
