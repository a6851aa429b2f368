"""Prometheus: every name in one file, and the page that shows them."""

from __future__ import annotations

from gateway.services.metrics.page import CONTENT_TYPE, Metrics

__all__ = ["CONTENT_TYPE", "Metrics"]
