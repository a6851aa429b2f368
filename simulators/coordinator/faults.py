"""What the coordinator can be made to do wrong, at start or while it runs.

    refuse          answers the WebSocket's handshake with 503
    close           accepts a connection and closes it
    stall           answers a message, then reads no more
    mute            reads, and never answers
    slow            answers after `value` seconds
    lose-ack        applies a COMMIT, then cuts the connection instead of its ACK
    drop-ack        applies a COMMIT and says nothing
    twice           sends each answer twice
    want-nothing    claims to hold every object that is offered
    wrong-key       another coordinator's key in CHALLENGE
    wrong-size      one more than is true in WELCOME or CATCHUP (signed) and ACK
    wrong-root      another root in the cosigned checkpoint, or under the cosignature
    wrong-cosignature   a cosignature that does not verify
    unsigned-reject     REJECT without its signature
    want-unasked    WANT has a bit beyond the offer
    missing-nonsense    a MISSING for a batch that was never offered, before each ACK
    oversize        a message of more than 4 MiB, before each answer
    garbage         random bytes, before each answer
    text            a text message, before each answer

A fault is written ``name[=value][:times][@gateway]``: for ever and to all where neither is given.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import Literal, get_args

Name = Literal[
    "refuse",
    "close",
    "stall",
    "mute",
    "slow",
    "lose-ack",
    "drop-ack",
    "twice",
    "want-nothing",
    "wrong-key",
    "wrong-size",
    "wrong-root",
    "wrong-cosignature",
    "unsigned-reject",
    "want-unasked",
    "missing-nonsense",
    "oversize",
    "garbage",
    "text",
]
NAMES: frozenset[str] = frozenset(get_args(Name))
_WRITTEN = re.compile(r"([a-z-]+)(?:=([0-9.]+))?(?::([0-9]+))?(?:@([a-z0-9_-]+))?")


@dataclass(frozen=True, slots=True)
class Fault:
    """One wrong to do: `times` times (None: until it is lifted), to one gateway or (None) to all."""

    name: str
    value: float = 1.0
    times: int | None = None
    gateway: str | None = None


def parse_fault(written: str) -> Fault:
    """Raises `ValueError` for what is not of the form above."""
    match = _WRITTEN.fullmatch(written)
    if not match or match[1] not in NAMES:
        raise ValueError(f"{written!r} is no fault; known are {', '.join(sorted(NAMES))}")
    value, times = float(match[2] or 1.0), int(match[3]) if match[3] else None
    return Fault(match[1], value, times, match[4])


class Faults:
    """What is wrong just now; asked by the sessions' thread and the loop, set by anyone."""

    def __init__(self, faults: tuple[Fault, ...] = ()) -> None:
        self._lock = threading.Lock()
        self._faults = list(faults)

    def set(self, fault: Fault) -> None:
        if fault.name not in NAMES:
            raise ValueError(f"{fault.name!r} is no fault")
        with self._lock:
            self._faults.append(fault)

    def clear(self, name: str | None = None) -> None:
        with self._lock:
            self._faults = [fault for fault in self._faults if name is not None and fault.name != name]

    def active(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def take(self, name: Name, gateway: str | None = None) -> Fault | None:
        """The fault if it strikes now, which counts. Without a gateway only faults for all strike."""
        with self._lock:
            for at, fault in enumerate(self._faults):
                if fault.name == name and fault.gateway in (None, gateway):
                    self._spend(at, fault)
                    return fault
        return None

    def _spend(self, at: int, fault: Fault) -> None:
        if fault.times is None:
            return
        if fault.times > 1:
            self._faults[at] = replace(fault, times=fault.times - 1)
        else:
            del self._faults[at]
