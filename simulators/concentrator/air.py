"""Frames at the antenna: what an uplink is, what an emission was, and how long each lasts."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Uplink:
    """A frame that reaches the antenna; ``spreading_factor`` 0 is FSK."""

    frequency_hz: int
    payload: bytes
    spreading_factor: int = 7
    bandwidth_hz: int = 125_000
    coding_rate: int = 5  # 4/5 .. 4/8
    crc: str = "ok"
    rssi_dbm: float = -80.0
    snr_db: float = 8.0
    inverted_iq: bool = False
    bit_rate: int = 50_000

    @property
    def airtime_us(self) -> int:
        """Time on air with the preamble devices use."""
        if self.spreading_factor == 0:
            return (5 + 3 + 1 + len(self.payload) + 2) * 8_000_000 // self.bit_rate
        crc_bytes = 0 if self.crc == "missing" else 2
        return lora_us(
            len(self.payload) + crc_bytes, self.spreading_factor, self.bandwidth_hz, self.coding_rate, 8
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """A frame the concentrator sends; times on the model's clock, ``counter_us`` at the first symbol."""

    start_us: int
    end_us: int
    counter_us: int
    frequency_hz: int
    power_code: int
    payload: bytes
    spreading_factor: int
    bandwidth_hz: int
    coding_rate: int
    crc: bool
    inverted_iq: bool


def lora_us(size_with_crc: int, sf: int, bandwidth_hz: int, coding_rate: int, preamble: int) -> int:
    """Time on air from first principles: symbols times symbol time."""
    symbol_us = 1e6 * (1 << sf) / bandwidth_hz
    reduced = sf - 2 if symbol_us > 16_000 else sf
    nibbles = 2 * size_with_crc - sf + 7  # after the header block: 8 bits less 4 (SF - 2) of payload in it
    blocks = max(math.ceil(nibbles / reduced), 0)
    return math.ceil((preamble + 4.25 + 8 + blocks * coding_rate) * symbol_us)


def demodulator_lag_us(uplink: Uplink, chain: int) -> int:
    """From a LoRa or FSK frame's end to the stamp of its packet (measured behaviour of the chip)."""
    if uplink.spreading_factor == 0:
        return 680_000 // uplink.bit_rate - 20
    sf, size = uplink.spreading_factor, len(uplink.payload) + (0 if uplink.crc == "missing" else 2)
    speed = uplink.bandwidth_hz // 125_000
    base = {1: 64, 2: 32, 4: 16}[speed] if chain == 8 else 114
    reduced = 2 if 2**sf / uplink.bandwidth_hz > 0.016 else 0
    half, eighth = (sf + 1) << (sf - 1), 1 << (sf - 4)
    if 2 * size <= sf - 7:
        return base + (half + 3 * eighth) // speed + 32 * (2 * size + 5) // speed
    tail = half + (4 - reduced // 2) * eighth
    last_block = (2 * size - sf + 6) % (sf - reduced) + 1
    return base + tail // speed + (16 + 4 * (uplink.coding_rate - 4)) * last_block // speed
