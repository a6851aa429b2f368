"""LoRa time on air; forwarders do not report it."""

from __future__ import annotations

PREAMBLE = 8


def time_on_air_us(
    size: int,
    *,
    spreading_factor: int,
    bandwidth_hz: int,
    coding_rate: str = "4/5",
    crc: bool = True,
    preamble: int = PREAMBLE,
) -> int:
    """Microseconds on the air of ``size`` bytes with an explicit header (SX1276 datasheet 4.1.1.7)."""
    symbol_us = (1 << spreading_factor) * 1_000_000 / bandwidth_hz
    low_rate = 2 if symbol_us > 16_000 else 0
    coding = int(coding_rate[2:]) - 4
    bits = 8 * size - 4 * spreading_factor + 28 + (16 if crc else 0)
    blocks = -(-bits // (4 * (spreading_factor - low_rate))) if bits > 0 else 0
    return round((preamble + 4.25 + 8 + blocks * (coding + 4)) * symbol_us)
