"""How loud a transmitter is somewhere else: log-distance path loss with shadowing, noise, sensitivity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

NOISE_FIGURE_DB = 6.0

GATEWAY_DBM: Mapping[int, float] = {7: -126.5, 8: -129.0, 9: -131.5, 10: -134.0, 11: -136.5, 12: -139.5}
"""Sensitivity at 125 kHz by spreading factor: SX1301 with SX1257 (its datasheet, table of sensitivities)."""

DEVICE_DBM: Mapping[int, float] = {7: -123.0, 8: -126.0, 9: -129.0, 10: -132.0, 11: -133.0, 12: -136.0}
"""The same of an SX1276 (its datasheet, table 10)."""


@dataclass(frozen=True, slots=True)
class LogDistance:
    """Loss at 1 km, growth with distance, and how much places of equal distance differ.

    The figures are those measured in Oulu at 868 MHz from 24 m above the ground (Petäjäjärvi et al., "On the
    coverage of LPWANs", 2015).
    """

    at_1km_db: float = 128.95
    exponent: float = 2.32
    shadowing_db: float = 7.8

    def loss_db(self, kilometres: float, random: Random) -> float:
        """One place's loss; it stays what it is."""
        distance = max(kilometres, 0.01)
        mean = self.at_1km_db + 10 * self.exponent * math.log10(distance)
        return mean + random.gauss(0, self.shadowing_db)


def sensitivity_dbm(table: Mapping[int, float], spreading_factor: int, bandwidth_hz: int) -> float:
    """The weakest that is demodulated: noise grows with bandwidth."""
    return table[spreading_factor] + 10 * math.log10(bandwidth_hz / 125_000)


def snr_db(rssi_dbm: float, bandwidth_hz: int) -> float:
    """Over thermal noise at 17 °C and the receiver's own."""
    return rssi_dbm - (-174 + 10 * math.log10(bandwidth_hz) + NOISE_FIGURE_DB)
