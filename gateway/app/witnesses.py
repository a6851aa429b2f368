"""Who is told of what the radios hear and send: the metrics, and the page."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.base import Frame
from gateway.services.metrics import Metrics
from gateway.services.panel import Panel


@dataclass(frozen=True, slots=True)
class Witnesses:
    """Passes each on to both."""

    metrics: Metrics
    panel: Panel

    def heard(self, frame: Frame) -> None:
        """A frame came in."""
        self.metrics.heard(frame)
        self.panel.heard(frame)

    def sent(self, radio: str, airtime_us: int) -> None:
        """A frame went out."""
        self.metrics.sent(radio, airtime_us)
        self.panel.sent(radio, airtime_us)

    def answered(self, radio: str, outcome: str) -> None:
        """A message was answered."""
        self.metrics.answered(radio, outcome)
