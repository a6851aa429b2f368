"""``status``: how the running gateway fares, on one screen, once or again and again."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.colours import BOLD, DIM, GREEN, RED, YELLOW, painted
from gateway.cli.hints import completed
from gateway.cli.options import config_option, socket_option
from gateway.cli.running import NotRunning, ask, socket_at

Document = Mapping[str, Any]

PAGE_BELOW = 50
STATES = {
    **dict.fromkeys(("healthy", "works", "running", "connected", "open"), GREEN),
    **dict.fromkeys(("degraded", "down", "waiting"), YELLOW),
    **dict.fromkeys(("unhealthy", "halted", "refusing", "stopped"), RED),
}
HOME, CLEAR_BELOW = "\x1b[H", "\x1b[J"


@click.command("status")
@config_option
@socket_option
@click.option("--json", "as_json", is_flag=True, help="The whole status, for programs.")
@click.option("--watch", is_flag=True, help="Again and again, until Ctrl-C.")
@click.option("--every", default=2.0, show_default=True, type=click.FloatRange(0.2, 3600), help="Seconds.")
def command(config_path: Path, socket_path: Path | None, as_json: bool, watch: bool, every: float) -> None:
    """How the gateway fares: score and reasons, log, store, coordinator, radios, services.

    Needs no sound configuration: where the file cannot be read, the default socket is asked, or the one that
    --socket names. Exits with 1 when the gateway does not run.
    """
    path = socket_at(config_path, socket_path)
    if watch:
        _watch(path, every, as_json=as_json)
        return
    show(ask(path, "status"), as_json=as_json)


def show(status: Document, *, as_json: bool) -> None:
    """On the terminal, or for programs."""
    if as_json:
        click.echo(json.dumps(status, indent=2))
        return
    for line in screen(status):
        click.echo(line)


def _watch(path: Path, every: float, *, as_json: bool) -> None:
    """Drawn over itself on a terminal; a restart of the gateway is waited out."""
    live = sys.stdout.isatty() and not as_json
    if live:
        click.clear()
    try:
        while True:
            lines = _lines(path, as_json=as_json)
            if live:
                body = "".join(f"{line}\x1b[K\n" for line in lines)
                click.echo(f"{HOME}{body}{CLEAR_BELOW}", nl=False)
            else:
                click.echo("\n".join(lines))
            time.sleep(every)
    except KeyboardInterrupt:
        return


def _lines(path: Path, *, as_json: bool) -> list[str]:
    try:
        status = ask(path, "status")
    except NotRunning as error:
        short = str(error).partition(";")[0]
        return [json.dumps({"error": short}) if as_json else painted(short, RED)]
    return [json.dumps(status)] if as_json else list(screen(status))


def screen(status: Document) -> Iterator[str]:
    """At most a line a part."""
    score = painted(f"score {status['score']}", BOLD, RED if status["score"] < PAGE_BELOW else GREEN)
    yield (
        f"{painted(status['gatewayId'], BOLD)}  {_state(status['status'])}, {score}  "
        f"up {duration(status['uptimeSeconds'])}  version {status['version']}"
    )
    for deduction in status["deductions"]:
        yield painted(f"  -{deduction['points']:<3} {completed(deduction['reason'])}", YELLOW)
    yield from _store(status["store"])
    yield f"{_part('link')}{_link(status['link'])}"
    for name, radio in status["radios"].items():
        yield f"{_part('radio')}{name:<16} {_radio(radio)}"
    if status["gps"] is not None:
        yield f"{_part('gps')}{_gps(status['gps'])}"
    yield from _services(
        {name: one for name, one in status["services"].items() if name not in status["radios"]}
    )


def _part(name: str) -> str:
    return painted(f"{name:<10}", DIM)


def _state(word: str) -> str:
    return painted(word, STATES.get(word, ""))


def _store(store: Document) -> Iterator[str]:
    waiting = f"{store['backlog']} wait"
    if store["backlog"]:
        waiting += f", the oldest for {duration(store['oldestUnackedSeconds'])}"
    yield (
        f"{_part('log')}{store['origin']}  {store['size']} leaves, "
        f"{store['ackedSize']} cosigned, {waiting}; {store['transactions']} transactions"
    )
    why = f" ({store['reason']})" if store["reason"] else ""
    yield (
        f"{_part('store')}{_state(store['state'])}{why}, answers in {store['latencyMs']} ms; "
        f"{mib(store['fileBytes'])}, {mib(store['freeDiskBytes'])} of disk free"
    )


def _link(link: Document) -> str:
    state = _state(link["state"])
    if link["state"] == "connected":
        ago = link["lastAckSecondsAgo"]
        return state if ago is None else f"{state}, last ack {duration(ago)} ago"
    told = f"; {link['toldByTextSize']} leaves told by text message" if link["toldByTextSize"] else ""
    return (
        f"{state} for {duration(link['downSeconds'])}: {completed(link['reason']) or 'not reached yet'}{told}"
    )


def _radio(radio: Document) -> str:
    counts = "  ".join(f"{name} {count}" for name, count in radio["frames"].items()) or "nothing heard yet"
    note = f"  ({radio['note']})" if radio["note"] else ""
    return f"{_state(radio['state'])}  {counts}{note}"


def _gps(gps: Document) -> str:
    position = gps["position"]
    if position is None:
        return painted("no position yet", YELLOW) + (f"  ({gps['note']})" if gps["note"] else "")
    state = painted("fixed", GREEN) if gps["fixed"] else painted("lost", YELLOW)
    return f"{state} at {position['lat']}, {position['lon']}"


def _services(services: Mapping[str, Document]) -> Iterator[str]:
    """Those that simply run share a line; a restart or a halt has one of its own."""
    calm = [name for name, one in services.items() if one["state"] == "running" and not one["restarts"]]
    for name, service in services.items():
        if name not in calm:
            yield f"{_part('service')}{name:<16} {_service(service)}"
    if calm:
        yield f"{_part('services')}{_state('running')}  {', '.join(calm)}"


def _service(service: Document) -> str:
    state = f"{_state(service['state'])} for {duration(service['forSeconds'])}"
    restarts = f", {service['restarts']} restarts" if service["restarts"] else ""
    return f"{state}{restarts}" + (f": {completed(service['reason'])}" if service["reason"] else "")


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
