"""What a device knows of its region: where it sends, and where it listens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

Tuning = tuple[int, int, int]  # frequency in Hz, spreading factor, bandwidth in Hz


@dataclass(frozen=True, slots=True)
class Plan:
    """One row of the table in docs/protocol/lora.md, as a device keeps it."""

    name: str
    channels_hz: tuple[int, ...]
    largest_uplink: Mapping[int, int]  # by spreading factor at 125 kHz
    rx2: Tuning
    duty_by_band: Mapping[tuple[int, int], float]  # (low, high) in Hz → share of an hour

    def rx1(self, sent: Tuning) -> Tuning:
        """The first window of an uplink at 125 kHz."""
        frequency, spreading_factor, _ = sent
        if self.name == "EU868":
            return sent
        channel = (frequency - 902_300_000) // 200_000
        return 923_300_000 + channel % 8 * 600_000, spreading_factor, 500_000

    def band(self, frequency_hz: int) -> tuple[int, int] | None:
        return next((band for band in self.duty_by_band if band[0] <= frequency_hz <= band[1]), None)


EU868 = Plan(
    name="EU868",
    channels_hz=tuple(round(mhz * 1e6) for mhz in (868.1, 868.3, 868.5, 867.1, 867.3, 867.5, 867.7, 867.9)),
    largest_uplink={12: 64, 11: 64, 10: 64, 9: 128, 8: 255, 7: 255},
    rx2=(869_525_000, 9, 125_000),
    duty_by_band={
        (865_000_000, 868_000_000): 0.01,
        (868_000_001, 868_600_000): 0.01,
        (868_700_000, 869_200_000): 0.001,
        (869_400_000, 869_650_000): 0.1,
        (869_700_000, 870_000_000): 0.01,
    },
)

US915 = Plan(
    name="US915",
    channels_hz=tuple(903_900_000 + 200_000 * n for n in range(8)),
    largest_uplink={10: 24, 9: 66, 8: 138, 7: 255},
    rx2=(923_300_000, 9, 500_000),
    duty_by_band={(902_000_000, 928_000_000): 1.0},
)

PLANS: Mapping[str, Plan] = {plan.name: plan for plan in (EU868, US915)}
