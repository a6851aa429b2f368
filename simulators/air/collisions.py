"""Which of several frames on the air at once is demodulated: capture, and imperfect orthogonality."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from simulators.concentrator.air import lora_us

CAPTURE_DB = 6.0
"""A frame survives others of its own spreading factor that are this much weaker together."""

REJECTION_DB: Mapping[int, Mapping[int, float]] = {
    7: {8: -8, 9: -9, 10: -9, 11: -9, 12: -9},
    8: {7: -11, 9: -11, 10: -12, 11: -13, 12: -13},
    9: {7: -15, 8: -13, 10: -13, 11: -14, 12: -15},
    10: {7: -19, 8: -18, 9: -17, 11: -17, 12: -18},
    11: {7: -22, 8: -22, 9: -21, 10: -20, 12: -20},
    12: {7: -25, 8: -25, 9: -25, 10: -24, 11: -23},
}
"""Least signal to interference, by own and other spreading factor (Croce et al., "Impact of LoRa Imperfect
Orthogonality: Analysis of Link-Level Performance", IEEE Communications Letters 22/4, 2018)."""

PREAMBLE = 8
LOCKS_ON = 5
"""Preamble symbols that a demodulator needs: what ends before they begin does no harm (Bor et al.,
"Do LoRa Low-Power Wide-Area Networks Scale?", 2016)."""

DEMODULATORS = 8
"""Frames that an SX1301 demodulates at once on its eight multi-rate channels; one more is not heard."""


@dataclass(frozen=True, slots=True)
class Signal:
    """A frame at the gateway's antenna."""

    start_us: int
    end_us: int
    frequency_hz: int
    spreading_factor: int
    bandwidth_hz: int
    rssi_dbm: float

    @property
    def locked_us(self) -> int:
        """From here on the demodulator needs it undisturbed."""
        symbol_us = 1e6 * (1 << self.spreading_factor) / self.bandwidth_hz
        return self.start_us + round((PREAMBLE - LOCKS_ON) * symbol_us)

    @property
    def detected_us(self) -> int:
        """Preamble and sync word are over: a demodulator has taken it."""
        return self.start_us + round(
            (PREAMBLE + 4.25) * 1e6 * (1 << self.spreading_factor) / self.bandwidth_hz
        )


def survives(wanted: Signal, others: Iterable[Signal]) -> bool:
    """Whether the gateway can demodulate it among the others."""
    power_mw: dict[int, float] = {}  # of interferers, by spreading factor
    for other in others:
        if _disturbs(other, wanted):
            sum_mw = power_mw.get(other.spreading_factor, 0.0)
            power_mw[other.spreading_factor] = sum_mw + 10 ** (other.rssi_dbm / 10)
    return all(
        wanted.rssi_dbm - 10 * math.log10(sum_mw) >= _needed_db(wanted.spreading_factor, factor)
        for factor, sum_mw in power_mw.items()
    )


def _disturbs(other: Signal, wanted: Signal) -> bool:
    apart_hz = abs(other.frequency_hz - wanted.frequency_hz)
    same_channel = apart_hz < (other.bandwidth_hz + wanted.bandwidth_hz) / 2
    return same_channel and other.start_us < wanted.end_us and wanted.locked_us < other.end_us


def _needed_db(own: int, other: int) -> float:
    return CAPTURE_DB if own == other else REJECTION_DB[own][other]


def finds_demodulator(wanted: Signal, before: Iterable[Signal]) -> bool:
    """Whether one of the eight is free, given the frames that were taken before."""
    at = wanted.detected_us
    return sum(one.detected_us <= at < one.end_us for one in before) < DEMODULATORS


def uplink_us(size: int, spreading_factor: int, bandwidth_hz: int) -> int:
    """Time on air of an uplink: explicit header, CRC, 4/5."""
    return lora_us(size + 2, spreading_factor, bandwidth_hz, 5, PREAMBLE)
