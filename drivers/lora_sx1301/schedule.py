"""When the one transmitter sends what: places on the chip's counter; no I/O.

The chip holds one pending emission, so places wait here and are programmed just in time. Two may not come
closer than the time it takes to program the second after the first has ended. On a clash the higher priority
(the lower number) wins, unless the other is in the chip already; among equals the first come stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.errors import TransmitRefused
from drivers.lora_sx1301.ledger import Interval
from drivers.lora_sx1301.send import Emission

LEAD_US = 30_000  # a place is programmed this long before it starts
TOO_LATE_US = LEAD_US + 1_500 + 1_000  # plus start delay and margin, as the reference has it
TOO_EARLY_US = 512_000_000  # far from the counter's wrap
GUARD_US = 15_000  # between the end of one and the start of the next
DEPTH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An emission and when it is to leave, on the linear counter."""

    ticket: int
    emission: Emission
    interval: Interval
    priority: int


class Schedule:
    """At most 32 places in order of start; owned by the driver's loop. The first may be armed in the chip."""

    def __init__(self) -> None:
        self._places: list[Place] = []
        self._armed: int | None = None

    def __len__(self) -> int:
        return len(self._places)

    @property
    def armed(self) -> int | None:
        """The ticket of the place that the chip holds."""
        return self._armed

    @property
    def first(self) -> Place | None:
        """The next one to leave."""
        return self._places[0] if self._places else None

    def find(self, now_us: int, at_us: int | None, airtime_us: int) -> Interval:
        """When an emission asked for ``at_us`` would leave; at the first gap when that is None.

        Raises :class:`TransmitRefused` with ``too_late`` or ``too_early``.
        """
        if at_us is None:
            return self._first_gap(now_us + TOO_LATE_US + 5_000, airtime_us)
        lead_us = at_us - now_us
        if lead_us <= TOO_LATE_US:
            raise TransmitRefused(
                "too_late", f"due {lead_us / 1e3:.1f} ms from now, {TOO_LATE_US / 1e3:.1f} ms are needed"
            )
        if lead_us > TOO_EARLY_US:
            raise TransmitRefused(
                "too_early", f"due in {lead_us / 1e6:.0f} s, at most {TOO_EARLY_US // 1_000_000}"
            )
        return Interval(at_us, at_us + airtime_us)

    def _first_gap(self, from_us: int, airtime_us: int) -> Interval:
        start_us = from_us
        for place in self._places:
            if start_us + airtime_us + GUARD_US <= place.interval.start_us:
                break
            start_us = max(start_us, place.interval.end_us + GUARD_US)
        return Interval(start_us, start_us + airtime_us)

    def clashes(self, interval: Interval, priority: int) -> list[Place]:
        """The places that must go for this one.

        Raises :class:`TransmitRefused` with ``collision`` or ``queue_full`` when it is the one that must not
        come.
        """
        in_the_way = [place for place in self._places if self._near(place.interval, interval)]
        if any(place.priority <= priority or place.ticket == self._armed for place in in_the_way):
            raise TransmitRefused("collision", "another emission holds the transmitter at that time")
        if len(self._places) - len(in_the_way) >= DEPTH:
            raise TransmitRefused("queue_full", f"{DEPTH} emissions are waiting")
        return in_the_way

    @staticmethod
    def _near(one: Interval, other: Interval) -> bool:
        return one.start_us < other.end_us + GUARD_US and other.start_us < one.end_us + GUARD_US

    def add(self, place: Place) -> None:
        """Take it in; it clashes with none."""
        self._places.append(place)
        self._places.sort(key=lambda one: one.interval.start_us)

    def arm(self, ticket: int) -> None:
        """It is in the chip now and cannot be displaced."""
        self._armed = ticket

    def disarm(self) -> None:
        """The chip holds none after all."""
        self._armed = None

    def remove(self, ticket: int) -> None:
        """It is done, refused or withdrawn; an unknown ticket is no error."""
        self._places = [place for place in self._places if place.ticket != ticket]
        if self._armed == ticket:
            self._armed = None
