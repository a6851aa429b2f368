"""A device's radio at its place: waits for what the law allows, sends, listens in its windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Protocol

from simulators.air.collisions import uplink_us
from simulators.air.law import DWELL_WINDOW_US, Allowance, Sent
from simulators.air.propagation import DEVICE_DBM, GATEWAY_DBM, LogDistance, sensitivity_dbm
from simulators.concentrator.air import Emission
from simulators.lora.device import Listener
from simulators.lora.plans import Plan, Tuning
from simulators.lora.windows import DeviceTiming, window_of

EIRP_DBM = 14.0
MARGIN_DB = 3.0  # a device uses the fastest rate that is heard with this much to spare
RADIUS_KM = 25.0
XID = slice(2, 6)  # in every frame of the link


@dataclass(frozen=True, slots=True)
class Place:
    """Where a device is (kilometres from the gateway), what is lost on the way, and the rate it needs."""

    x_km: float
    y_km: float
    loss_db: float
    spreading_factor: int


def places(
    wanted: Iterable[int],
    path: LogDistance,
    random: Random,
    *,
    margin_db: float = MARGIN_DB,
    radius_km: float = RADIUS_KM,
) -> list[Place]:
    """One place for each spreading factor that is wanted, where just that one is needed; never ends where
    no place within the radius needs it."""
    return [_place(factor, path, random, margin_db, radius_km) for factor in wanted]


def _place(wanted: int, path: LogDistance, random: Random, margin_db: float, radius_km: float) -> Place:
    while True:
        distance, angle = radius_km * math.sqrt(random.random()), random.uniform(0, 2 * math.pi)
        loss_db = path.loss_db(distance, random)
        heard_dbm = EIRP_DBM - loss_db - margin_db
        fit = [factor for factor, least_dbm in GATEWAY_DBM.items() if heard_dbm >= least_dbm]
        if fit and min(fit) == wanted:
            return Place(distance * math.cos(angle), distance * math.sin(angle), loss_db, wanted)


@dataclass(frozen=True, slots=True)
class Listening:
    """After a flagged uplink."""

    device: Listener
    tuning: Tuning
    ended_us: int
    xid: bytes


@dataclass(frozen=True, slots=True)
class Reception:
    """An emission in a window: ``error_us`` from the instant at which RX1 or RX2 opens (0 in the common one).

    ``addressed``: it names the device's transfer.
    """

    window: str
    error_us: int
    addressed: bool


class Sky(Protocol):
    """The air, as a handset needs it."""

    plan: Plan
    timing: DeviceTiming

    def now_us(self) -> int: ...

    async def until(self, moment_us: int) -> None: ...

    async def fly(self, handset: Handset, payload: bytes, tuning: Tuning) -> int:
        """Begin now; when it has ended, that moment."""
        ...


class Handset:
    """The medium of one :class:`simulators.lora.device.LoraDevice`."""

    def __init__(
        self, name: str, place: Place, sky: Sky, random: Random, dwell_window_us: int = DWELL_WINDOW_US
    ) -> None:
        self.name = name
        self.place = place
        self.sent: list[Sent] = []
        self.waited_us = 0  # for the law
        self._sky = sky
        self._random = random
        self._allowance = Allowance(sky.plan, dwell_window_us)
        self._listening: Listening | None = None

    @property
    def plan(self) -> Plan:
        return self._sky.plan

    @property
    def timing(self) -> DeviceTiming:
        return self._sky.timing

    async def send(self, device: Listener, payload: bytes, spreading_factor: int, *, listening: bool) -> int:
        """On the channel that is free first by law; any of several. Its airtime in microseconds."""
        self._listening = None
        airtime_us = uplink_us(len(payload), spreading_factor, 125_000)
        frequency_hz, moment_us = self._choose(airtime_us)
        self.waited_us += max(0, moment_us - self._sky.now_us())
        await self._sky.until(moment_us)
        tuning = (frequency_hz, spreading_factor, 125_000)
        ended_us = await self._sky.fly(self, payload, tuning)
        if listening:
            self._listening = Listening(device, tuning, ended_us, payload[XID])
        return airtime_us

    def sleep(self, device: Listener) -> None:
        self._listening = None

    def on_air(self, sent: Sent) -> None:
        """A frame of ours begins."""
        self.sent.append(sent)
        self._allowance.enter(sent)

    def _choose(self, airtime_us: int) -> tuple[int, int]:
        now_us = self._sky.now_us()
        channels = self._random.sample(self.plan.channels_hz, len(self.plan.channels_hz))
        moments = [
            (self._allowance.earliest(now_us, frequency, 125_000, airtime_us), frequency)
            for frequency in channels
        ]
        moment_us, frequency_hz = min(moments, key=lambda one: one[0])
        return frequency_hz, moment_us

    def receives(self, emission: Emission, eirp_dbm: float) -> Reception | None:
        """Whether an emission falls into a window, on its frequency and rate, loud enough."""
        listening = self._listening
        if listening is None or not emission.inverted_iq:
            return None
        tuning = (emission.frequency_hz, emission.spreading_factor, emission.bandwidth_hz)
        after_us = emission.start_us - listening.ended_us
        airtime_us = emission.end_us - emission.start_us
        window = window_of(self.plan, self.timing, listening.tuning, tuning, after_us, airtime_us)
        least_dbm = sensitivity_dbm(DEVICE_DBM, emission.spreading_factor, emission.bandwidth_hz)
        if window is None or eirp_dbm - self.place.loss_db < least_dbm:
            return None
        return Reception(window, self._error_us(window, after_us), emission.payload[XID] == listening.xid)

    def _error_us(self, window: str, after_us: int) -> int:
        opens = {"rx1": self.timing.rx1_s, "rx2": self.timing.rx2_s}
        return after_us - round(opens[window] * 1e6) if window in opens else 0

    def error_us(self, emission: Emission) -> int | None:
        """How far an emission that names our transfer is from the opening of RX1, within half a second of it.

        None for others. Whether it could be heard does not matter here.
        """
        listening = self._listening
        if listening is None or emission.payload[XID] != listening.xid:
            return None
        error_us = emission.start_us - listening.ended_us - round(self.timing.rx1_s * 1e6)
        return error_us if abs(error_us) < 500_000 else None

    def deliver(self, payload: bytes) -> None:
        """To the device that listens."""
        if self._listening is not None:
            self._listening.device.receive(payload)
