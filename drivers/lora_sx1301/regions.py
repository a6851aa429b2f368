"""What may be sent where, for how long and how strong, as data; no I/O.

EU868: ETSI EN 300 220-2 and ERC/REC 70-03 annex 1. Limits there are ERP; EIRP is 2.15 dB more.
US915: 47 CFR 15.247: 30 dBm conducted and 6 dBi (36 dBm EIRP); below 500 kHz at most 400 ms on a channel in
any 20 s.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import DriverConfigError

HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class SubBand:
    """A part of the spectrum with one limit. ``duty`` is the share of any hour, 1.0 for no limit."""

    low_hz: int
    high_hz: int
    duty: float
    max_eirp_dbm: float

    @property
    def name(self) -> str:
        """Its lower edge in kHz, as metrics call it."""
        return str(self.low_hz // 1000)

    def holds(self, frequency_hz: int, bandwidth_hz: int) -> bool:
        """Whether the whole signal lies inside."""
        half = bandwidth_hz // 2
        return self.low_hz <= frequency_hz - half and frequency_hz + half <= self.high_hz


@dataclass(frozen=True, slots=True)
class Dwell:
    """At most ``limit_us`` on one frequency in any ``window_us``, for signals narrower than ``below_hz``."""

    limit_us: int
    window_us: int
    below_hz: int


@dataclass(frozen=True, slots=True)
class Region:
    """The rules of one region. Sub-bands are tried in order."""

    name: str
    sub_bands: tuple[SubBand, ...]
    dwell: Dwell | None = None

    def sub_band(self, frequency_hz: int, bandwidth_hz: int) -> SubBand | None:
        """The sub-band that holds the signal, or None where nothing may be sent."""
        return next((band for band in self.sub_bands if band.holds(frequency_hz, bandwidth_hz)), None)


REGIONS = {
    "EU868": Region(
        "EU868",
        (
            SubBand(863_000_000, 865_000_000, 0.001, 16.15),
            SubBand(865_000_000, 868_000_000, 0.01, 16.15),
            SubBand(868_000_000, 868_600_000, 0.01, 16.15),
            SubBand(868_700_000, 869_200_000, 0.001, 16.15),
            SubBand(869_400_000, 869_650_000, 0.1, 29.15),
            SubBand(869_700_000, 870_000_000, 0.01, 16.15),
        ),
    ),
    "US915": Region(
        "US915",
        (SubBand(902_000_000, 928_000_000, 1.0, 36.0),),
        Dwell(400_000, 20_000_000, 500_000),
    ),
}


def find_region(name: str) -> Region:
    """Raises :class:`DriverConfigError` for a region whose rules are not known."""
    try:
        return REGIONS[name]
    except KeyError:
        raise DriverConfigError(
            f"no transmit rules for region {name!r}", fix=f"use one of {', '.join(REGIONS)}"
        ) from None
