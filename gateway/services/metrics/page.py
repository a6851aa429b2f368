"""The metrics page, on a registry of its own.

What happens (a request, a frame, an ack) is counted where it happens, through the methods of
:class:`Metrics`; what stands (sizes, ages, states) is read from the vitals when Prometheus asks.

The page is the text format 0.0.4 only: in OpenMetrics the guide's gauge ``conflicts_resolved`` and the
counter ``conflicts_resolved_total`` would be one family.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, ProcessCollector, disable_created_metrics
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from drivers.base import Frame
from gateway.core.vitals import Vitals
from gateway.services.metrics import names

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

STATUSES = (200, 400, 403, 404, 409, 413, 415, 422, 429, 500, 503, 507)
"""These exist with 0 from the start: a rate over a series that begins with its first error misses that."""


class Metrics:
    """What the services report to, and the page. Owned by the event loop."""

    def __init__(self) -> None:
        # Else a second series stands beside each counter, which nobody reads. (Their function has no types.)
        disable_created_metrics()  # type: ignore[no-untyped-call] # untyped upstream
        self._registry = registry = CollectorRegistry(auto_describe=False)
        self._latest = _Latest()
        registry.register(self._latest)
        ProcessCollector(registry=registry)
        self._requests = names.REQUESTS.counter(registry)
        self._request_seconds = names.REQUEST_SECONDS.histogram(registry)
        self._uploads = names.UPLOADS.counter(registry)
        self._sync = names.SYNC.histogram(registry), names.SYNC_SECONDS.histogram(registry)
        self._rssi = names.RSSI.histogram(registry)
        self._snr = names.SNR.histogram(registry)
        self._airtime = names.AIRTIME.counter(registry)
        for status in STATUSES:
            self._requests.labels(status)

    def page(self, vitals: Vitals) -> bytes:
        """The whole page, of type :data:`CONTENT_TYPE`."""
        self._latest.vitals = vitals
        return generate_latest(self._registry)

    def requested(self, status: int, seconds: float) -> None:
        """An HTTP request that is no probe was answered."""
        self._requests.labels(status).inc()
        self._request_seconds.observe(seconds)

    def answered(self, radio: str, outcome: str) -> None:
        """A message was answered: ``accepted``, ``duplicate``, ``resume`` …, or a refusal's word."""
        self._uploads.labels(radio, outcome).inc()

    def synced(self, seconds: float) -> None:
        """An ack covered what was offered this long ago."""
        for histogram in self._sync:
            histogram.observe(seconds)

    def heard(self, frame: Frame) -> None:
        """A frame came in."""
        if frame.lora is not None:
            self._rssi.labels(frame.radio).observe(frame.lora.rssi_dbm)
            self._snr.labels(frame.radio).observe(frame.lora.snr_db)
            self._airtime.labels(frame.radio, "heard").inc(frame.lora.airtime_us / 1e6)

    def sent(self, radio: str, airtime_us: int) -> None:
        """A frame went out."""
        self._airtime.labels(radio, "sent").inc(airtime_us / 1e6)


class _Latest(Collector):
    """Gives Prometheus the vitals that were read for this very page."""

    def __init__(self) -> None:
        self.vitals: Vitals | None = None

    def collect(self) -> Iterator[Metric]:
        if self.vitals is not None:
            for row in names.ROWS:
                yield row.family(self.vitals)
