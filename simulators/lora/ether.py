"""The air between devices and forwarders: loses frames, knows who listens when, measures the duty cycle.

Time is each forwarder's microsecond counter. A downlink reaches a device only if frequency, rate, IQ and
instant are those of one of the device's windows *on that forwarder's counter*; so a wrong downlink is a lost
one, and counted as ``downlinks_unheard``. Uplinks do not collide here.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from simulators.concentrator.air import lora_us
from simulators.lora.plans import Plan, Tuning

TOLERANCE_US = 2_000  # a device opens its window a few symbols early; better than this is easy


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTiming:
    """Seconds after the end of a flagged uplink; tests shorten them on both sides."""

    rx1_s: float = 1.0
    rx2_s: float = 2.0
    common_open_s: float = 4.0
    common_close_s: float = 20.0


@dataclass(frozen=True, slots=True)
class Transmission:
    """A frame on the air; ``counter_us`` at its first symbol, on its forwarder's counter (downlinks only)."""

    payload: bytes
    tuning: Tuning
    inverted_iq: bool
    counter_us: int = 0
    crc: bool = False

    @property
    def airtime_us(self) -> int:
        _, spreading_factor, bandwidth = self.tuning
        return lora_us(len(self.payload) + 2 * self.crc, spreading_factor, bandwidth, 5, 8)


class Ear(Protocol):
    """A forwarder, as the ether sees it."""

    name: str

    def hear(self, uplink: Transmission) -> int:
        """Take an uplink that just ended; its counter at that moment."""
        ...


class Listener(Protocol):
    """A device, as the ether sees it."""

    def receive(self, payload: bytes) -> None: ...


@dataclass(slots=True)
class _Listening:
    tuning: Tuning
    ended_us: dict[str, int]  # by forwarder


@dataclass(slots=True)
class Ether:
    """One place where all hear all. Owned by the event loop."""

    plan: Plan
    random: Random
    uplink_loss: float = 0.0  # per frame and forwarder
    downlink_loss: float = 0.0
    timing: DeviceTiming = field(default_factory=DeviceTiming)
    ears: list[Ear] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    emitted: list[tuple[str, Transmission]] = field(default_factory=list)
    _listening: dict[int, tuple[Listener, _Listening]] = field(default_factory=dict)

    def uplink(self, device: Listener, payload: bytes, tuning: Tuning, *, listening: bool) -> int:
        """Send at once, to every forwarder that does not lose it; its airtime in microseconds."""
        sent = Transmission(payload, tuning, inverted_iq=False, crc=True)
        self.counts["uplinks"] += 1
        ended: dict[str, int] = {}
        for ear in self.ears:
            if self.random.random() < self.uplink_loss:
                self.counts["uplinks_lost"] += 1
            else:
                ended[ear.name] = ear.hear(sent)
        self._listening.pop(id(device), None)
        if listening:
            self._listening[id(device)] = (device, _Listening(tuning, ended))
        return sent.airtime_us

    def sleep(self, device: Listener) -> None:
        """The device stops listening."""
        self._listening.pop(id(device), None)

    def downlink(self, forwarder: str, sent: Transmission) -> None:
        """Deliver to every device that listens for exactly this."""
        self.emitted.append((forwarder, sent))
        self.counts["downlinks"] += 1
        hearing = [one for one, what in self._listening.values() if self._hears(what, forwarder, sent)]
        self.counts["downlinks_unheard"] += not hearing
        for device in hearing:
            if self.random.random() < self.downlink_loss:
                self.counts["downlinks_lost"] += 1
            else:
                device.receive(sent.payload)

    def busiest_hour(self) -> dict[tuple[str, tuple[int, int] | None], float]:
        """By forwarder and sub-band: the largest share of any hour that was spent sending."""
        spent: dict[tuple[str, tuple[int, int] | None], list[tuple[int, int]]] = {}
        for forwarder, sent in self.emitted:
            key = (forwarder, self.plan.band(sent.tuning[0]))
            spent.setdefault(key, []).append((sent.counter_us, sent.airtime_us))
        return {key: _busiest(sorted(frames)) for key, frames in spent.items()}

    def _hears(self, listening: _Listening, forwarder: str, sent: Transmission) -> bool:
        ended = listening.ended_us.get(forwarder)
        if ended is None or not sent.inverted_iq:
            return False
        after, times = (sent.counter_us - ended) % (1 << 32), self.timing
        if sent.tuning == self.plan.rx1(listening.tuning) and _near(after, times.rx1_s):
            return True
        if sent.tuning != self.plan.rx2:
            return False
        opens, closes = times.common_open_s * 1e6, times.common_close_s * 1e6
        return _near(after, times.rx2_s) or opens <= after <= closes - sent.airtime_us


def _near(after_us: int, window_s: float) -> bool:
    return math.isclose(after_us, window_s * 1e6, abs_tol=TOLERANCE_US)


def _busiest(frames: list[tuple[int, int]]) -> float:
    worst = total = first = 0
    for start, airtime in frames:
        total += airtime
        while frames[first][0] <= start - 3_600_000_000:
            total -= frames[first][1]
            first += 1
        worst = max(worst, total)
    return worst / 3_600_000_000
