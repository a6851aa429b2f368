"""The pieces of our own log between PULL and the last LOG of its answer."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.core.checkpoint import Checkpoint
from gateway.core.sync import messages as wire
from gateway.core.sync.breach import Breach
from gateway.core.sync.events import Fault
from gateway.core.sync.pulled import MAX_PARTS, Pulled, read_pulled


@dataclass(slots=True)
class Catching:
    """Owned by one session. ``note`` is the checkpoint of our own key that is to be reached."""

    checkpoint: Checkpoint
    note: bytes
    _parts: list[bytes] = field(default_factory=list)

    def take(self, message: wire.LogPart, size: int) -> Pulled | None:
        """The piece, once all its parts are there. Raises Breach and CborError."""
        if message.start != size or message.part != len(self._parts) or message.parts > MAX_PARTS:
            raise Breach(Fault.OUT_OF_TURN, f"part {message.part} of the log from {message.start}")
        self._parts.append(message.data)
        if len(self._parts) < message.parts:
            return None
        parts, self._parts = self._parts, []
        pulled = read_pulled(size, b"".join(parts))
        if pulled.end > self.checkpoint.size:
            raise Breach(Fault.BAD_SIZE, f"the log up to {pulled.end}, asked was {self.checkpoint.size}")
        return pulled
