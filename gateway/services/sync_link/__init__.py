"""The link to the coordinator: one WebSocket at a time, driven by ``core.sync``, reopened after a backoff."""

from __future__ import annotations

from gateway.services.sync_link.figures import LinkFigures
from gateway.services.sync_link.link import LinkSettings, SyncLink
from gateway.services.sync_link.tls import client_context

__all__ = ["LinkFigures", "LinkSettings", "SyncLink", "client_context"]
