"""The HTTP servers as services, imported when they are first run; and READY to systemd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.clock import Clock
from gateway.config import Config
from gateway.services import systemd
from gateway.services.metrics import CONTENT_TYPE, Metrics
from gateway.services.monitor import Monitor
from gateway.services.reception import Reception
from gateway.services.supervision import Service

Routes = Mapping[tuple[str, str], Callable[[Any], Awaitable[Any]]]
"""Of `gateway.services.http`, which is imported when it is first served."""

READY_WITHIN_S = 2.0
"""A server that does not listen by then does not keep the rest from being ready; health says it."""


class Pages:
    """``http`` for phones and people, where it is enabled; ``metrics`` for Prometheus."""

    def __init__(
        self,
        config: Config,
        monitor: Monitor,
        metrics: Metrics,
        reception: Reception,
        site: Callable[[], Routes],
    ) -> None:
        self._config = config
        self._site = site
        self._monitor = monitor
        self._metrics = metrics
        self._reception = reception
        self._listening = {name: asyncio.Event() for name in self.services()}

    def services(self) -> Mapping[str, Service]:
        """By name."""
        if self._config.http.enabled:
            return {"http": self._serve_http, "metrics": self._serve_metrics}
        return {"metrics": self._serve_metrics}

    async def tell_systemd(self, alive: Callable[[], Awaitable[object]], clock: Clock) -> None:
        """READY once the servers listen; then the watchdog."""
        waiting = asyncio.gather(*(event.wait() for event in self._listening.values()))
        try:
            await asyncio.wait_for(waiting, READY_WITHIN_S)
        except TimeoutError:
            pass  # said where it failed
        systemd.notify("READY=1")
        await systemd.watchdog(alive, clock=clock)

    async def _serve_http(self) -> None:
        from gateway.services.http.pages import PROBES, pages
        from gateway.services.http.server import Site, serve
        from gateway.services.http.uploads import uploads

        http = self._config.http
        await serve(
            Site(
                name="http",
                host=http.host,
                port=http.port,
                routes={**uploads(self._reception), **pages(self._monitor.read), **self._site()},
                probes=PROBES,
                counted=self._metrics.requested,
                opened=lambda host, port: self._listening["http"].set(),
            )
        )

    async def _serve_metrics(self) -> None:
        from gateway.services.http.pages import metrics_page
        from gateway.services.http.server import Site, serve

        async def page() -> bytes:
            return self._metrics.page(await self._monitor.read())

        metrics = self._config.metrics
        await serve(
            Site(
                name="metrics",
                host=metrics.host,
                port=metrics.port,
                routes=metrics_page(page, CONTENT_TYPE),
                opened=lambda host, port: self._listening["metrics"].set(),
            )
        )
