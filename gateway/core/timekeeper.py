"""What time it is, and how far that can be trusted; from whatever sources there are, none of them required.

    source                                   quality     used
    a GPS fix                                GPS         carried on by the monotonic clock; after a day
    the coordinator's time, signed or by     AGREED      without hearing it again its quality is HOST
    verified TLS
    the host's clock                         HOST        before any of these, where it is not before what
                                                         is known to be past
    what is known to be past                 UNTRUSTED   else: the time runs on from there

So a step of the host's clock is no fault, and changes nothing once a source was heard.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.clock import Clock
from gateway.model import Stamp, TimeQuality

# 2025-01-01: no release of this program is older, so any earlier time is wrong.
RELEASED_MS = 1_735_689_600_000
# 9999-12-31T23:59:59.999Z, the last moment of calendars and certificates. A cosignature may state 2^63
# seconds: that fits no entry and no database, and would end the daemon with the next upload, at every start.
LATEST_MS = 253_402_300_799_999
# A crystal of a Raspberry Pi drifts by up to 50 ppm: 4 s in a day.
MAX_SOURCE_AGE_S = 86_400.0
# A round trip that took longer says too little about when the other end looked at its clock.
MAX_ROUND_TRIP_S = 30.0


@dataclass(frozen=True, slots=True)
class _Heard:
    unix_ms: int
    at_s: float  # monotonic
    quality: TimeQuality


class Timekeeper:
    """Owned by the event loop; times in milliseconds since 1970 UTC.

    Order never depends on it: it dates entries and receipts, and judges certificates.
    """

    def __init__(self, clock: Clock, past_ms: int = RELEASED_MS) -> None:
        self._clock = clock
        self._past_ms = max(past_ms, RELEASED_MS)
        self._started_s = clock.monotonic()
        self._heard: _Heard | None = None

    def now(self) -> Stamp:
        """The best estimate at this moment, and its quality."""
        if (heard := self._heard) is not None:
            age_s = self._clock.monotonic() - heard.at_s
            quality = heard.quality if age_s <= MAX_SOURCE_AGE_S else TimeQuality.HOST
            return Stamp(heard.unix_ms + int(age_s * 1000), quality)
        host_ms = self._clock.unix_ns() // 1_000_000
        if self._past_ms <= host_ms <= LATEST_MS:
            return Stamp(host_ms, TimeQuality.HOST)
        running_ms = int((self._clock.monotonic() - self._started_s) * 1000)
        return Stamp(self._past_ms + running_ms, TimeQuality.UNTRUSTED)

    @property
    def trusted(self) -> bool:
        """Whether certificates may be judged by :meth:`now`."""
        return self.now().quality >= TimeQuality.AGREED

    @property
    def past_ms(self) -> int:
        """What is certainly past, whatever the host's clock says."""
        now = self.now()
        return now.unix_ms if now.quality >= TimeQuality.AGREED else self._past_ms

    def not_before(self, past_ms: int) -> None:
        """A trusted time was found on disk: it is past by now, unless it is one that never comes."""
        if past_ms <= LATEST_MS:
            self._past_ms = max(self._past_ms, past_ms)

    def hear(self, unix_ms: int, quality: TimeQuality, *, round_trip_s: float = 0.0) -> bool:
        """A source said ``unix_ms`` just now, or half a round trip ago. False if that is not taken.

        Not taken: a time before the release or beyond all calendars, an answer that took too long, and a
        lesser source while a better one is heard. A time before the one on disk *is* taken: a coordinator
        whose clock was wrong once must not spoil ours for ever.
        """
        if not RELEASED_MS <= unix_ms <= LATEST_MS or not 0 <= round_trip_s <= MAX_ROUND_TRIP_S:
            return False
        if self.now().quality > quality:
            return False
        self._heard = _Heard(unix_ms + int(round_trip_s * 500), self._clock.monotonic(), quality)
        return True
