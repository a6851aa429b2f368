"""``radios``: what each radio of the running gateway hears and sends."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli import radio_check
from gateway.cli.channels import channel_table
from gateway.cli.options import config_option, socket_option
from gateway.cli.running import ask, socket_at
from gateway.cli.status import duration
from gateway.core.lora.regions import REGIONS

Document = Mapping[str, Any]

PLACES = {
    band.name: f" ({band.low_hz / 1e6:g} to {band.high_hz / 1e6:g} MHz)"
    for region in REGIONS.values()
    for band in region.sub_bands
}


@click.group("radios", invoke_without_command=True)
@config_option
@socket_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.pass_context
def command(context: click.Context, config_path: Path, socket_path: Path | None, as_json: bool) -> None:
    """State of each radio; what it heard by channel and spreading factor; airtime used and left.

    Exits with 1 when the gateway does not run. ``radios check NAME`` tests one while it does not.
    """
    if context.invoked_subcommand is not None:
        return
    status = ask(socket_at(config_path, socket_path), "status")
    if as_json:
        click.echo(json.dumps({"radios": status["radios"], "gps": status["gps"]}, indent=2))
        return
    for line in screen(status):
        click.echo(line)


command.add_command(radio_check.command)


def screen(status: Document) -> Iterator[str]:
    """A block a radio."""
    if not status["radios"]:
        yield "no radios are configured"
    for name, radio in status["radios"].items():
        yield from _radio(name, radio, status["services"][name])
    if status["gps"] is not None:
        yield f"gps  {_gps(status['gps'])}"


def _radio(name: str, radio: Document, service: Document) -> Iterator[str]:
    why = service["reason"] or radio["note"]
    yield f"{name}  {radio['state']} for {duration(service['forSeconds'])}" + (f"  ({why})" if why else "")
    yield f"  heard  {_counts(radio['frames'])}"
    yield f"  sent   {_counts(radio['transmits'])}"
    yield from channel_table(radio["channels"])
    for band, left in (radio["dutyLeftSeconds"] or {}).items():
        used, where = radio["dutyUsedSeconds"][band], PLACES.get(band, "")
        yield f"  airtime in the hour, sub-band {band}{where}: {used:.1f} s used, {left:.1f} s left"


def _counts(counts: Document) -> str:
    return "  ".join(f"{name} {count}" for name, count in counts.items()) or "nothing yet"


def _gps(gps: Document) -> str:
    position, drift = gps["position"], gps["gauges"].get("crystal_drift_ppm", 0.0)
    if position is None:
        return f"no position yet  ({gps['note']})"
    state = "fixed" if gps["fixed"] else "lost"
    return (
        f"{state} at {position['lat']}, {position['lon']}, {position['fromConfiguredM']} m from where the "
        f"configuration says; drift {drift:.2f} ppm"
    )
