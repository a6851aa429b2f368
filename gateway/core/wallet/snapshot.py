"""A wallet's signed statement about its ledger."""

from __future__ import annotations

from dataclasses import dataclass

DEVICE_ID_CHARS = 16


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Root (32 bytes) and length of a ledger at a time, signed (64 bytes) by the device that holds it."""

    root: bytes
    timestamp_ms: int
    count: int
    signature: bytes

    @property
    def signed_text(self) -> bytes:
        """``root:timestamp:txCount``; names neither the device nor an earlier snapshot."""
        return f"{self.root.hex()}:{self.timestamp_ms}:{self.count}".encode()


def device_id(key: bytes) -> str:
    """The 64-bit name of a public key; different keys can be made to share it."""
    return key.hex()[:DEVICE_ID_CHARS]
