"""The air between devices and forwarders: loses frames, knows who listens when, measures the duty cycle.

Time is each forwarder's microsecond counter. A downlink reaches a device only if frequency, rate, IQ and
instant are those of one of the device's windows *on that forwarder's counter*; so a wrong downlink is a lost
one, and counted as ``downlinks_unheard``. Uplinks do not collide here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from simulators.concentrator.air import lora_us
from simulators.lora.device import Listener
from simulators.lora.plans import Plan, Tuning
from simulators.lora.windows import DeviceTiming, window_of


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
    airtime_scale: float = 1.0  # how much of an uplink's airtime passes on the host's clock
    ears: list[Ear] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    emitted: list[tuple[str, Transmission]] = field(default_factory=list)
    _listening: dict[int, tuple[Listener, _Listening]] = field(default_factory=dict)

    async def send(self, device: Listener, payload: bytes, spreading_factor: int, *, listening: bool) -> int:
        """Send on any channel; returns when its airtime is over, with its microseconds."""
        tuning = (self.random.choice(self.plan.channels_hz), spreading_factor, 125_000)
        airtime_us = self.uplink(device, payload, tuning, listening=listening)
        await asyncio.sleep(airtime_us / 1e6 * self.airtime_scale)
        return airtime_us

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
        after = (sent.counter_us - ended) % (1 << 32)
        window = window_of(self.plan, self.timing, listening.tuning, sent.tuning, after, sent.airtime_us)
        return window is not None


def _busiest(frames: list[tuple[int, int]]) -> float:
    worst = total = first = 0
    for start, airtime in frames:
        total += airtime
        while frames[first][0] <= start - 3_600_000_000:
            total -= frames[first][1]
            first += 1
        worst = max(worst, total)
    return worst / 3_600_000_000
