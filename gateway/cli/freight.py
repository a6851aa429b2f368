"""What ``export`` and ``import`` share: the desk of a gateway that is stopped; progress."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from gateway.config import Config
from gateway.errors import CommandError
from gateway.services.carrying import Carrying


@asynccontextmanager
async def stopped_desk(config: Config) -> AsyncIterator[Carrying]:
    """The desk of a gateway that does not run. Raises CommandError where it has no database yet."""
    from gateway.app.carrying import freight
    from gateway.app.own_log import require_own_log
    from gateway.app.settings import store_settings
    from gateway.core.timekeeper import Timekeeper
    from gateway.keys import load_identity
    from gateway.store import Store
    from gateway.systemclock import SystemClock

    if not config.storage.path.parent.is_dir():
        raise CommandError(f"{config.storage.path.parent}: not there; run the gateway once, or: init")
    identity = load_identity(config.security.private_key_path, config.security.certificate_path)
    async with Store(store_settings(config)) as store:
        await require_own_log(store, identity)
        yield freight(config, identity, store, Timekeeper(SystemClock()).now).carrying


class Progress:
    """One line that grows on a terminal; nothing where nobody looks."""

    def __init__(self, name: str, total: int) -> None:
        self._name, self._total = name, max(1, total)
        self._is_seen = sys.stderr.isatty()

    def __call__(self, done: int, total: int | None = None) -> None:
        if self._is_seen:
            of = total or self._total
            click.echo(f"\r{self._name}: {min(100, 100 * done // of):3} %", nl=done >= of, err=True)
