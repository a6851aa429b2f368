"""When a device listens after an uplink, and on what."""

from __future__ import annotations

import math
from dataclasses import dataclass

from simulators.lora.plans import Plan, Tuning

TOLERANCE_US = 2_000  # a device opens its window a few symbols early; better than this is easy
TOLERANCE_HZ = 1_000  # synthesizers step by 61 Hz


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceTiming:
    """Seconds after the end of a flagged uplink; tests shorten them on both sides."""

    rx1_s: float = 1.0
    rx2_s: float = 2.0
    common_open_s: float = 4.0
    common_close_s: float = 20.0


def window_of(
    plan: Plan, timing: DeviceTiming, uplink: Tuning, downlink: Tuning, after_us: int, airtime_us: int
) -> str | None:
    """``rx1``, ``rx2`` or ``common``: where a downlink that begins ``after_us`` after the uplink is heard."""
    if _same(downlink, plan.rx1(uplink)) and _near(after_us, timing.rx1_s):
        return "rx1"
    if not _same(downlink, plan.rx2):
        return None
    if _near(after_us, timing.rx2_s):
        return "rx2"
    opens, closes = timing.common_open_s * 1e6, timing.common_close_s * 1e6
    return "common" if opens <= after_us <= closes - airtime_us else None


def _same(one: Tuning, other: Tuning) -> bool:
    return one[1:] == other[1:] and abs(one[0] - other[0]) <= TOLERANCE_HZ


def _near(after_us: int, window_s: float) -> bool:
    return math.isclose(after_us, window_s * 1e6, abs_tol=TOLERANCE_US)
