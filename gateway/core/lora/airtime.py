"""LoRa time on air."""

from __future__ import annotations

LOW_RATE_SYMBOL_US = 16_000  # SX1276 datasheet 4.1.1.6: optimisation is mandated above 16 ms a symbol
CODING_4_5 = 1


def airtime_us(
    size: int, *, spreading_factor: int, bandwidth_hz: int, crc: bool = True, preamble: int = 8
) -> int:
    """Microseconds that ``size`` bytes with explicit header and coding rate 4/5 take (SX1276 4.1.1.7)."""
    symbol_us = (1 << spreading_factor) * 1_000_000 / bandwidth_hz
    bits_a_symbol = spreading_factor - (2 if symbol_us > LOW_RATE_SYMBOL_US else 0)
    bits = 8 * size - 4 * spreading_factor + 28 + (16 if crc else 0)
    coded = -(-max(bits, 0) // (4 * bits_a_symbol)) * (4 + CODING_4_5)
    return round((preamble + 4.25 + 8 + coded) * symbol_us)
