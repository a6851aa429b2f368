"""``audit-log``: who did what to this gateway, and whether the record is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from gateway.audit import AuditLog
from gateway.cli.options import config_option
from gateway.config import load
from gateway.core.audit import GENESIS, Act, Line, State, link, read
from gateway.errors import CommandError
from gateway.systemclock import SystemClock

_DAY_MS = 86_400_000


@click.command("audit-log")
@config_option
@click.option("--days", type=click.IntRange(1, 3650), help="Only the last so many days.")
@click.option("--who", "actor", help="Only acts of whoever has this in their name.")
@click.option("--act", "name", help="Only acts of this name, such as restart.")
@click.option(
    "--state", type=click.Choice([state.value for state in State]), help="Only those that came so far."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def command(
    config_path: Path,
    days: int | None,
    actor: str | None,
    name: str | None,
    state: str | None,
    as_json: bool,
) -> None:
    """Show what was done to the running gateway, oldest first, and check that no line was changed.

    Each line carries the hash of the one before it. Exits with 1 where the chain is broken: somebody edited,
    removed or put in lines. Lines taken off at the very end do not show.
    """
    log = AuditLog(load(config_path).storage.audit_path)
    since_ms = 0 if days is None else SystemClock().unix_ns() // 1_000_000 - days * _DAY_MS
    broken = []
    for number, line in enumerate(_lines(log), 1):
        if not line.chained:
            broken.append(number)
        if line.act is not None and _wanted(line.act, since_ms, actor, name, state):
            click.echo(_as_json(line.act) if as_json else _in_words(line.act))
    if broken:
        raise CommandError(f"the chain is broken at line {', '.join(map(str, broken[:10]))}: it was edited")


def _lines(log: AuditLog) -> Iterator[Line]:
    try:
        yield from read(log.lines(), link(GENESIS) if log.is_whole else None)
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}; use sudo") from None


def _wanted(act: Act, since_ms: int, actor: str | None, name: str | None, state: str | None) -> bool:
    return (
        act.at.unix_ms >= since_ms
        and (actor is None or actor in act.actor)
        and name in (None, act.act)
        and state in (None, act.state)
    )


def _as_json(act: Act) -> str:
    return json.dumps(
        {
            "at": act.at.unix_ms,
            "quality": act.at.quality.name,
            "actor": act.actor,
            "act": act.act,
            "state": act.state,
            "arguments": dict(act.arguments),
            "detail": act.detail,
        }
    )


def _in_words(act: Act) -> str:
    when = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=act.at.unix_ms)
    said = " ".join(f"{key}={value}" for key, value in act.arguments.items())
    words = [f"{when:%Y-%m-%d %H:%M:%S}", f"{act.actor:<16}", f"{act.state:<7}", act.act, said, act.detail]
    return "  ".join(word for word in words if word)
