"""A radio's own test, asked of the running gateway: the radio is taken from its service for that long."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from drivers.base import SelfTesting
from drivers.errors import DriverError
from drivers.registry import load_driver
from gateway.config import Config, RadioSetup, radio_setups
from gateway.errors import CommandError
from gateway.services.acts import Perform
from gateway.services.supervision import Supervisor
from gateway.systemclock import SystemClock

LONGEST_S = 25.0
"""The answer is waited for on a page; what takes longer is left to `offgrid-gateway radios check`."""


def radio_test(config: Config, supervisor: Supervisor, clock: SystemClock) -> Perform:
    """The act ``test``, with the argument ``radio``; it answers with the checks."""

    async def test(arguments: Mapping[str, Any]) -> object:
        setup = _setup(config, arguments.get("radio"))
        driver = load_driver(setup.driver)(setup.name, setup.settings, clock=clock)
        if not isinstance(driver, SelfTesting):
            raise CommandError(f"{setup.name}: driver {setup.driver!r} has no test of its own")
        try:
            async with supervisor.borrowed(setup.name, "is being tested"), asyncio.timeout(LONGEST_S):
                return {"radio": setup.name, "checks": [asdict(check) async for check in driver.self_test()]}
        except TimeoutError:
            raise CommandError(
                f"{setup.name}: the test took more than {LONGEST_S:.0f} s; run it with the gateway stopped"
            ) from None
        except DriverError as error:
            raise CommandError(f"{setup.name}: {error}") from error

    return test


def _setup(config: Config, name: object) -> RadioSetup:
    setups = {setup.name: setup for setup in radio_setups(config)}
    if not isinstance(name, str) or name not in setups:
        raise CommandError(f"no radio {name!r} is configured; there are: {', '.join(setups) or 'none'}")
    return setups[name]
