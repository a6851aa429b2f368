"""What may be sent where: channels, data rates, receive windows, sub-bands; data with its sources.

Payload limits are the size of LoRaWAN's largest frame at that rate, M + 5 bytes (MHDR and MIC beside the
MACPayload), from RP002-1.0.4 (tables "not repeater compatible"). EU868 sub-bands: ERC Recommendation 70-03
annex 1, as EN 300 220-2 has them; US915: FCC 47 CFR 15.247.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway.core.lora.airtime import airtime_us

BEACON_BYTES = 200
"""A BEACON without checkpoint takes at most 170 bytes and 8 of header."""


@dataclass(frozen=True, slots=True)
class DataRate:
    """Spreading factor and bandwidth, and the largest frame in bytes."""

    spreading_factor: int
    bandwidth_hz: int
    max_bytes: int


@dataclass(frozen=True, slots=True)
class SubBand:
    """A stretch of spectrum with one rule: share of any hour on the air, and radiated power (EIRP)."""

    name: str
    low_hz: int
    high_hz: int
    duty: float
    max_eirp_dbm: float

    def holds(self, frequency_hz: int, bandwidth_hz: int = 0) -> bool:
        """Whether the signal lies inside."""
        half = bandwidth_hz // 2
        return self.low_hz <= frequency_hz - half and frequency_hz + half <= self.high_hz


@dataclass(frozen=True, slots=True)
class Channel:
    """Where and how to send."""

    frequency_hz: int
    rate: DataRate


Rx1Rule = Callable[[int, int, int], Channel | None]


@dataclass(frozen=True, slots=True)
class Region:
    """One regulatory plan. ``rx1`` maps an uplink's (frequency, SF, bandwidth) to its first window."""

    name: str
    uplink_hz: tuple[int, ...]
    uplink_rates: tuple[DataRate, ...]
    rx1: Rx1Rule
    rx2: Channel  # also the common window's
    sub_bands: tuple[SubBand, ...]
    max_airtime_us: int  # of one frame: dwell time where there is a rule, else a frame nobody should send

    def sub_band(self, frequency_hz: int, bandwidth_hz: int = 0) -> SubBand | None:
        """None: nothing may be sent on this frequency."""
        return next((band for band in self.sub_bands if band.holds(frequency_hz, bandwidth_hz)), None)

    def eirp_dbm(self, frequency_hz: int, wanted_dbm: float) -> float:
        """The power to use: what is wanted, or the sub-band's limit where that is lower."""
        band = self.sub_band(frequency_hz)
        return wanted_dbm if band is None else min(wanted_dbm, band.max_eirp_dbm)

    def broadcast(self, spreading_factor: int, bandwidth_hz: int) -> Channel | None:
        """RX2's frequency at another rate, for what goes to all; None where a beacon does not fit a frame."""
        if self.sub_band(self.rx2.frequency_hz, bandwidth_hz) is None:
            return None
        fits = [
            size
            for size in range(BEACON_BYTES, 256)
            if airtime_us(size, spreading_factor=spreading_factor, bandwidth_hz=bandwidth_hz, crc=False)
            <= self.max_airtime_us
        ]
        rate = DataRate(spreading_factor, bandwidth_hz, max(fits, default=0))
        return Channel(self.rx2.frequency_hz, rate) if fits else None

    @property
    def part_bytes(self) -> int:
        """The largest frame of the second and the common window: what long answers are divided for."""
        return self.rx2.rate.max_bytes


EU868_RATES = (
    DataRate(12, 125_000, 64),
    DataRate(11, 125_000, 64),
    DataRate(10, 125_000, 64),
    DataRate(9, 125_000, 128),
    DataRate(8, 125_000, 255),
    DataRate(7, 125_000, 255),
)
US915_UP = (
    DataRate(10, 125_000, 24),
    DataRate(9, 125_000, 66),
    DataRate(8, 125_000, 138),
    DataRate(7, 125_000, 255),
    DataRate(8, 500_000, 255),
)
US915_DOWN = {
    10: DataRate(10, 500_000, 255),
    9: DataRate(9, 500_000, 255),
    8: DataRate(8, 500_000, 255),
    7: DataRate(7, 500_000, 255),
}


def _eu868_rx1(frequency_hz: int, spreading_factor: int, bandwidth_hz: int) -> Channel | None:
    """The uplink's own frequency and rate (RP002-1.0.4 section 2.4.7, RX1DROffset 0)."""
    rate = next(
        (r for r in EU868_RATES if (r.spreading_factor, r.bandwidth_hz) == (spreading_factor, bandwidth_hz)),
        None,
    )
    return None if rate is None else Channel(frequency_hz, rate)


def _us915_rx1(frequency_hz: int, spreading_factor: int, bandwidth_hz: int) -> Channel | None:
    """Uplink channel modulo 8 → 923.3 MHz + 600 kHz each; DR0–3 → DR10–13, DR4 → DR13 (RP002-1.0.4 2.5.7)."""
    if bandwidth_hz == 125_000:
        number, rest = divmod(frequency_hz - 902_300_000, 200_000)
        rate = US915_DOWN.get(spreading_factor)
        last = 63
    else:
        number, rest = divmod(frequency_hz - 903_000_000, 1_600_000)
        rate = US915_DOWN[7] if (spreading_factor, bandwidth_hz) == (8, 500_000) else None
        last = 7
    if rest or rate is None or not 0 <= number <= last:
        return None
    return Channel(923_300_000 + number % 8 * 600_000, rate)


EU868 = Region(
    name="EU868",
    uplink_hz=(
        868_100_000,
        868_300_000,
        868_500_000,
        867_100_000,
        867_300_000,
        867_500_000,
        867_700_000,
        867_900_000,
    ),
    uplink_rates=EU868_RATES,
    rx1=_eu868_rx1,
    rx2=Channel(869_525_000, EU868_RATES[3]),  # SF9, not LoRaWAN's SF12: a promise fits one frame
    sub_bands=(
        SubBand("L", 865_000_000, 868_000_000, 0.01, 16.0),
        SubBand("M", 868_000_000, 868_600_000, 0.01, 16.0),
        SubBand("N", 868_700_000, 869_200_000, 0.001, 16.0),
        SubBand("P", 869_400_000, 869_650_000, 0.10, 27.0),
        SubBand("Q", 869_700_000, 870_000_000, 0.01, 16.0),
    ),
    max_airtime_us=4_000_000,
)

US915 = Region(
    name="US915",
    uplink_hz=tuple(
        903_900_000 + 200_000 * n for n in range(8)
    ),  # sub-band 2; 904.6 MHz is its 500 kHz channel
    uplink_rates=US915_UP,
    rx1=_us915_rx1,
    rx2=Channel(923_300_000, US915_DOWN[9]),  # SF9, not LoRaWAN's SF12
    sub_bands=(SubBand("ISM", 902_000_000, 928_000_000, 1.0, 30.0),),
    max_airtime_us=400_000,
)

REGIONS: Mapping[str, Region] = {region.name: region for region in (EU868, US915)}
