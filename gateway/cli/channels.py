"""What was heard, as a table: a line a channel and spreading factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]


def channel_table(channels: list[Document]) -> Iterator[str]:
    """A line a channel and spreading factor that was heard."""
    if channels:
        yield "  channel      MHz  SF   frames  bad CRC  RSSI dBm  SNR dB  airtime"
    for one in channels:
        factor = one["spreadingFactor"] or "FSK"
        heard = one["frames"] > 0
        level = f"{one['rssiDbm']:>8.1f}  {one['snrDb']:>6.1f}" if heard else "       -       -"
        yield (
            f"  {one['channel']:>7}  {one['frequencyHz'] / 1e6:>7.3f}  {factor!s:>3} {one['frames']:>7}  "
            f"{one['crcErrors']:>7}  {level}  {one['airtimeSeconds']:>5.1f} s"
        )
