"""What a technician is told when sync cannot go on without a person."""

from __future__ import annotations

from gateway.core.sync.events import Halted, HaltReason


def changed_key(pinned: bytes, seen: bytes) -> Halted:
    return Halted(
        HaltReason.COORDINATOR_KEY,
        f"the coordinator shows key {seen.hex()}, pinned is {pinned.hex()}",
        "check network.ws_url; if the coordinator's operator confirms a new key, pin it by registering again",
    )


def clone(text: str) -> Halted:
    return Halted(
        HaltReason.CLONE,
        f"the coordinator sees two gateways with this key: {text!r}",
        "find the other copy of this disk and take it away, have the coordinator's operator lift the "
        "quarantine, then run: offgrid-gateway log resume",
    )


def damaged(what: str) -> Halted:
    return Halted(
        HaltReason.DAMAGED,
        f"what the log covers cannot be read back: {what}",
        "run: offgrid-gateway log verify, and replace the disk if it reports damage",
    )
