"""What the coordinator did that it may not do; raised inside a session, never out of one."""

from __future__ import annotations

from gateway.core.sync.events import Fault


class Breach(Exception):
    """Ends the session with one Closed of this fault; the message says what was seen."""

    def __init__(self, fault: Fault, detail: str) -> None:
        super().__init__(detail)
        self.fault = fault
