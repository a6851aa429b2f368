"""What the region's law says of a transmitter: shares of any hour by sub-band, dwell time on a channel.

EU868: ETSI EN 300 220-2 (the table of docs/protocol/lora.md). US915: 47 CFR 15.247 (a)(1)(i), narrower than
500 kHz at most 0.4 s on a channel in any 20 s; and no frame longer than 0.4 s.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from simulators.lora.plans import Plan

HOUR_US = 3_600_000_000
DWELL_US, DWELL_WINDOW_US, DWELL_BELOW_HZ = 400_000, 20_000_000, 500_000

HYBRID_WINDOW_US = 8 * DWELL_US
"""For a device that is certified as a hybrid system on eight channels: 47 CFR 15.247 (f)."""

Rule = tuple[str, int, int]  # what it applies to, window, most of it


@dataclass(frozen=True, slots=True)
class Sent:
    """Time held on a frequency."""

    start_us: int
    end_us: int
    frequency_hz: int
    bandwidth_hz: int


@dataclass(frozen=True, slots=True)
class Use:
    """The fullest window of one rule, and what it may hold at most."""

    rule: str
    used_us: int
    limit_us: int

    @property
    def share(self) -> float:
        """Of what is allowed."""
        return self.used_us / self.limit_us


def rules(
    plan: Plan, frequency_hz: int, bandwidth_hz: int, dwell_window_us: int = DWELL_WINDOW_US
) -> list[Rule]:
    """What applies to a signal there. Raises ValueError where nothing may be sent."""
    band = plan.band(frequency_hz)
    if band is None:
        raise ValueError(f"nothing may be sent at {frequency_hz / 1e6:.3f} MHz in {plan.name}")
    share = plan.duty_by_band[band]
    found = [(f"{band[0] / 1e6:.1f} MHz", HOUR_US, int(share * HOUR_US))] if share < 1 else []
    if plan.name == "US915" and bandwidth_hz < DWELL_BELOW_HZ:
        found.append((f"dwell {frequency_hz / 1e6:.1f} MHz", dwell_window_us, DWELL_US))
    return found


def uses(plan: Plan, sent: Sequence[Sent]) -> list[Use]:
    """The fullest window of each rule over all that one transmitter sent; exact."""
    by_rule: dict[Rule, list[tuple[int, int]]] = defaultdict(list)
    for one in sent:
        for rule in rules(plan, one.frequency_hz, one.bandwidth_hz):
            by_rule[rule].append((one.start_us, one.end_us))
    found = [Use(name, fullest(held, window), most) for (name, window, most), held in by_rule.items()]
    if plan.name == "US915" and sent:
        longest = max(one.end_us - one.start_us for one in sent)
        found.append(Use("frame", longest, DWELL_US))
    return found


def fullest(held: Sequence[tuple[int, int]], window_us: int) -> int:
    """The most time held in any window: one that begins with an interval or ends with one."""
    intervals = sorted(held)
    starts, ends = [one[0] for one in intervals], [one[1] for one in intervals]
    sums = [0, *accumulate(end - start for start, end in intervals)]

    def before(moment: int) -> int:
        """Time held until then."""
        n = bisect_right(starts, moment)
        return sums[n] - (max(0, ends[n - 1] - moment) if n else 0)

    windows = [(start, start + window_us) for start in starts] + [(end - window_us, end) for end in ends]
    return max(before(to) - before(since) for since, to in windows)


class Allowance:
    """What one transmitter may still do, for a device that obeys; it sends one frame after another."""

    def __init__(self, plan: Plan, dwell_window_us: int = DWELL_WINDOW_US) -> None:
        self._plan = plan
        self._dwell_window_us = dwell_window_us
        self._held: dict[str, list[tuple[int, int]]] = defaultdict(list)

    def earliest(self, now_us: int, frequency_hz: int, bandwidth_hz: int, airtime_us: int) -> int:
        """From when on it may be sent there. Raises ValueError for what may never be."""
        moments = [now_us]
        for name, window_us, most_us in self._rules(frequency_hz, bandwidth_hz):
            if airtime_us > most_us:
                raise ValueError(f"{airtime_us / 1e3:.0f} ms may not be sent at {frequency_hz / 1e6:.1f} MHz")
            moments.append(_room(self._held[name], window_us, most_us - airtime_us) - airtime_us)
        return max(moments)

    def _rules(self, frequency_hz: int, bandwidth_hz: int) -> list[Rule]:
        return rules(self._plan, frequency_hz, bandwidth_hz, self._dwell_window_us)

    def enter(self, sent: Sent) -> None:
        """It was sent."""
        for name, window_us, _ in self._rules(sent.frequency_hz, sent.bandwidth_hz):
            held = self._held[name]
            held.append((sent.start_us, sent.end_us))
            del held[: bisect_left(held, (sent.end_us - 2 * window_us, 0))]


def _room(held: Sequence[tuple[int, int]], window_us: int, rest_us: int) -> int:
    """The earliest end of a window that holds at most ``rest_us`` of what was sent so far; 0: any."""
    excess = sum(end - start for start, end in held) - rest_us
    if excess <= 0:
        return 0
    for start, end in held:
        if excess <= end - start:
            return start + excess + window_us
        excess -= end - start
    raise ValueError("more held than was sent")  # excess is at most the sum
