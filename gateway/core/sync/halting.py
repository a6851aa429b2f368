"""What a technician is told when sync cannot go on without a person."""

from __future__ import annotations

from gateway.core.checkpoint import Checkpoint
from gateway.core.sync.events import Halted, HaltReason


def changed_key(pinned: bytes, seen: bytes) -> Halted:
    return Halted(
        HaltReason.COORDINATOR_KEY,
        f"the coordinator shows key {seen.hex()}, pinned is {pinned.hex()}",
        "check network.ws_url; if the coordinator's operator confirms a new key, pin it by registering again",
    )


def restore(checkpoint: Checkpoint, size: int, note: bytes) -> Halted:
    return Halted(
        HaltReason.RESTORE,
        f"the coordinator holds {checkpoint.size} leaves signed by this gateway, the log here has {size}:"
        " its disk was restored from an older copy",
        "put the newer disk back if there is one; else this epoch of the log must be ended",
        (note,),
    )


def fork(checkpoint: Checkpoint, own: bytes | None, *evidence: bytes) -> Halted:
    here = "the log here is shorter" if own is None else f"the log here has {own.hex()}"
    return Halted(
        HaltReason.FORK,
        f"this gateway's key has signed root {checkpoint.root.hex()} at {checkpoint.size} leaves, {here}",
        "find the second gateway or disk that uses this key and take it away; then this epoch must be ended",
        evidence,
    )


def clone(text: str) -> Halted:
    return Halted(
        HaltReason.CLONE,
        f"the coordinator sees two gateways with this key: {text!r}",
        "find the other copy of this disk and take it away, then have the quarantine lifted",
    )


def damaged(what: str) -> Halted:
    return Halted(
        HaltReason.DAMAGED,
        f"what the log covers cannot be read back: {what}",
        "run: offgrid-gateway log verify, and replace the disk if it reports damage",
    )
