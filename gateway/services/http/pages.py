"""The pages that tell how the daemon fares: /health, /livez, /readyz, /status and /metrics."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from gateway.core.vitals import PAGE_BELOW, Vitals, health_document, status_document
from gateway.services.http.connection import Request
from gateway.services.http.message import Response
from gateway.services.http.server import Respond

PROBES = frozenset({"/health", "/livez", "/readyz"})

ReadVitals = Callable[[], Awaitable[Vitals]]


def pages(vitals: ReadVitals) -> Mapping[tuple[str, str], Respond]:
    """Routes over the newest vitals."""

    async def health(request: Request) -> Response:
        """200 while the score is 50 or more: what stands below it is for the operator's alert."""
        seen = await vitals()
        return Response.of_json(health_document(seen), 200 if seen.health.score >= PAGE_BELOW else 503)

    async def alive(request: Request) -> Response:
        """200 as long as anything can be answered at all."""
        return Response.of_text("alive\n")

    async def ready(request: Request) -> Response:
        """200 while an upload could be promised, else 503 and why not."""
        seen = await vitals()
        if seen.ready:
            return Response.of_text("ready\n")
        return Response.of_text("".join(f"{reason}\n" for reason in seen.health.reasons), 503)

    async def status(request: Request) -> Response:
        """Each part with its state, for people and programs."""
        return Response.of_json(status_document(await vitals()))

    return {
        ("GET", "/health"): health,
        ("GET", "/livez"): alive,
        ("GET", "/readyz"): ready,
        ("GET", "/status"): status,
    }


def metrics_page(
    page: Callable[[], Awaitable[bytes]], content_type: str
) -> Mapping[tuple[str, str], Respond]:
    """The route that Prometheus scrapes."""

    async def metrics(request: Request) -> Response:
        return Response(await page(), content_type)

    return {("GET", "/metrics"): metrics}
