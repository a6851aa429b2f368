"""What the link counts; its own task writes, status and metrics read."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.core.vitals import LinkVitals

# Offers whose ACK is awaited: two a link, and those of links that broke before it.
_MAX_OFFERS = 16


@dataclass(slots=True)
class LinkFigures:
    """Times are monotonic seconds. Bytes are those of WebSocket frames, without TLS and TCP below them."""

    since_s: float  # of the present state
    changed: Callable[[], None]  # called when the link opened or ended, and at every ACK
    connected: bool = False
    attempts: int = 0
    connects: int = 0
    acks: int = 0
    acked_size: int = 0  # since the daemon started
    heartbeats: int = 0  # answered
    rx_bytes: int = 0
    tx_bytes: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    last_fault: str = ""
    halted: str | None = None
    round_trip_s: float | None = None
    acked_at_s: float | None = None
    ack_latency_s: float | None = None
    _offers: deque[tuple[int, float]] = field(default_factory=deque)

    def received(self, payload_bytes: int) -> None:
        self.rx_bytes += payload_bytes + frame_overhead(payload_bytes)

    def sent(self, payload_bytes: int) -> None:
        self.tx_bytes += payload_bytes + frame_overhead(payload_bytes) + 4  # a client masks

    def opened(self, now_s: float) -> None:
        self.connected, self.since_s = True, now_s
        self.connects += 1
        self.last_fault, self.halted = "", None
        self.changed()

    def ended(self, now_s: float, word: str, detail: str) -> None:
        self.faults[word] += 1
        self.last_fault = detail
        if self.connected:
            self.connected, self.since_s = False, now_s
        self.changed()

    def offered(self, end: int, now_s: float) -> None:
        """Entries up to ``end`` are offered; one that is offered again keeps its first time."""
        if (not self._offers or self._offers[-1][0] < end) and len(self._offers) < _MAX_OFFERS:
            self._offers.append((end, now_s))

    def acked(self, size: int, now_s: float, observe: Callable[[float], None]) -> None:
        """``observe`` is told the seconds from the first offer of what this ACK covers."""
        self.acks += 1
        self.acked_size = size
        self.acked_at_s = now_s
        covered = [self._offers.popleft()[1] for end, _ in tuple(self._offers) if end <= size]
        if covered:
            self.ack_latency_s = now_s - covered[0]
            observe(self.ack_latency_s)
        self.changed()

    def vitals(self, now_s: float) -> LinkVitals:
        return LinkVitals(
            connected=self.connected,
            down_s=0.0 if self.connected else now_s - self.since_s,
            halted=self.halted,
            last_fault=self.last_fault,
            attempts=self.attempts,
            last_ack_age_s=None if self.acked_at_s is None else now_s - self.acked_at_s,
            last_ack_latency_s=self.ack_latency_s,
            round_trip_s=self.round_trip_s,
            faults=dict(self.faults),
            rx_bytes=self.rx_bytes,
            tx_bytes=self.tx_bytes,
        )


def frame_overhead(payload_bytes: int) -> int:
    """A WebSocket frame's header without the mask, RFC 6455 §5.2."""
    return 2 if payload_bytes < 126 else 4 if payload_bytes < 1 << 16 else 10
