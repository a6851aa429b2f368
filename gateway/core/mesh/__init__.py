"""Gateways in range carry each other's bundles toward a backhaul, and acks back; docs/protocol/mesh.md."""

from __future__ import annotations

from gateway.core.mesh.messages import NOWHERE, AckLine, AckMessage, Have, Line, Piece, Want, ack_id
from gateway.core.mesh.relay import Event, Keep, Relay, RelayLimits, Send, SendAck, Serve, TakeAck

__all__ = [
    "NOWHERE",
    "AckLine",
    "AckMessage",
    "Event",
    "Have",
    "Keep",
    "Line",
    "Piece",
    "Relay",
    "RelayLimits",
    "Send",
    "SendAck",
    "Serve",
    "TakeAck",
    "Want",
    "ack_id",
]
