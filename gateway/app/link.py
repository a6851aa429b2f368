"""The link to the coordinator as a service: built anew for each run, for its files may have changed."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping

from gateway import __version__
from gateway.app import settings
from gateway.config import Config
from gateway.core.sync import Local, told_reasons
from gateway.core.timekeeper import Timekeeper
from gateway.core.vitals import LinkVitals, Vitals
from gateway.keys import Identity, pinned_key
from gateway.services.monitor import Monitor
from gateway.services.sync_link import SyncLink
from gateway.services.sync_link.cargo import Cargo
from gateway.services.sync_link.remote import Remote
from gateway.store import Store
from gateway.systemclock import SystemClock


class Link:
    """Without the coordinator's key it halts, and everything else goes on."""

    def __init__(
        self,
        config: Config,
        identity: Identity,
        store: Store,
        timekeeper: Timekeeper,
        clock: SystemClock,
        synced: Callable[[float], None],
        noticed: Callable[[], Awaitable[None]],
        cargo: Cargo | None = None,
    ) -> None:
        self._config = config
        self._identity = identity
        self._store = store
        self._timekeeper = timekeeper
        self._clock = clock
        self._synced = synced
        self._noticed = noticed
        self._cargo = cargo
        self._remote: Remote | None = None
        self._instance = secrets.token_bytes(16)  # of this boot
        self._started = clock.monotonic()
        self._link: SyncLink | None = None
        self._monitor: Monitor | None = None

    def told_by(self, monitor: Monitor) -> None:
        """Who knows what the heartbeats tell."""
        self._monitor = monitor

    def obeys(self, remote: Remote) -> None:
        """Who takes the coordinator's orders."""
        self._remote = remote

    async def run(self) -> None:
        self._link = self._built()
        await self._link.run()

    def vitals(self) -> LinkVitals:
        if self._link is None:
            return LinkVitals(down_s=self._clock.monotonic() - self._started)
        return self._link.vitals()

    def health_changed(self, vitals: Vitals) -> None:
        if self._link is not None:
            self._link.heartbeat_soon()

    def _built(self) -> SyncLink:
        config, identity = self._config, self._identity
        coordinator = pinned_key(config.network.coordinator_key, config.storage.pin_path)
        local = Local(
            gateway_id=config.gateway.id,
            key=identity.public_key,
            sign=identity.sign,
            coordinator=coordinator,
            instance=self._instance,
            version=__version__,
        )
        return SyncLink(
            settings.link_settings(config),
            local,
            self._store,
            self._timekeeper,
            self._clock,
            status=self._heartbeat,
            observe_sync=self._synced,
            noticed=self._noticed,
            cargo=self._cargo,
            remote=self._remote,
        )

    def _heartbeat(self) -> Mapping[str, object]:
        vitals = None if self._monitor is None else self._monitor.latest
        if vitals is None:
            return {"version": __version__}
        # The reading may be older than the link that this goes over.
        deductions = [one for one in vitals.health.deductions if one.code != "link_down"]
        return {
            "health": max(0, 100 - sum(one.points for one in deductions)),
            "reasons": told_reasons([one.reason for one in deductions]),
            "version": vitals.version,
            "backlog": vitals.backlog,
            "oldest_s": int(vitals.oldest_unacked_s),
            "radios": {name: "works" if radio.works else "down" for name, radio in vitals.radios.items()},
        }
