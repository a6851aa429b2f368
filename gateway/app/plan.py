"""The floor plan: which parts there are, what each is given, and who is told what."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.app import collector, settings
from gateway.app.backups import Backups, restore_if_wiped
from gateway.app.carrying import Freight, freight
from gateway.app.commands import daemon_acts, daemon_commands, log_commands
from gateway.app.lifetime import Anew, Live, until_told
from gateway.app.link import Link
from gateway.app.meshing import mesh_services
from gateway.app.orders import order_acts, pinned
from gateway.app.own_log import require_own_log
from gateway.app.pages import Pages, Routes
from gateway.app.place import Place
from gateway.app.radio_test import radio_test
from gateway.app.radios import Radios
from gateway.app.trial import Configuration, Signs
from gateway.app.witnesses import Witnesses
from gateway.audit import AuditLog
from gateway.config import Config
from gateway.core.admission import Admission
from gateway.core.last_way import LastWay
from gateway.core.owed import Owed
from gateway.core.timekeeper import Timekeeper
from gateway.core.vitals import LinkVitals, Part, Vitals
from gateway.keys import Identity, handed_over, load_identity
from gateway.keys.tokens import TokenFile
from gateway.model import RetentionPolicy
from gateway.services import carrying, control, retention
from gateway.services.acts import Acts, Perform
from gateway.services.after_restore import PATIENCE_S, AfterRestore
from gateway.services.airtime import AirtimeBook, boot_id
from gateway.services.announcing import Announcing
from gateway.services.last_way_book import LastWayBook
from gateway.services.last_way_home import LastWayHome
from gateway.services.machine import Kernel, Machine
from gateway.services.metrics import Metrics
from gateway.services.monitor import Monitor, Sources
from gateway.services.orders import NumberBook, Orders
from gateway.services.panel import Panel
from gateway.services.promptness import Promptness
from gateway.services.reception import Reception, Signer
from gateway.services.recorder import Recorder
from gateway.services.renewal import Renewal
from gateway.services.supervision import Service, Supervisor
from gateway.store import Store
from gateway.systemclock import SystemClock


async def run(path: Path, config: Config) -> bool:
    """Build the house, live in it until told to leave, leave it in order. Raises FatalError.

    Whether to build it again, with another configuration.
    """
    ground = Ground.of(path, config)
    await restore_if_wiped(config, ground.identity)
    async with Store(settings.store_settings(config)) as store, ground.recorder(store) as recorder:
        await require_own_log(store, ground.identity)
        supervisor = Supervisor(ground.clock, rng=random.Random())  # noqa: S311 - jitter
        owed = Owed()
        reception = ground.reception(recorder, store, owed)
        place = Place(config, ground.timekeeper, ground.clock)
        book = AirtimeBook(config.storage.airtime_path, ground.clock, boot_id())
        sign = ground.identity.sign
        announcing = Announcing(
            reception, ground.timekeeper.now, ground.clock, lambda: link.vitals().connected
        )
        panel = ground.panel(lambda: monitor.read())
        witnesses = Witnesses(ground.metrics, panel)
        radios = Radios(
            config, reception, witnesses, ground.clock, sign, place, book, store, owed, announcing
        )

        def synced(seconds: float) -> None:
            ground.metrics.synced(seconds)
            announcing.soon()

        async def noticed() -> None:
            ground.admission.block_told(await store.blocked())

        await noticed()
        goods = freight(config, ground.identity, store, ground.timekeeper.now)
        link = Link(
            config, ground.identity, store, ground.timekeeper, ground.clock, synced, noticed, goods.delivery
        )
        after_restore = ground.after_restore(store, link)
        waits = await after_restore.hold()
        last_way_home = ground.last_way_home(store, radios, link)
        machine = ground.machine()
        backups = Backups(config, ground.identity, store, ground.clock, machine.over_budget)
        renewal = ground.renewal(supervisor)
        promptness = Promptness(store.head, ground.clock)
        monitor = ground.monitor(
            store, supervisor, radios, link, place, machine, backups, renewal, promptness
        )
        link.told_by(monitor)
        anew = Anew(lambda: orders.told())
        trial = ground.trial(monitor, link, anew)
        orders = ground.orders({**trial.acts(), "rotate": renewal.rotate}, monitor, supervisor, radios)
        if config.remote.enabled:
            link.obeys(orders)
        commands = {**daemon_commands(monitor, path), **log_commands(config, ground.identity, store)}
        commands |= backups.commands()
        commands |= carrying.commands(goods.carrying, goods.carried, config.storage.outbox_path)
        acts = ground.acts(supervisor, goods, backups, renewal)
        site = partial(ground.site, panel, acts, store, goods)
        pages = Pages(config, monitor, ground.metrics, reception, site)
        meshed = mesh_services(
            config, ground.identity, store, goods, radios, lambda: _down_s(link), ground.clock
        )
        services: Mapping[str, Service] = {
            **meshed,
            **radios.services(),
            **place.services(),
            **pages.services(),
            **last_way_home,
            **backups.services(),
            **({"after_restore": after_restore.run} if waits else {}),
            "control": partial(control.serve, config.control_socket, commands, acts),
            "recorder": recorder.run,
            "panel": panel.run,
            "machine": machine.run,
            "promptness": promptness.run,
            "certificate": partial(
                renewal.run, partial(acts.perform, "gateway", "rotate", {"what": "certificate"})
            ),
            "link": link.run,
            "orders": orders.run,
            "trial": trial.run,
            "retention": ground.retention(store, backups),
            "monitor": partial(monitor.watch, link.health_changed),
            "systemd": partial(pages.tell_systemd, monitor.read, ground.clock),
        }
        for name, service in services.items():
            supervisor.add(name, service)
        try:
            collector.calm()
            return await until_told(supervisor.run(), ground.live.reload, anew)
        finally:
            book.close()


@dataclass(frozen=True, slots=True)
class Ground:
    """What stands before anything is opened, and what is built on it alone."""

    config: Config
    identity: Identity
    clock: SystemClock
    timekeeper: Timekeeper
    metrics: Metrics
    admission: Admission
    live: Live
    last_way_book: LastWayBook

    @classmethod
    def of(cls, path: Path, config: Config) -> Ground:
        security = config.security
        key_path = handed_over(security.private_key_path, os.environ)
        guarded = key_path != security.private_key_path
        identity = load_identity(key_path, security.certificate_path, guarded=guarded)
        clock = SystemClock()
        admission = Admission(settings.rates(config), blocked=config.limits.blocked_devices)
        live = Live(path, config, admission)
        book = LastWayBook(config.storage.last_way_path, clock)
        return cls(config, identity, clock, Timekeeper(clock), Metrics(), admission, live, book)

    def recorder(self, store: Store) -> Recorder:
        return Recorder(
            store,
            sign=self.identity.sign,
            now=self.timekeeper.now,
            monotonic=self.clock.monotonic,
            verify_threads=self.config.limits.verify_threads,
        )

    def reception(self, recorder: Recorder, store: Store, owed: Owed) -> Reception:
        identity = self.identity
        return Reception(
            recorder,
            store,
            self.admission,
            Signer(gateway_id=self.config.gateway.id, key=identity.public_key, sign=identity.sign),
            now=self.timekeeper.now,
            monotonic=self.clock.monotonic,
            max_bytes=lambda: self.live.config.limits.max_upload_bytes,
            answered=self.metrics.answered,
            owed=owed,
            told=self.last_way_book.told,
        )

    def monitor(
        self,
        store: Store,
        supervisor: Supervisor,
        radios: Radios,
        link: Link,
        place: Place,
        machine: Machine,
        backups: Backups,
        renewal: Renewal,
        promptness: Promptness,
    ) -> Monitor:
        sources = Sources(
            gateway_id=self.config.gateway.id,
            version=__version__,
            store=store,
            free_bytes=settings.free_bytes(self.config),
            disk_floor=settings.disk_floor(self.config),
            now=self.timekeeper.now,
            parts=lambda: _parts(supervisor, self.clock.monotonic()),
            radios=radios.stats,
            lora=radios.lora,
            link=partial(self.link_vitals, link),
            gps=place.vitals,
            machine=machine.vitals,
            backup=backups.vitals,
            slow=lambda: promptness.slowness.counts,
            circumstances=settings.circumstances(self.config, self.timekeeper.now, lambda: renewal.validity),
        )
        return Monitor(sources, self.clock)

    def after_restore(self, store: Store, link: Link) -> AfterRestore:
        mark, key = settings.restored_mark(self.config), self.identity.public_key
        now, clock = self.timekeeper.now, self.clock
        backup = self.config.backup
        patience_s = PATIENCE_S if backup is None else float(backup.offline_after_seconds)
        return AfterRestore(mark, store, key, lambda: link.vitals().connected, now, clock, patience_s)

    def last_way_home(self, store: Store, radios: Radios, link: Link) -> Mapping[str, Service]:
        """Where there is a modem, and the coordinator has a number."""
        gsm = self.config.gsm
        if gsm is None or gsm.coordinator_number is None:
            return {}
        way = LastWayHome(
            gsm.coordinator_number,
            LastWay(settings.last_way(gsm.last_way_home), self.last_way_book.sent()),
            self.last_way_book,
            store,
            self.identity.public_key,
            self.identity.sign,
            radios.text,
            lambda: _down_s(link),
            self.clock,
        )
        return {"last_way_home": way.run}

    def renewal(self, supervisor: Supervisor) -> Renewal:
        return Renewal(
            settings.certificates(self.config),
            self.identity.private_key_path,
            self.config.gateway.id,
            partial(supervisor.restart, "link"),
            self.timekeeper.now,
            self.clock,
        )

    def machine(self) -> Machine:
        storage, budget = self.config.storage, settings.traffic_budget(self.config)
        kernel = Kernel(storage.path.parent)
        return Machine(kernel, storage.traffic_path, boot_id(), budget, self.timekeeper.now, self.clock)

    def acts(self, supervisor: Supervisor, goods: Freight, backups: Backups, renewal: Renewal) -> Acts:
        acts = {
            **carrying.acts(goods.carrying),
            **backups.acts(),
            **daemon_acts(supervisor, self.live.reload),
            "rotate": renewal.rotate,
            "test": radio_test(self.config, supervisor, self.clock),
        }
        log = AuditLog(self.config.storage.audit_path)
        return Acts(log, acts, self.timekeeper.now, self.clock.monotonic)

    def orders(
        self, besides: Mapping[str, Perform], monitor: Monitor, supervisor: Supervisor, radios: Radios
    ) -> Orders:
        storage, now = self.config.storage, self.timekeeper.now
        names = radios.services().keys()
        acts = order_acts(monitor, self.live.path, supervisor, names, storage.support_path)
        book = NumberBook(storage.order_path)
        written = Acts(AuditLog(storage.audit_path), {**acts, **besides}, now, self.clock.monotonic)
        return Orders(self.identity.public_key, partial(pinned, self.config), book, written, now)

    def trial(self, monitor: Monitor, link: Link, anew: Anew) -> Configuration:
        """Of what the coordinator applies."""
        log, now, monotonic = (
            AuditLog(self.config.storage.audit_path),
            self.timekeeper.now,
            self.clock.monotonic,
        )

        async def written(name: str, act: Perform, arguments: Mapping[str, Any]) -> object:
            return await Acts(log, {name: act}, now, monotonic).perform("gateway", name, arguments)

        signs = Signs(monitor.read, lambda: link.vitals().connected)
        return Configuration(self.live, signs, self.clock, anew.asked, written)

    def panel(self, vitals: Callable[[], Awaitable[Vitals]]) -> Panel:
        return Panel(self.config.storage.day_path, vitals, self.timekeeper.now, self.clock)

    def site(self, panel: Panel, acts: Acts, store: Store, goods: Freight) -> Routes:
        """The page's routes; imported when HTTP is first served."""
        from gateway.services.http.publication import publication
        from gateway.services.http.site import site

        published = publication(store, self.identity.public_key)
        tokens = TokenFile(self.config.storage.tokens_path)
        now = self.timekeeper.now
        clocks = (lambda: now().unix_ms), self.clock.monotonic
        shown = site(panel.document, acts, tokens.tokens, *clocks, goods.carrying)
        return {**published, **shown}

    def link_vitals(self, link: Link) -> LinkVitals:
        """With what the coordinator knows by text message alone."""
        told = self.last_way_book.told()
        return link.vitals() if told is None else replace(link.vitals(), told_size=told.size)

    def retention(self, store: Store, backups: Backups) -> Service:
        def policy() -> RetentionPolicy:
            held = settings.retention_policy(self.live.config, self.timekeeper.now())
            vitals = backups.vitals()
            return held if vitals is None else replace(held, backed_up=vitals.covered)

        return partial(
            retention.keep,
            store,
            policy,
            free_bytes=settings.free_bytes(self.config),
            disk_floor=settings.disk_floor(self.config),
            clock=self.clock,
        )


def _down_s(link: Link) -> float:
    vitals = link.vitals()
    return 0.0 if vitals.connected else vitals.down_s


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
