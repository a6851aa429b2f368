"""``radios check``: one radio's own test of its hardware, while the gateway does not hold it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from pathlib import Path

import click

from drivers.base import Check, SelfTesting
from drivers.registry import load_driver
from gateway.cli.checks import Screen, worst
from gateway.cli.options import config_option
from gateway.cli.running import NotRunning, ask
from gateway.config import Config, load, radio_setups
from gateway.errors import CommandError
from gateway.systemclock import SystemClock

STOP = "stop it first (sudo systemctl stop offgrid-gateway) and start it again afterwards"


@click.command("check")
@click.argument("name")
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(name: str, config_path: Path, as_json: bool) -> None:
    """Test the radio NAME step by step: who holds its port, does it answer, what does it see.

    Exits with 1 if anything failed. The gateway must not be running.
    """
    config = load(config_path)
    radio = _chosen(config, name)
    _refuse_while_held(config, name)
    checks = asyncio.run(_run(radio, Screen(quiet=as_json)))
    verdict = worst(checks)
    if as_json:
        found = [asdict(check) for check in checks]
        click.echo(json.dumps({"radio": name, "verdict": verdict, "checks": found}, indent=2))
    if verdict == "fail":
        raise SystemExit(1)


def _chosen(config: Config, name: str) -> SelfTesting:
    setups = {setup.name: setup for setup in radio_setups(config)}
    if name not in setups:
        raise CommandError(f"no radio {name!r} is configured; there are: {', '.join(setups) or 'none'}")
    setup = setups[name]
    driver = load_driver(setup.driver)(setup.name, setup.settings, clock=SystemClock())
    if not isinstance(driver, SelfTesting):
        raise CommandError(
            f"{name}: driver {setup.driver!r} has no test of its own; see `radios` and `status`"
        )
    return driver


def _refuse_while_held(config: Config, name: str) -> None:
    try:
        service = ask(config.control_socket, "status")["services"].get(name)
    except NotRunning:
        return
    if service is not None and service["state"] != "halted":
        raise CommandError(f"the gateway is running and holds the radio {name!r}; {STOP}")


async def _run(radio: SelfTesting, screen: Screen) -> list[Check]:
    checks = []
    async for check in radio.self_test():
        screen.line(check)
        checks.append(check)
    return checks
