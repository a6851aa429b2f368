"""The folder of bundles and acks that this gateway carries for others."""

from __future__ import annotations

from gateway.carried.folder import Ack, Carried, CarryRefused, Held

__all__ = ["Ack", "Carried", "CarryRefused", "Held"]
