"""How far the store may grow; what happens at each bound stands beside it."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.core.conflict import MAX_TEXTS

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of the store, in bytes where not said otherwise.

    Below ``free_disk_floor`` of free disk nothing new is accepted (STORAGE_FULL). Objects that no proven key
    vouches for may take ``unproven_bytes``: beyond, a snapshot is taken without them (its list still names
    them), and loose ones are refused (QUOTA). ``texts_per_nonce`` likewise for one (sender, nonce).
    ``lookup_tail`` objects, about 350 bytes of memory each, are found in memory before they are indexed; half
    as many more, at most, while they are.
    """

    free_disk_floor: int = 200 * MIB
    unproven_bytes: int = 256 * MIB
    texts_per_nonce: int = MAX_TEXTS
    lookup_tail: int = 4096
