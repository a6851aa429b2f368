"""The transmit queue: rules first, then a place on the counter, then the chip, then the proof that it left.

One task programs and watches; ``transmit`` may be called by many. Every request ends as a receipt or as
:class:`TransmitRefused` with a word from its closed list, and is counted under that word.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from dataclasses import dataclass, replace

from drivers.airtime import CODING_RATES
from drivers.base import Clock, LoraDownlink, TxReceipt, TxRequest
from drivers.errors import TransmitRefused
from drivers.lora_sx1301 import send
from drivers.lora_sx1301.concentrator import Concentrator, TooLate
from drivers.lora_sx1301.ledger import AirtimeLedger, Claim
from drivers.lora_sx1301.regions import SubBand
from drivers.lora_sx1301.schedule import LEAD_US, Place, Schedule
from drivers.lora_sx1301.send import Emission, LoraModulation
from drivers.lora_sx1301.settings import Settings

ASAP_TRIES = 3
END_CHECKS = 10  # looks at TX_STATUS, 2 ms apart, after an emission should have ended


@dataclass(frozen=True, slots=True)
class Waiting:
    """A place in the schedule, what it claims of the spectrum, and who waits for it."""

    place: Place
    claim: Claim
    outcome: asyncio.Future[TxReceipt]


class TransmitQueue:
    """Owned by the driver. ``run`` is its task; the ledger outlives resets of the chip."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.outcomes: Counter[str] = Counter()
        self.airtime_us = 0  # sent; nothing was heard meanwhile
        self.ledger = None if settings.region is None else AirtimeLedger(settings.region, duty=settings.duty)
        self._settings, self._clock = settings, clock
        self._schedule = Schedule()
        self._waiting: dict[int, Waiting] = {}
        self._tickets = itertools.count()
        self._wake = asyncio.Event()

    async def transmit(self, concentrator: Concentrator, request: TxRequest) -> TxReceipt:
        """Send one frame; returns when it has left. Raises :class:`TransmitRefused`."""
        try:
            receipt = await self._place_and_wait(concentrator, request)
        except TransmitRefused as refusal:
            self.outcomes[refusal.reason] += 1
            raise
        except (
            asyncio.CancelledError
        ):  # whoever asked has gone; what is in the chip already leaves all the same
            self.outcomes["withdrawn"] += 1
            raise
        self.outcomes["sent"] += 1
        return receipt

    async def _place_and_wait(self, concentrator: Concentrator, request: TxRequest) -> TxReceipt:
        """One place; a few where any time will do and the host was too slow to arm it."""
        tries = ASAP_TRIES if request.lora is not None and request.lora.counter_us is None else 1
        while True:
            waiting = self._admit(concentrator, request)
            tries -= 1
            try:
                return await waiting.outcome
            except TransmitRefused as refusal:
                if refusal.reason != "too_late" or not tries:
                    raise
            finally:
                self._withdraw(waiting)

    def _admit(self, concentrator: Concentrator, request: TxRequest) -> Waiting:
        """All rules, changing nothing until the last has passed."""
        region, downlink, ledger = self._settings.region, request.lora, self.ledger
        if downlink is None:
            raise TransmitRefused("unsupported", "a LoRa radio needs to be told frequency and rate")
        if region is None or ledger is None:
            raise TransmitRefused(
                "region_unset", "set lora.region to the country's plan to allow transmission"
            )
        band = region.sub_band(downlink.frequency_hz, downlink.bandwidth_hz)
        if band is None:
            where = f"{downlink.frequency_hz / 1e6:.3f} MHz at {downlink.bandwidth_hz // 1000} kHz"
            raise TransmitRefused("frequency", f"{where} may not be used in {region.name}")
        emission = self._emission(downlink, request.payload, band)
        now_us = concentrator.now_us
        interval = self._schedule.find(now_us, downlink.counter_us, emission.airtime_us)
        if interval.end_us - now_us > request.timeout_s * 1e6:
            ahead_s = (interval.end_us - now_us) / 1e6
            raise TransmitRefused("too_early", f"would end in {ahead_s:.1f} s, after the request's timeout")
        displaced = self._schedule.clashes(interval, request.priority)
        claim = Claim(band, downlink.frequency_hz, downlink.bandwidth_hz, interval)
        ledger.check(claim)
        for place in displaced:
            self._refuse(place, TransmitRefused("collision", "displaced by an emission of higher priority"))
        timed = replace(emission, counter_us=concentrator.raw(interval.start_us))
        ledger.enter(claim, now_us)
        return self._enter(timed, claim, request.priority)

    def _enter(self, emission: Emission, claim: Claim, priority: int) -> Waiting:
        ticket = next(self._tickets)
        place = Place(ticket=ticket, emission=emission, interval=claim.interval, priority=priority)
        waiting = Waiting(place, claim, asyncio.get_running_loop().create_future())
        self._schedule.add(place)
        self._waiting[ticket] = waiting
        self._wake.set()
        return waiting

    def _emission(self, downlink: LoraDownlink, payload: bytes, band: SubBand) -> Emission:
        if not 0 < len(payload) <= send.MAX_PAYLOAD:
            raise TransmitRefused("size", f"{len(payload)} bytes, 1 to {send.MAX_PAYLOAD} fit")
        return Emission(
            frequency_hz=downlink.frequency_hz,
            gain_index=self._gain_index(downlink.power_dbm, band),
            modulation=_modulation(downlink),
            payload=payload,
            radio=self._settings.board.tx_radios.index(True),
        )

    def _gain_index(self, eirp_dbm: float, band: SubBand) -> int:
        """Clamp to what the band allows, take the antenna's gain off, pick the table's entry."""
        gains = self._settings.board.gains
        wanted_dbm = min(eirp_dbm, band.max_eirp_dbm) - self._settings.antenna_gain_db
        lowest = gains[0].power_dbm
        if lowest + self._settings.antenna_gain_db > band.max_eirp_dbm:
            raise TransmitRefused(
                "power", f"even {lowest} dBm exceeds {band.max_eirp_dbm} dBm EIRP with this antenna"
            )
        return send.gain_index(gains, wanted_dbm)

    # -- the task

    async def run(self, concentrator: Concentrator) -> None:
        """Program each place when it is due, until cancelled. Raises :class:`DriverLost`."""
        while True:
            place = self._schedule.first
            self._wake.clear()
            if place is None:
                await self._wake.wait()
                continue
            ahead_us = place.interval.start_us - LEAD_US - concentrator.now_us
            if ahead_us > 0:
                await self._sleep_or_wake(ahead_us / 1e6)
                continue
            await self._send(concentrator, place)

    async def _sleep_or_wake(self, seconds: float) -> None:
        """Another place may come before the first: then look again."""
        tasks = {
            asyncio.ensure_future(self._clock.sleep(seconds)),
            asyncio.ensure_future(self._wake.wait()),
        }
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _send(self, concentrator: Concentrator, place: Place) -> None:
        self._schedule.arm(place.ticket)
        try:
            await concentrator.program(place.emission, place.interval.start_us)
        except TooLate as error:
            self._schedule.disarm()
            self._refuse(place, TransmitRefused("too_late", f"could not be programmed in time: {error}"))
            return
        left_us = place.interval.end_us - concentrator.now_us
        await self._clock.sleep(max(0.0, left_us / 1e6))
        if not await self._left(concentrator):
            await concentrator.abort()
            self._schedule.disarm()
            self._refuse(place, TransmitRefused("too_late", "the trigger's time passed before it was armed"))
            return
        self.airtime_us += place.emission.airtime_us
        self._settle(place)

    async def _left(self, concentrator: Concentrator) -> bool:
        """Whether the transmitter is idle again; still armed means that its trigger was missed."""
        for _ in range(END_CHECKS):
            if not await concentrator.transmit_status() & (send.PROGRAMMED | send.EMITTING):
                return True
            await self._clock.sleep(0.002)
        return False

    def _settle(self, place: Place) -> None:
        """It left."""
        waiting = self._waiting.pop(place.ticket)
        self._schedule.remove(place.ticket)
        if not waiting.outcome.done():
            waiting.outcome.set_result(
                TxReceipt(airtime_us=place.emission.airtime_us, counter_us=place.interval.start_us)
            )

    def _refuse(self, place: Place, refusal: TransmitRefused) -> None:
        """It will not leave. What the chip held may have left in part: its airtime stays counted."""
        waiting = self._waiting.pop(place.ticket)
        if self.ledger is not None and place.ticket != self._schedule.armed:
            self.ledger.strike(waiting.claim)
        if place.ticket == self._schedule.armed:
            refusal = TransmitRefused(refusal.reason, str(refusal), on_air=True)
        self._schedule.remove(place.ticket)
        if not waiting.outcome.done():
            waiting.outcome.set_exception(refusal)

    def _withdraw(self, waiting: Waiting) -> None:
        """Whoever waited may be gone; what is not in the chip yet is then not sent."""
        place = waiting.place
        if place.ticket in self._waiting and place.ticket != self._schedule.armed:
            self._refuse(place, TransmitRefused("collision", "withdrawn"))

    def refuse_all(self, refusal: TransmitRefused) -> None:
        """The chip was reset or closed: nothing that waits will leave."""
        for waiting in list(self._waiting.values()):
            self._refuse(waiting.place, refusal)


def _modulation(downlink: LoraDownlink) -> LoraModulation:
    """Raises :class:`TransmitRefused` for a rate that the modem does not have."""
    known = (
        7 <= downlink.spreading_factor <= 12
        and downlink.bandwidth_hz in send.BANDWIDTHS_HZ
        and downlink.coding_rate in CODING_RATES
        and 6 <= downlink.preamble <= 0xFFFF
    )
    if not known:
        raise TransmitRefused("unsupported", f"no such LoRa rate: {downlink}")
    return LoraModulation(
        spreading_factor=downlink.spreading_factor,
        bandwidth_hz=downlink.bandwidth_hz,
        coding_rate=downlink.coding_rate,
        crc=not downlink.no_crc,
        invert_iq=downlink.invert_iq,
        preamble=downlink.preamble,
    )
