"""The air between handsets and one concentrator model, and a log of what was sent and what became of it."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from simulators.air.channel import ControlChannel
from simulators.air.collisions import Signal, finds_demodulator, survives, uplink_us
from simulators.air.handset import EIRP_DBM, Handset, Place
from simulators.air.law import DWELL_WINDOW_US, Sent
from simulators.air.propagation import GATEWAY_DBM, sensitivity_dbm, snr_db
from simulators.concentrator.air import Emission
from simulators.lora.plans import Plan, Tuning
from simulators.lora.windows import DeviceTiming

LONGEST_US = 10_000_000  # no frame is longer: what ended so long ago disturbs nothing that ends now

POWER_DBM: Mapping[str, Mapping[tuple[int, int], float]] = {
    "EU868": {
        **{(0, 9): -6, (0, 12): -3, (0, 15): 0, (1, 8): 3, (1, 9): 6, (1, 11): 10, (1, 12): 11},
        **{(2, 11): 13, (3, 8): 16, (3, 12): 23, (3, 13): 25},
    },
    "US915": {
        **{(0, 9): -6, (0, 11): -3, (0, 15): 0, (1, 8): 3, (1, 9): 6, (1, 13): 10, (1, 14): 11},
        **{(2, 10): 12, (2, 11): 14, (2, 12): 16, (3, 9): 20, (3, 11): 23, (3, 12): 25, (3, 13): 26},
    },
}
"""What RAK's current table makes of a power amplifier and mixer setting; of several the weakest."""


@dataclass(slots=True)
class Flight:
    """An uplink. ``outcome``: ``heard``; ``weak``, ``collided``, ``no demodulator``, ``lost``: on the way;
    else why the model did not hear it. ``reached``: it was at the antenna, whole."""

    handset: str
    payload: bytes
    signal: Signal
    outcome: str = ""
    reached: bool = False


@dataclass(slots=True)
class Log:
    """All that happened, in order of its end."""

    flights: list[Flight] = field(default_factory=list)
    emissions: list[Emission] = field(default_factory=list)
    rx1_errors_us: list[int] = field(default_factory=list)
    downlinks: Counter[str] = field(default_factory=Counter)  # by window, or why nobody took it

    def outcomes(self) -> Counter[str]:
        """Of all uplinks."""
        return Counter(flight.outcome for flight in self.flights)


class Air:
    """One place with one gateway. Owned by the event loop; ``loss`` of frames, either way, by chance."""

    def __init__(
        self,
        plan: Plan,
        model: str | Path,
        random: Random,
        *,
        loss: float = 0.0,
        timing: DeviceTiming | None = None,
    ) -> None:
        self.plan = plan
        self.timing = timing or DeviceTiming()
        self.log = Log()
        self.handsets: list[Handset] = []
        self._random = random
        self._loss = loss
        self._channel = ControlChannel(model, self._emitted)
        self._aloft: deque[Flight] = deque()

    async def __aenter__(self) -> Self:
        await self._channel.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._channel.__aexit__(kind, error, trace)

    def handset(self, name: str, place: Place, dwell_window_us: int = DWELL_WINDOW_US) -> Handset:
        """A radio somewhere, which keeps US915's dwell time in windows of this length."""
        handset = Handset(name, place, self, self._random, dwell_window_us)
        self.handsets.append(handset)
        return handset

    def gateway_receives(self) -> bool:
        """Whether the chip has been started all the way."""
        return bool(self._channel.ask("status")["receiving"])

    def violations(self) -> list[str]:
        """Rules of the chip that its host broke, as the model saw it."""
        return list(self._channel.ask("status")["violations"])

    def now_us(self) -> int:
        return round(asyncio.get_running_loop().time() * 1e6)

    async def until(self, moment_us: int) -> None:
        await asyncio.sleep(max(0.0, moment_us / 1e6 - asyncio.get_running_loop().time()))

    # -- up

    async def fly(self, handset: Handset, payload: bytes, tuning: Tuning) -> int:
        frequency_hz, factor, bandwidth_hz = tuning
        start_us = self.now_us()
        end_us = start_us + uplink_us(len(payload), factor, bandwidth_hz)
        rssi_dbm = EIRP_DBM - handset.place.loss_db
        signal = Signal(start_us, end_us, frequency_hz, factor, bandwidth_hz, rssi_dbm)
        flight = Flight(handset.name, payload, signal)
        self._aloft.append(flight)
        handset.on_air(Sent(start_us, end_us, frequency_hz, bandwidth_hz))
        await self.until(end_us)
        self._land(flight)
        return end_us

    def _land(self, flight: Flight) -> None:
        self.log.flights.append(flight)
        while self._aloft and self._aloft[0].signal.end_us < flight.signal.end_us - LONGEST_US:
            self._aloft.popleft()
        flight.outcome = self._fate(flight)
        if flight.outcome == "collided":
            self._reach(flight, "bad")
        elif not flight.outcome:
            flight.reached = True
            flight.outcome = self._reach(flight, "ok")

    def _fate(self, flight: Flight) -> str:
        """What the way does to it; empty: nothing."""
        signal = flight.signal
        if not _loud(signal):
            return "weak"
        others = [one.signal for one in self._aloft if one is not flight]
        if not survives(signal, others):
            return "collided"
        if not finds_demodulator(signal, [one for one in others if _loud(one)]):
            return "no demodulator"
        return "lost" if self._random.random() < self._loss else ""

    def _reach(self, flight: Flight, crc: str) -> str:
        signal = flight.signal
        answer = self._channel.ask(
            "rx",
            frequency_hz=signal.frequency_hz,
            payload=flight.payload.hex(),
            spreading_factor=signal.spreading_factor,
            bandwidth_hz=signal.bandwidth_hz,
            crc=crc,
            rssi_dbm=signal.rssi_dbm,
            snr_db=min(12.0, snr_db(signal.rssi_dbm, signal.bandwidth_hz)),
            end_us=signal.end_us,
        )
        return "heard" if answer["heard"] else str(answer["reason"])

    # -- down

    def _emitted(self, emission: Emission) -> None:
        self.log.emissions.append(emission)
        self._measure(emission)
        eirp_dbm = self.eirp_dbm(emission)
        receptions = [(one, heard) for one in self.handsets if (heard := one.receives(emission, eirp_dbm))]
        if not any(heard.addressed or heard.window == "common" for _, heard in receptions):
            self.log.downlinks["unheard"] += 1
        for handset, heard in receptions:
            if self._random.random() < self._loss:
                self.log.downlinks["lost"] += 1
                continue
            if heard.addressed:
                self.log.downlinks[heard.window] += 1
            handset.deliver(emission.payload)

    def _measure(self, emission: Emission) -> None:
        errors = [error for one in self.handsets if (error := one.error_us(emission)) is not None]
        self.log.rx1_errors_us += errors

    def eirp_dbm(self, emission: Emission) -> float:
        """What leaves an antenna without gain."""
        pa, mix = emission.power_code >> 6, emission.power_code & 0x0F
        return POWER_DBM[self.plan.name][(pa, mix)]


def _loud(signal: Signal) -> bool:
    return signal.rssi_dbm >= sensitivity_dbm(GATEWAY_DBM, signal.spreading_factor, signal.bandwidth_hz)
