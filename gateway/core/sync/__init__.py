"""Gateway ↔ coordinator: wire messages, and the state machine that speaks them; docs/protocol/sync.md."""

from __future__ import annotations

from gateway.core.sync.events import (
    Acked,
    Adopt,
    BeginEpoch,
    Closed,
    Connected,
    Event,
    EvidenceHeld,
    Fault,
    Halted,
    HaltReason,
    Hold,
    ReadBatch,
    ReadBodies,
    ReadEvidence,
    ReadRoots,
    Record,
    Send,
    Supplied,
    TakeNotice,
    TimeTold,
)
from gateway.core.sync.handshake import Local, Standing
from gateway.core.sync.messages import MAX_HEARD_BYTES, told_reasons
from gateway.core.sync.session import Session, State

__all__ = [
    "MAX_HEARD_BYTES",
    "Acked",
    "Adopt",
    "BeginEpoch",
    "Closed",
    "Connected",
    "Event",
    "EvidenceHeld",
    "Fault",
    "HaltReason",
    "Halted",
    "Hold",
    "Local",
    "ReadBatch",
    "ReadBodies",
    "ReadEvidence",
    "ReadRoots",
    "Record",
    "Send",
    "Session",
    "Standing",
    "State",
    "Supplied",
    "TakeNotice",
    "TimeTold",
    "told_reasons",
]
