"""When and where a device listens, and what one concentrator can still send there; no clock.

A device that ends an uplink with the listening flag hears: RX1 one second later, RX2 two seconds later, and
the common window from 4 to 20 s later, on RX2's channel, where one batch may answer all who wait.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from gateway.core.lora.airtime import airtime_us
from gateway.core.lora.duty import DutyLedger, Spent
from gateway.core.lora.regions import Channel, Region


class Window(IntEnum):
    """In the order in which they open."""

    RX1 = 1
    RX2 = 2
    COMMON = 3
    NONE = 4  # at no device's appointment: a broadcast


class Priority(IntEnum):
    """What may use how much of an hour's duty: anyone can provoke answers, repetitions and aborts."""

    PROMISE = 0
    ANSWER = 1  # refusals, RESUME, LOOSE, BEACON; the bitmaps of transfers
    REPEAT = 2  # answers given before, later parts of long ones
    ABORT = 3
    NOTICE = 4  # what nobody asked for: the periodic BEACON

    @property
    def share(self) -> float:
        return (1.0, 0.8, 0.6, 0.3, 0.25)[self]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds after the end of a listening uplink (devices know the first four), and how they are used."""

    rx1_s: float = 1.0
    rx2_s: float = 2.0
    common_open_s: float = 4.0
    common_close_s: float = 20.0
    settle_s: float = (
        0.25  # copies by other concentrators, and fragments overtaken on the way, may still come
    )
    linger_s: float = 8.0  # after a common window opened: others may come to share one batch
    lead_s: float = 0.15  # a downlink is handed to the radio at least so long ahead
    guard_s: float = 0.5  # kept clear at both ends of the common window: counters are compared across devices
    gap_s: float = 0.02  # between two frames of one transmitter


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """How an uplink came in: the concentrator's ``counter_us`` at its end, the gateway's seconds ``at``."""

    concentrator: str
    peer: str
    counter_us: int
    frequency_hz: int
    spreading_factor: int
    bandwidth_hz: int
    snr_db: float
    at: float
    reply_to: object = None

    def counter_at(self, at: float) -> int:
        """The concentrator's counter at a moment of the gateway's clock, not wrapped."""
        return self.counter_us + round((at - self.at) * 1e6)


@dataclass(frozen=True, slots=True)
class Slot:
    """A chance to send: from ``start`` on, to be over by ``end``."""

    window: Window
    channel: Channel
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Booking:
    """A frame that will be sent: its place on the air is taken and its duty counted."""

    channel: Channel
    start: float
    airtime_us: int
    sub_band: str

    @property
    def end(self) -> float:
        return self.start + self.airtime_us / 1e6


def receive_slots(heard: Heard, region: Region, timing: Timing) -> Sequence[Slot]:
    """RX1 (none where the region maps the uplink nowhere) and RX2: a frame starts there or not at all."""
    slots = [Slot(Window.RX2, region.rx2, heard.at + timing.rx2_s, heard.at + timing.common_open_s)]
    rx1 = region.rx1(heard.frequency_hz, heard.spreading_factor, heard.bandwidth_hz)
    if rx1 is not None:
        slots.insert(0, Slot(Window.RX1, rx1, heard.at + timing.rx1_s, heard.at + timing.rx2_s))
    return slots


def common_slot(heard: Heard, region: Region, timing: Timing) -> Slot:
    """The common window, less its guards: whatever starts and ends inside is heard."""
    opens, closes = heard.at + timing.common_open_s, heard.at + timing.common_close_s
    return Slot(Window.COMMON, region.rx2, opens + timing.guard_s, closes - timing.guard_s)


class Transmitter:
    """One concentrator's sending side: one frame at a time, never more than the region allows."""

    def __init__(self, region: Region, timing: Timing, duty: DutyLedger | None = None) -> None:
        self._region = region
        self._timing = timing
        self._duty = duty or DutyLedger()
        self._bookings: list[tuple[float, float]] = []  # (start, end), sorted; those over are dropped

    def book(
        self, size: int, channel: Channel, start: float, now: float, priority: Priority
    ) -> Booking | str:
        """Take ``start`` for a frame of ``size`` bytes, or one word that says why not."""
        took = airtime_us(
            size,
            spreading_factor=channel.rate.spreading_factor,
            bandwidth_hz=channel.rate.bandwidth_hz,
            crc=False,
        )
        band = self._region.sub_band(channel.frequency_hz, channel.rate.bandwidth_hz)
        if size > channel.rate.max_bytes:
            return "size"
        if band is None:
            return "frequency"
        if took > self._region.max_airtime_us:
            return "dwell_time"
        if start < now + self._timing.lead_s:
            return "too_late"
        if not self._free(start, start + took / 1e6, now):
            return "collision"
        if not self._duty.allows(band, took, start, priority.share):
            return "duty_cycle"
        self._duty.spend(band, took, start)
        insort(self._bookings, (start, start + took / 1e6))
        return Booking(channel, start, took, band.name)

    def release(self, booking: Booking) -> None:
        """The radio refused it: its place and its duty are free again."""
        band = self._region.sub_band(booking.channel.frequency_hz)
        if band is not None:
            self._duty.refund(band, booking.airtime_us, booking.start)
        if (booking.start, booking.end) in self._bookings:
            self._bookings.remove((booking.start, booking.end))

    def ever_us(self, band: str) -> int:
        """All airtime ever booked there."""
        return self._duty.ever_us(band)

    def spent(self, name: str) -> list[Spent]:
        """What the duty ledger holds, for one that is to go on from here."""
        return self._duty.spent(name)

    def is_scarce(self, frequency_hz: int, at: float) -> bool:
        """Whether half of what this frequency's sub-band permits in an hour is used."""
        band = self._region.sub_band(frequency_hz)
        return band is not None and not self._duty.allows(band, 0, at, share=0.5)

    def next_free(self, start: float, seconds: float) -> float:
        """The first moment from ``start`` on with ``seconds`` of silence after it."""
        for taken_from, taken_to in self._bookings:
            if start + seconds + self._timing.gap_s <= taken_from:
                break
            start = max(start, taken_to + self._timing.gap_s)
        return start

    def used_us(self, at: float) -> dict[str, int]:
        """Airtime of the last hour by sub-band."""
        return {band.name: self._duty.used_us(band, at) for band in self._region.sub_bands}

    def _free(self, start: float, end: float, now: float) -> bool:
        self._bookings = [booking for booking in self._bookings if booking[1] + self._timing.gap_s > now]
        gap = self._timing.gap_s
        return all(
            end + gap <= taken_from or taken_to + gap <= start for taken_from, taken_to in self._bookings
        )
