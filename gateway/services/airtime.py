"""Airtime over a restart: whatever a frame takes is on disk, as spent or as credit, before the frame is sent.

A file beside the database holds, for each transmitter and sub-band with a duty cycle, what was spent, and a
*credit*: a twentieth of the hour's limit, dated ten minutes ahead. A frame within the credit goes at once;
one beyond it waits until a new credit is on disk. So however the process ends, the file says at least as much
as was sent, dated no earlier, and the next start goes on from there:

    same boot          the steady clock runs on: every moment stands as it was written
    another boot       nobody knows how long it took, for the wall clock may be wrong: all of it counts as
                       spent at the start, and is free an hour later
    file unreadable    all of every hour counts as used until an hour after the start

So no restart allows more than the duty cycle in any sliding hour. It costs a twentieth of one at most, and
the disk some 26 small writes an hour for each sub-band used to its limit. An orderly end leaves no credit.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.core.lora.downlinks import AirtimePast, Send
from gateway.core.lora.duty import HOUR_S, Spent
from gateway.core.lora.link import LoraLink
from gateway.keys import durable

log = logging.getLogger(__name__)

CREDIT_SHARE = 20
CREDIT_S = 600.0
GRAIN_S = 60.0  # moments are rounded up to it, so that an hour of a sub-band has at most 72
AHEAD_S = CREDIT_S + 2 * GRAIN_S  # no moment in the file is later than this; one that is, is of another clock
BOOT = Path("/proc/sys/kernel/random/boot_id")

Key = tuple[str, str, str]  # radio, transmitter, sub-band


class AirtimeUnsaved(OSError):
    """The frame may not be sent: what it takes could be forgotten."""


@dataclass(frozen=True, slots=True)
class _Credit:
    """What is on disk: as much may be booked in all (``ever_us``), and nothing that ends later."""

    ever_us: int
    until: float


def boot_id() -> str:
    """Names this run of the machine, by random(4); ``unknown`` is never the same as any other."""
    try:
        return BOOT.read_text().strip()
    except OSError:
        return "unknown"


class AirtimeBook:
    """The file and the links whose airtime it keeps. Owned by the event loop; writes on a thread."""

    def __init__(self, path: Path, clock: Clock, boot: str) -> None:
        self._path, self._clock, self._boot = path, clock, boot
        self._links: dict[str, LoraLink] = {}
        self._credits: dict[Key, _Credit] = {}
        self._writing = asyncio.Lock()
        self._unknown_until = float("-inf")
        self._past = self._read()

    def past(self, radio: str) -> AirtimePast:
        """What a radio's link begins with."""
        return AirtimePast(spent=self._past.get(radio, ()), unknown_until=self._unknown_until)

    def keep(self, radio: str, link: LoraLink) -> None:
        """From now on the file speaks for this link."""
        self._links[radio] = link

    async def cover(self, radio: str, send: Send) -> None:
        """Return when the file covers this frame. Raises :class:`AirtimeUnsaved`: then it may not be sent."""
        key = (radio, send.concentrator, send.booking.sub_band)
        if self._covers(key, send):
            return
        async with self._writing:
            if not self._covers(key, send):
                await self._draw(key)

    def _covers(self, key: Key, send: Send) -> bool:
        radio, transmitter, band = key
        link, credit = self._links[radio], self._credits.get(key)
        if link.hour_us(band) is None:
            return True
        ever_us = link.ever_us(transmitter, band)
        return credit is not None and ever_us <= credit.ever_us and send.booking.end <= credit.until

    async def _draw(self, key: Key) -> None:
        """Put new credits on disk, for all who have one and for ``key``."""
        until = self._clock.monotonic() + CREDIT_S
        credits = {one: self._credit(one, until) for one in {*self._credits, key}}
        drawn = [
            (radio, Spent(transmitter, band, until, self._share_us(radio, band)))
            for radio, transmitter, band in credits
        ]
        content = self._content([*self._spent(), *drawn])
        try:
            await asyncio.to_thread(durable.replace, self._path, content, mode=0o644)
        except OSError as error:
            log.warning("airtime cannot be kept", extra={"path": str(self._path), "reason": str(error)})
            raise AirtimeUnsaved(str(error)) from error
        self._credits = credits

    def _credit(self, key: Key, until: float) -> _Credit:
        radio, transmitter, band = key
        return _Credit(self._links[radio].ever_us(transmitter, band) + self._share_us(radio, band), until)

    def _share_us(self, radio: str, band: str) -> int:
        return (self._links[radio].hour_us(band) or 0) // CREDIT_SHARE

    def close(self) -> None:
        """Nothing is sent any more: what was spent, without credit."""
        if not self._links:
            return
        try:
            durable.replace(self._path, self._content(self._spent()), mode=0o644)
        except OSError as error:  # the credit on disk then counts as spent
            log.warning("airtime cannot be kept", extra={"path": str(self._path), "reason": str(error)})

    def _spent(self) -> list[tuple[str, Spent]]:
        horizon = self._clock.monotonic() - HOUR_S
        absent = [
            (radio, one) for radio, past in self._past.items() if radio not in self._links for one in past
        ]
        present = [(radio, one) for radio, link in self._links.items() for one in link.spent()]
        return [(radio, one) for radio, one in absent + present if one.at > horizon]

    def _content(self, spent: Iterable[tuple[str, Spent]]) -> bytes:
        sums: dict[tuple[str, str, str, int], int] = {}
        for radio, one in spent:
            key = (radio, one.transmitter, one.band, math.ceil(one.at / GRAIN_S))
            sums[key] = sums.get(key, 0) + one.airtime_us
        rows = [[*key[:3], key[3] * GRAIN_S, airtime_us] for key, airtime_us in sums.items()]
        document = {"boot": self._boot, "unknown_until": max(self._unknown_until, 0.0), "spent": rows}
        return json.dumps(document).encode()

    def _read(self) -> Mapping[str, tuple[Spent, ...]]:
        now = self._clock.monotonic()
        try:
            document = json.loads(self._path.read_bytes())
            rows = [
                (str(radio), Spent(str(transmitter), str(band), float(at), int(airtime_us)))
                for radio, transmitter, band, at, airtime_us in document["spent"]
            ]
            boot, unknown_until = str(document["boot"]), float(document["unknown_until"])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError) as error:
            log.warning(
                "airtime of the last hour is not known: nothing is sent for an hour under a duty cycle",
                extra={"path": str(self._path), "reason": str(error)},
            )
            self._unknown_until = now + HOUR_S
            return {}
        latest = max((spent.at for _, spent in rows), default=now)
        same = boot == self._boot != "unknown" and max(latest, unknown_until - HOUR_S) <= now + AHEAD_S
        if unknown_until:
            self._unknown_until = unknown_until if same else now + HOUR_S
        past: dict[str, tuple[Spent, ...]] = {}
        for radio, spent in rows:
            moved = spent if same else Spent(spent.transmitter, spent.band, now, spent.airtime_us)
            past[radio] = (*past.get(radio, ()), moved)
        return past
