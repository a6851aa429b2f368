"""``status``: how the running gateway fares, on one screen."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.options import config_option
from gateway.cli.running import ask
from gateway.config import load

Document = Mapping[str, Any]


@click.command("status")
@config_option
@click.option("--json", "as_json", is_flag=True, help="The whole status, for programs.")
def command(config_path: Path, as_json: bool) -> None:
    """How the gateway fares: score and reasons, log, store, coordinator, radios, services.

    Exits with 1 when it does not run.
    """
    status = ask(load(config_path).control_socket, "status")
    if as_json:
        click.echo(json.dumps(status, indent=2))
        return
    for line in screen(status):
        click.echo(line)


def screen(status: Document) -> Iterator[str]:
    """At most a line a part."""
    yield (
        f"{status['gatewayId']}  {status['status']}, score {status['score']}  "
        f"up {duration(status['uptimeSeconds'])}  version {status['version']}"
    )
    for deduction in status["deductions"]:
        yield f"  -{deduction['points']:<3} {deduction['reason']}"
    yield from _store(status["store"])
    yield f"link      {_link(status['link'])}"
    for name, radio in status["radios"].items():
        yield f"radio     {name:<16} {_radio(radio)}"
    for name, service in status["services"].items():
        if name not in status["radios"]:
            yield f"service   {name:<16} {_service(service)}"


def _store(store: Document) -> Iterator[str]:
    waiting = f"{store['backlog']} wait"
    if store["backlog"]:
        waiting += f", the oldest for {duration(store['oldestUnackedSeconds'])}"
    yield (
        f"log       {store['origin']}  {store['size']} leaves, "
        f"{store['ackedSize']} cosigned, {waiting}; {store['transactions']} transactions"
    )
    why = f" ({store['reason']})" if store["reason"] else ""
    yield (
        f"store     {store['state']}{why}, answers in {store['latencyMs']} ms; {mib(store['fileBytes'])}, "
        f"{mib(store['freeDiskBytes'])} of disk free"
    )


def _link(link: Document) -> str:
    if link["state"] == "connected":
        ago = link["lastAckSecondsAgo"]
        return "connected" if ago is None else f"connected, last ack {duration(ago)} ago"
    return f"{link['state']} for {duration(link['downSeconds'])}: {link['reason'] or 'not reached yet'}"


def _radio(radio: Document) -> str:
    counts = "  ".join(f"{name} {count}" for name, count in radio["frames"].items()) or "nothing heard yet"
    note = f"  ({radio['note']})" if radio["note"] else ""
    return f"{radio['state']}  {counts}{note}"


def _service(service: Document) -> str:
    state = f"{service['state']} for {duration(service['forSeconds'])}"
    restarts = f", {service['restarts']} restarts" if service["restarts"] else ""
    return f"{state}{restarts}" + (f": {service['reason']}" if service["reason"] else "")


def duration(seconds: float) -> str:
    """In the two largest units: 12 s, 3 min 5 s, 2 h 1 min, 4 d 7 h."""
    rest = int(seconds)
    units = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, rest = divmod(rest, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])


def mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"
