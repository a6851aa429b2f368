"""``reload``, ``restart`` and ``sync``: a word to the running daemon, and what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.hints import completed
from gateway.cli.options import config_option, socket_option
from gateway.cli.running import ask, socket_at
from gateway.errors import CommandError

Document = Mapping[str, Any]

SETTLED_S = 0.05
"""A link that runs for so long is the new one."""
LOOK_EVERY_S = 0.2
PATIENCE_S = 30.0
"""TCP, TLS and the WebSocket's opening are given 20 s by the gateway itself."""


@click.command("reload")
@config_option
@socket_option
def reload(config_path: Path, socket_path: Path | None) -> None:
    """Have the running gateway read its configuration again; says what was taken and what waits.

    Exits with 1 if the configuration is wrong; the gateway then goes on with the one it has.
    """
    answer = ask(socket_at(config_path, socket_path), "reload")
    if answer["problems"]:
        raise CommandError("\n".join(["not taken:", *answer["problems"]]))
    click.echo(f"taken: {', '.join(answer['taken']) or 'nothing has changed'}")
    if answer["waiting"]:
        click.echo(f"needs a restart: {', '.join(answer['waiting'])}")


@click.command("restart")
@config_option
@socket_option
@click.argument("service")
def restart(config_path: Path, socket_path: Path | None, service: str) -> None:
    """Run one SERVICE of the running gateway anew, such as a radio that was halted and is mended."""
    path = socket_at(config_path, socket_path)
    ask(path, "restart", {"service": service})
    now = _anew(path, service)["services"][service]
    if now["state"] != "running":
        raise CommandError(completed(f"{service}: {now['state']}: {now['reason']}"))
    click.echo(f"{service}: runs anew")


@click.command("sync")
@config_option
@socket_option
def sync(config_path: Path, socket_path: Path | None) -> None:
    """Try the coordinator at once, whatever the backoff says; tells what came of it.

    Exits with 1 when it is not reached.
    """
    path = socket_at(config_path, socket_path)
    ask(path, "sync")
    status = _anew(path, "link", lambda status: status["link"]["state"] != "down" or status["link"]["reason"])
    link, store = status["link"], status["store"]
    if link["state"] != "connected":
        why = link["reason"] or f"no answer within {PATIENCE_S:.0f} s; the gateway keeps trying"
        raise CommandError(completed(f"the coordinator is not reached: {why}"))
    waiting = f"{store['backlog']} wait for it" if store["backlog"] else "nothing waits"
    click.echo(f"connected; {store['ackedSize']} of {store['size']} leaves are cosigned, {waiting}")


def _anew(path: Path, service: str, told: Callable[[Document], object] = bool) -> Document:
    """The status, once the service runs anew and ``told`` says that it tells enough; at last, as it is."""
    asked = time.monotonic()
    while True:
        status: Document = ask(path, "status")
        passed, part = time.monotonic() - asked, status["services"][service]
        fresh = part["state"] != "running" or SETTLED_S <= part["forSeconds"] <= passed
        if (fresh and told(status)) or passed > PATIENCE_S:
            return status
        time.sleep(LOOK_EVERY_S)
