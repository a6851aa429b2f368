"""UTC of a concentrator's counter, by PPS: pairs of both, checked against each other; no I/O.

The concentrator latches its counter at each PPS; a little later the receiver says which second it was. Two
such pairs give the crystal's rate. A pair that would need a rate off by more than 10 ppm is aberrant (a late
message, a missed pulse); the third in a row is believed and starts over. A latch that did not move is no
pulse at all and never believed.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

MAX_DRIFT_PPM = 10.0
ABERRANT_LIMIT = 3
VALID_US = 30_000_000  # how far from the newest pulse the reference is trusted
AVERAGE_OF = 128  # pulses before the rate is used
FILTER = 256  # weight of the past, after that


class Verdict(enum.Enum):
    """What became of a pulse."""

    FIRST = "first"
    TAKEN = "taken"
    ABERRANT = "aberrant"
    RESYNC = "resync"
    NO_PPS = "no_pps"


@dataclass(frozen=True, slots=True)
class Pulse:
    """A PPS on both clocks."""

    counter_us: int  # linear
    unix_ns: int


class TimeReference:
    """The newest pulse and the crystal's rate. Owned by the GPS driver; read by whoever stamps frames."""

    def __init__(self) -> None:
        self._pulse: Pulse | None = None
        self._seen_counter: int | None = None
        self._aberrant = 0
        self._drifts: list[float] = []
        self.drift_ppm = 0.0  # of the concentrator's crystal; 0 until it is known

    def pulse(self, counter_us: int, unix_ns: int) -> Verdict:
        """A PPS at this linear counter was this second."""
        if counter_us == self._seen_counter:
            return Verdict.NO_PPS
        self._seen_counter = counter_us
        before, new = self._pulse, Pulse(counter_us, unix_ns)
        if before is None:
            self._pulse = new
            return Verdict.FIRST
        drift_ppm = _drift_ppm(before, new)
        if drift_ppm is not None and abs(drift_ppm) <= MAX_DRIFT_PPM:
            self._take(new, drift_ppm)
            return Verdict.TAKEN
        self._aberrant += 1
        if self._aberrant < ABERRANT_LIMIT:
            return Verdict.ABERRANT
        self._pulse, self._aberrant = new, 0
        return Verdict.RESYNC

    def _take(self, new: Pulse, drift_ppm: float) -> None:
        self._pulse, self._aberrant = new, 0
        if len(self._drifts) < AVERAGE_OF:
            self._drifts.append(drift_ppm)
            if len(self._drifts) == AVERAGE_OF:
                self.drift_ppm = sum(self._drifts) / AVERAGE_OF
            return
        self.drift_ppm += (drift_ppm - self.drift_ppm) / FILTER

    def unix_ns_at(self, counter_us: int) -> int | None:
        """UTC of a linear counter value; None more than 30 s from the newest pulse."""
        if self._pulse is None:
            return None
        ahead_us = counter_us - self._pulse.counter_us
        if abs(ahead_us) > VALID_US:
            return None
        return self._pulse.unix_ns + round(ahead_us * 1000 * (1 - self.drift_ppm * 1e-6))


def _drift_ppm(before: Pulse, new: Pulse) -> float | None:
    """How much too fast the counter ran between two pulses; None when UTC did not advance."""
    passed_ns = new.unix_ns - before.unix_ns
    if passed_ns <= 0:
        return None
    return ((new.counter_us - before.counter_us) * 1000 / passed_ns - 1) * 1e6
