"""What was heard, by channel and spreading factor; bounded by the board's chains."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from drivers.base import ChannelFigures


@dataclass(slots=True)
class ChannelTally:
    """One channel at one spreading factor (0: FSK), since opening. Levels are running means (1/16)."""

    if_chain: int
    frequency_hz: int
    spreading_factor: int
    frames: int = 0
    crc_errors: int = 0
    rssi_dbm: float = 0.0
    snr_db: float = 0.0
    airtime_us: int = 0

    def add(self, rssi_dbm: float, snr_db: float, airtime_us: int) -> None:
        """A frame with a good CRC."""
        weight = 1 / 16 if self.frames else 1.0
        self.frames += 1
        self.rssi_dbm += (rssi_dbm - self.rssi_dbm) * weight
        self.snr_db += (snr_db - self.snr_db) * weight
        self.airtime_us += airtime_us

    def figures(self) -> ChannelFigures:
        """As it stands."""
        return ChannelFigures(
            channel=self.if_chain,
            frequency_hz=self.frequency_hz,
            spreading_factor=self.spreading_factor,
            frames=self.frames,
            crc_errors=self.crc_errors,
            rssi_dbm=self.rssi_dbm,
            snr_db=self.snr_db,
            airtime_us=self.airtime_us,
        )


class Tally:
    """All channels together, and frames by outcome."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        self._channels: dict[tuple[int, int], ChannelTally] = {}

    def channel(self, if_chain: int, frequency_hz: int, spreading_factor: int) -> ChannelTally:
        """The row of this channel and spreading factor."""
        key = (if_chain, spreading_factor)
        return self._channels.setdefault(key, ChannelTally(if_chain, frequency_hz, spreading_factor))

    def rows(self) -> tuple[ChannelFigures, ...]:
        """In order of channel and spreading factor."""
        return tuple(self._channels[key].figures() for key in sorted(self._channels))
