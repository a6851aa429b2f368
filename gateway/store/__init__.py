"""The one thing that owns the database: an append-only log of what was accepted, and what was promised."""

from __future__ import annotations

from gateway.store.limits import Limits
from gateway.store.store import Store, StoreSettings

__all__ = ["Limits", "Store", "StoreSettings"]
