"""Key files: the gateway's own identity, and the coordinator's pinned key.

``gateway.keys.generate`` is not imported here: only ``keygen`` needs what it pulls in.
"""

from __future__ import annotations

from gateway.keys.credentials import handed_over, is_handed_over
from gateway.keys.durable import Owner
from gateway.keys.identity import Identity, load_identity
from gateway.keys.pin import pinned_key, store_pin

__all__ = ["Identity", "Owner", "handed_over", "is_handed_over", "load_identity", "pinned_key", "store_pin"]
