"""Who held the transmitter when: duty cycle in any sliding hour, dwell time on a channel; no I/O.

Times are microseconds on one steady line (the driver's linear counter). Emissions still to come count too, so
that what was promised cannot break a limit later.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import TransmitRefused
from drivers.lora_sx1301.regions import HOUR_US, Region, SubBand


@dataclass(frozen=True, slots=True)
class Interval:
    """From the first symbol to the last."""

    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class Claim:
    """An emission's use of the spectrum: where and when."""

    band: SubBand
    frequency_hz: int
    bandwidth_hz: int
    interval: Interval


class SlidingWindow:
    """At most ``limit_us`` in any stretch of ``length_us``; holds what is still to come, and of what was only
    what a stretch that reaches the present still sees."""

    def __init__(self, length_us: int, limit_us: int) -> None:
        self.length_us, self.limit_us = length_us, limit_us
        self._intervals: list[Interval] = []

    def fits(self, new: Interval) -> bool:
        """Whether every window that touches ``new`` stays within the limit.

        Usage is highest in a window that ends with some interval, so only those are looked at.
        """
        ends = [
            other.end_us
            for other in self._intervals
            if new.end_us < other.end_us < new.end_us + self.length_us
        ]
        own_us = new.end_us - new.start_us
        return all(
            self.used_us(end) + min(own_us, self._overlap(new, end)) <= self.limit_us
            for end in (new.end_us, *ends)
        )

    def used_us(self, end_us: int) -> int:
        """Time held in the window that ends at ``end_us``."""
        return sum(self._overlap(interval, end_us) for interval in self._intervals)

    def _overlap(self, interval: Interval, end_us: int) -> int:
        return max(0, min(interval.end_us, end_us) - max(interval.start_us, end_us - self.length_us))

    def add(self, new: Interval) -> None:
        """Take it in."""
        self._intervals.append(new)

    def forget(self, now_us: int) -> bool:
        """Drop what nothing that is sent from now on can be counted with; whether anything is left."""
        self._intervals = [one for one in self._intervals if one.end_us > now_us - self.length_us]
        return bool(self._intervals)

    def remove(self, interval: Interval) -> None:
        """It was not sent after all; harmless where it is forgotten already."""
        self._intervals = [one for one in self._intervals if one is not interval]


class AirtimeLedger:
    """The region's limits, kept. Owned by the driver; survives a reset of the chip.

    ``duty`` False leaves the duty cycle to whoever asks for emissions; the dwell time is kept in any case.
    """

    def __init__(self, region: Region, *, duty: bool = True) -> None:
        self._region = region
        self._bands = {
            band: SlidingWindow(HOUR_US, int(HOUR_US * band.duty))
            for band in region.sub_bands
            if duty and band.duty < 1
        }
        self._channels: dict[int, SlidingWindow] = {}  # dwell, by frequency; those used lately

    def check(self, claim: Claim) -> None:
        """Raises :class:`TransmitRefused` with ``duty_cycle`` or ``dwell_time``; changes nothing."""
        asked = claim.interval
        asked_ms = (asked.end_us - asked.start_us) / 1e3
        hour = self._bands.get(claim.band)
        if hour is not None and not hour.fits(asked):
            left_ms = max(0, hour.limit_us - hour.used_us(asked.end_us)) / 1e3
            raise TransmitRefused(
                "duty_cycle",
                f"{asked_ms:.0f} ms asked in the sub-band at {claim.band.name} kHz, "
                f"{left_ms:.0f} ms left in this hour",
            )
        dwell = self._dwell(claim)
        if dwell is not None and not self._channels.get(claim.frequency_hz, dwell).fits(asked):
            raise TransmitRefused(
                "dwell_time",
                f"{asked_ms:.0f} ms asked on {claim.frequency_hz / 1e6:.1f} MHz, "
                f"{dwell.limit_us // 1000} ms are allowed in any {dwell.length_us // 1_000_000} s",
            )

    def enter(self, claim: Claim, now_us: int) -> None:
        """Count it."""
        for hour in self._bands.values():
            hour.forget(now_us)
        self._channels = {at: window for at, window in self._channels.items() if window.forget(now_us)}
        for window in self._windows(claim):
            window.add(claim.interval)

    def strike(self, claim: Claim) -> None:
        """It never went out."""
        for window in self._windows(claim):
            window.remove(claim.interval)

    def usage(self, now_us: int) -> dict[str, tuple[int, int]]:
        """Used in the last hour and allowed, in microseconds, by sub-band name."""
        return {band.name: (hour.used_us(now_us), hour.limit_us) for band, hour in self._bands.items()}

    def _windows(self, claim: Claim) -> list[SlidingWindow]:
        dwell = self._dwell(claim)
        if dwell is not None:
            dwell = self._channels.setdefault(claim.frequency_hz, dwell)
        return [window for window in (self._bands.get(claim.band), dwell) if window is not None]

    def _dwell(self, claim: Claim) -> SlidingWindow | None:
        """A channel's window as it begins, where one applies."""
        rule = self._region.dwell
        if rule is None or claim.bandwidth_hz >= rule.below_hz:
            return None
        return SlidingWindow(rule.window_us, rule.limit_us)
