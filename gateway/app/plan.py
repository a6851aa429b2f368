"""The floor plan: which parts there are, what each is given, and who is told what."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from gateway import __version__
from gateway.app import settings
from gateway.app.commands import daemon_commands, log_commands
from gateway.app.lifetime import Live, until_told
from gateway.app.link import Link
from gateway.app.pages import Pages
from gateway.app.radios import Radios
from gateway.config import Config
from gateway.core.admission import Admission
from gateway.core.timekeeper import Timekeeper
from gateway.core.vitals import Part
from gateway.keys import load_identity
from gateway.services import control, retention
from gateway.services.metrics import Metrics
from gateway.services.monitor import Monitor, Sources
from gateway.services.reception import Reception, Signer
from gateway.services.recorder import Recorder
from gateway.services.supervision import Supervisor
from gateway.store import Store
from gateway.systemclock import SystemClock


async def run(path: Path, config: Config) -> None:
    """Build the house, live in it, leave it in order. Raises FatalError."""
    identity = load_identity(config.security.private_key_path, config.security.certificate_path)
    clock, metrics, admission = SystemClock(), Metrics(), Admission(settings.rates(config))
    timekeeper = Timekeeper(clock)
    live = Live(path, config, admission)
    threads = config.limits.verify_threads

    async with (
        Store(settings.store_settings(config)) as store,
        Recorder(
            store,
            sign=identity.sign,
            now=timekeeper.now,
            monotonic=clock.monotonic,
            verify_threads=threads,
        ) as recorder,
    ):
        supervisor = Supervisor(clock, rng=random.Random())  # noqa: S311 - jitter
        reception = Reception(
            recorder,
            store,
            admission,
            Signer(gateway_id=config.gateway.id, key=identity.public_key, sign=identity.sign),
            now=timekeeper.now,
            monotonic=clock.monotonic,
            max_bytes=lambda: live.config.limits.max_upload_bytes,
            answered=metrics.answered,
        )
        radios = Radios(config, reception, metrics, clock, identity.sign)
        link = Link(config, identity, store, timekeeper, clock, metrics.synced)
        monitor = Monitor(
            Sources(
                gateway_id=config.gateway.id,
                version=__version__,
                store=store,
                free_bytes=settings.free_bytes(config),
                disk_floor=settings.disk_floor(config),
                now=timekeeper.now,
                parts=lambda: _parts(supervisor, clock.monotonic()),
                radios=radios.stats,
                lora=radios.lora,
                link=link.vitals,
                circumstances=settings.circumstances(config, timekeeper.now),
            ),
            clock,
        )
        link.told_by(monitor)
        pages = Pages(config, monitor, metrics, reception)
        commands = {
            **daemon_commands(monitor, supervisor, live.reload),
            **log_commands(config, identity, store),
        }

        for name, service in {**radios.services(), **pages.services()}.items():
            supervisor.add(name, service)
        supervisor.add("control", partial(control.serve, config.control_socket, commands))
        supervisor.add("recorder", recorder.run)
        supervisor.add("link", link.run)
        supervisor.add(
            "retention",
            partial(
                retention.keep,
                store,
                lambda: settings.retention_policy(live.config, timekeeper.now()),
                free_bytes=settings.free_bytes(config),
                disk_floor=settings.disk_floor(config),
                clock=clock,
            ),
        )
        supervisor.add("monitor", partial(monitor.watch, link.health_changed))
        supervisor.add("systemd", partial(pages.tell_systemd, store.head, clock))
        await until_told(supervisor.run(), live.reload)


def _parts(supervisor: Supervisor, now: float) -> Mapping[str, Part]:
    return {
        name: Part(
            state=service.state.value,
            for_s=now - service.since,
            restarts=service.restarts,
            reason=service.reason,
        )
        for name, service in supervisor.services.items()
    }
