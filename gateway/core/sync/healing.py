"""What is told when a log goes on under the next epoch: what was seen, what it means, what to do."""

from __future__ import annotations

from gateway.core.checkpoint import Checkpoint
from gateway.core.sync.events import BeginEpoch

_ON = "the log goes on under a new epoch, nothing that was accepted is lost"
_SECOND = (
    "find the second gateway or disk that uses this key and take it away; if there is none, this disk was "
    "restored from an older copy; then run: offgrid-gateway log resume"
)
_OLDER = "find out who put an older copy of the disk in place; then run: offgrid-gateway log resume"


def fork(seen: Checkpoint, own: bytes | None, note: bytes) -> BeginEpoch:
    """A head that our key signed and our log does not repeat."""
    here = "the log here is shorter" if own is None else f"the log here has {own.hex()}"
    what = f"this gateway's key has signed root {seen.root.hex()} at {seen.size} leaves, {here}; {_ON}"
    return BeginEpoch("fork", note, what, _SECOND)


def went_on(seen: Checkpoint, size: int, note: bytes) -> BeginEpoch:
    """An older disk that had accepted more before it was found out."""
    what = (
        f"the coordinator holds {seen.size} leaves signed by this gateway, the log here of {size} went "
        f"another way: its disk was restored from an older copy; {_ON}"
    )
    return BeginEpoch("restore", note, what, _OLDER)


def later(seen: Checkpoint, note: bytes) -> BeginEpoch:
    """A disk from before the present epoch."""
    what = (
        f"the coordinator holds {seen.origin}, which this gateway's key has signed and this disk does not "
        f"know: it was restored from a copy from before; {_ON}"
    )
    return BeginEpoch("restore", note, what, _OLDER)
