"""What phones may know of a gateway before they connect, or without asking; docs/protocol/ble.md."""

from __future__ import annotations

import struct

from gateway.core.checkpoint import parse_checkpoint
from gateway.core.note import parse_note
from gateway.model import Stamp, TimeQuality

REACHABLE, TRUSTED_TIME = 1, 2

_HINT = struct.Struct(">BBII8s")
_CLOCK = struct.Struct(">qB")
_LAST = (1 << 32) - 1


def hint(note: bytes | None, now: Stamp, *, reachable: bool) -> bytes:
    """18 bytes, unsigned: worth only a decision whether to connect. ``note`` is the newest checkpoint."""
    flags = REACHABLE * reachable + TRUSTED_TIME * (now.quality >= TimeQuality.AGREED)
    size, root = 0, bytes(8)
    if note is not None:
        checkpoint = parse_checkpoint(parse_note(note).text)
        size, root = checkpoint.size, checkpoint.root[:8]
    return _HINT.pack(1, flags, min(size, _LAST), min(now.unix_ms // 60_000, _LAST), root)


def clock(now: Stamp, host_ms: int) -> bytes:
    """By how much the gateway's time is ahead of the host's, in milliseconds, and its quality; 9 bytes."""
    return _CLOCK.pack(now.unix_ms - host_ms, now.quality)
