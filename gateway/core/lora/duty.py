"""Duty cycle: how long each sub-band was used in the last hour, and whether one more frame may go."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.core.lora.regions import SubBand

HOUR_S = 3600.0
BUCKET_S = 10.0  # airtime is kept in at most 365 buckets a sub-band
HORIZON_S = 30.0  # frames are planned up to 20 s ahead: a bucket is kept that much longer than its hour


@dataclass(frozen=True, slots=True)
class Spent:
    """Airtime of one transmitter in one sub-band, at a moment (monotonic seconds)."""

    transmitter: str
    band: str
    at: float
    airtime_us: int


@dataclass(slots=True)
class _Bucket:
    start: float
    airtime_us: int


@dataclass(slots=True)
class _Hour:
    buckets: deque[_Bucket] = field(default_factory=deque)
    total_us: int = 0
    ever_us: int = 0  # all that was spent, given back or not


class DutyLedger:
    """One transmitter's airtime by sub-band over a sliding hour, rounded up, never down.

    ``past`` is what was spent before; until ``closed_until`` all counts as used, for nobody knows what was.
    """

    def __init__(self, past: Iterable[Spent] = (), closed_until: float = float("-inf")) -> None:
        self._hours: dict[str, _Hour] = {}
        self._closed_until = closed_until
        for spent in sorted(past, key=lambda spent: spent.at):
            # Into the bucket that ends there, or many restarts would carry it ahead of themselves.
            self._add(spent.band, spent.airtime_us, (math.ceil(spent.at / BUCKET_S) - 1) * BUCKET_S)

    def allows(self, band: SubBand, airtime_us: int, at: float, share: float = 1.0) -> bool:
        """Whether ``airtime_us`` more at ``at`` (seconds) stays within ``share`` of what is permitted."""
        if band.duty >= 1.0:
            return True
        if at < self._closed_until:
            return False
        return self.used_us(band, at) + airtime_us <= share * band.duty * HOUR_S * 1e6

    def spend(self, band: SubBand, airtime_us: int, at: float) -> None:
        """Count a frame that is sent at ``at``."""
        self._add(band.name, airtime_us, at)

    def _add(self, band: str, airtime_us: int, at: float) -> None:
        hour = self._hours.setdefault(band, _Hour())
        start = at // BUCKET_S * BUCKET_S
        if not hour.buckets or hour.buckets[-1].start < start:
            hour.buckets.append(_Bucket(start, 0))
        hour.buckets[
            -1
        ].airtime_us += airtime_us  # a frame planned before the newest bucket counts longer, not less
        hour.total_us += airtime_us
        hour.ever_us += airtime_us

    def ever_us(self, band: str) -> int:
        """All that was ever counted; never less than before."""
        hour = self._hours.get(band)
        return 0 if hour is None else hour.ever_us

    def spent(self, transmitter: str) -> list[Spent]:
        """What :meth:`DutyLedger` takes as ``past``: each bucket as if it were spent at its end."""
        return [
            Spent(transmitter, band, bucket.start + BUCKET_S, bucket.airtime_us)
            for band, hour in self._hours.items()
            for bucket in hour.buckets
            if bucket.airtime_us
        ]

    def refund(self, band: SubBand, airtime_us: int, at: float) -> None:
        """Take back what :meth:`spend` counted: the radio refused the frame."""
        hour = self._hours.get(band.name, _Hour())
        for bucket in reversed(hour.buckets):
            if bucket.start <= at and bucket.airtime_us >= airtime_us:
                bucket.airtime_us -= airtime_us
                hour.total_us -= airtime_us
                return

    def used_us(self, band: SubBand, at: float) -> int:
        """Microseconds on the air, or planned, in the hour before ``at`` and up to 40 s more."""
        if at < self._closed_until:
            return int(band.duty * HOUR_S * 1e6)
        hour = self._hours.get(band.name)
        if hour is None:
            return 0
        while hour.buckets and hour.buckets[0].start + BUCKET_S + HOUR_S + HORIZON_S <= at:
            hour.total_us -= hour.buckets.popleft().airtime_us
        return hour.total_us
