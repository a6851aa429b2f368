"""Gateway ↔ coordinator: wire messages, and the state machine that speaks them; docs/protocol/sync.md."""

from __future__ import annotations

from gateway.core.sync.events import (
    Acked,
    Closed,
    Connected,
    Event,
    Fault,
    Halted,
    HaltReason,
    ReadBatch,
    ReadBodies,
    ReadRoots,
    Record,
    Send,
    TimeTold,
)
from gateway.core.sync.handshake import Local, Standing
from gateway.core.sync.messages import MAX_HEARD_BYTES, told_reasons
from gateway.core.sync.session import Session, State

__all__ = [
    "MAX_HEARD_BYTES",
    "Acked",
    "Closed",
    "Connected",
    "Event",
    "Fault",
    "HaltReason",
    "Halted",
    "Local",
    "ReadBatch",
    "ReadBodies",
    "ReadRoots",
    "Record",
    "Send",
    "Session",
    "Standing",
    "State",
    "TimeTold",
    "told_reasons",
]
