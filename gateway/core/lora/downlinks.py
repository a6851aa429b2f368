"""Which answer goes where: alone in RX1 or RX2 when it fits, else batched in the common window; sans-IO."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.core.lora.duty import HOUR_S, DutyLedger, Spent
from gateway.core.lora.exchanges import Exchange, Hearing
from gateway.core.lora.frames import FRAGMENT_HEADER, XID_SIZE, FrameType, Part, split
from gateway.core.lora.regions import Channel, Region
from gateway.core.lora.windows import (
    Booking,
    Heard,
    Priority,
    Slot,
    Timing,
    Transmitter,
    Window,
    common_slot,
    receive_slots,
)

MAX_TRANSMITTERS = 64  # concentrators; whatever one more heard is not answered
# Frames that wait for a concentrator's common window; above that the least important gives way, of such the
# newest. The fastest region serves some 240 promises in one window, and giving 512 their turn took 56 ms.
MAX_WAITING = 256
CROWD = 2  # so many wait for the common window already: the next one joins them instead of taking RX2
HAND_OVER_S = 0.5  # the common window's frames go to the radio so long ahead
ABOUT_ONE_FRAME_S = 1.0
ABOUT_ONE_BATCHED_S = 0.4  # an item of a batch at SF9BW125, with its share of headers
ROUNDING_S = 1e-6

Join = Callable[[Sequence[bytes]], tuple[bytes, Sequence[int]] | None]
"""Answers → one message that stands for several, and the indexes of those; None when no two can be joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AirtimePast:
    """What was sent before this link began; until ``unknown_until`` (monotonic seconds) nobody knows."""

    spent: tuple[Spent, ...] = ()
    unknown_until: float = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Say:
    """Something to send after a hearing: a part of an exchange's answer, or a frame that ``build`` makes.

    ``build`` is called with the largest size there is room for when the moment has come; None from it means
    that there is nothing to say (any more) or that it does not fit.
    """

    key: bytes  # of two with one key the newer counts
    hearing: Hearing
    priority: Priority
    build: Callable[[int], bytes | None]
    exchange: Exchange | None = None
    part: int = 0
    may_wait: bool = True  # for the common window


@dataclass(slots=True, eq=False)
class Batch:
    """The exchanges and parts that the frames of one batch answer, who need all of them."""

    members: list[tuple[Exchange, int]]

    def take_back(self) -> None:
        """One frame was refused: nobody was answered. Of further ones nothing more follows."""
        for exchange, part in self.members:
            exchange.take_back(part)
        self.members.clear()


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """A frame to transmit by ``concentrator``; its airtime is booked. ``power_dbm`` is EIRP."""

    payload: bytes
    concentrator: str
    reply_to: object
    booking: Booking
    window: Window
    counter_us: int | None  # None: as soon as may be
    power_dbm: float
    priority: Priority
    heard: Heard | None = None  # what it answers
    digest: bytes | None = None  # of the message it answers alone; None for ACK, ABORT and BATCH
    part: int = 0
    batch: Batch | None = None


class Downlinks:
    """The sending side of a link, over all its concentrators. Owned by the link."""

    def __init__(
        self,
        region: Region,
        timing: Timing,
        power_dbm: float,
        join: Join | None,
        counts: Counter[str],
        past: AirtimePast,
    ) -> None:
        self.region = region
        self._timing = timing
        self._power_dbm = power_dbm
        self._join = join
        self._counts = counts
        self._past = past
        self._transmitters: dict[str, Transmitter] = {}
        self._waiting: dict[str, dict[bytes, tuple[Say, Slot]]] = {}  # by concentrator, then by key
        for spent in past.spent:
            self._transmitter(spent.transmitter)

    def place(self, say: Say, now: float, after: Window | None = None) -> list[Send]:
        """Book RX1, else RX2, else let it wait for the common window; ``after`` leaves out what was tried."""
        heard = say.hearing.best
        transmitter = self._transmitter(heard.concentrator)
        if transmitter is None:
            self._counts["no_route"] += 1
            return []
        self._waiting[heard.concentrator].pop(say.key, None)
        for slot in receive_slots(heard, self.region, self._timing):
            if after is not None and slot.window <= after:
                continue
            if slot.window is Window.RX2 and self._better_batched(say, transmitter, slot):
                continue
            payload = say.build(slot.channel.rate.max_bytes)
            if payload is None:
                continue
            booking = transmitter.book(len(payload), slot.channel, slot.start, now, say.priority)
            if isinstance(booking, Booking):
                return [self._send(payload, say, booking, slot.window)]
            self._counts[f"{slot.window.name.lower()}_{booking}"] += 1
        self._wait(say, now, after)
        return []

    def duty_left_s(self, now: float) -> dict[str, float]:
        """Airtime left in the hour by sub-band that has a limit, of the concentrator that has least."""
        used = [transmitter.used_us(now) for transmitter in self._transmitters.values()]
        return {
            band.name: max(0.0, band.duty * HOUR_S - max((one[band.name] for one in used), default=0) / 1e6)
            for band in self.region.sub_bands
            if band.duty < 1
        }

    def broadcast(
        self, message: bytes, channel: Channel, concentrator: str, reply_to: object, now: float
    ) -> list[Send]:
        """One message to all who listen there; as BATCH frames, with nothing owed to anybody."""
        transmitter = self._transmitter(concentrator)
        if transmitter is None:
            self._counts["no_route"] += 1
            return []
        sends: list[Send] = []
        for payload in batch_frames(message, channel.rate.max_bytes):
            start = transmitter.next_free(now + self._timing.lead_s + ROUNDING_S, ABOUT_ONE_FRAME_S)
            booking = transmitter.book(len(payload), channel, start, now, Priority.NOTICE)
            if isinstance(booking, str):
                self._counts[f"notice_{booking}"] += 1
                break
            sends.append(
                Send(
                    payload=payload,
                    concentrator=concentrator,
                    reply_to=reply_to,
                    booking=booking,
                    window=Window.NONE,
                    counter_us=None,
                    power_dbm=self.region.eirp_dbm(channel.frequency_hz, self._power_dbm),
                    priority=Priority.NOTICE,
                )
            )
        return sends

    def ever_us(self, concentrator: str, band: str) -> int:
        """All airtime ever booked there."""
        transmitter = self._transmitters.get(concentrator)
        return 0 if transmitter is None else transmitter.ever_us(band)

    def spent(self) -> list[Spent]:
        """All transmitters' airtime."""
        return [one for name, transmitter in self._transmitters.items() for one in transmitter.spent(name)]

    def forget(self, say_key: bytes) -> None:
        """Let what waits under this key not be said: the device spoke again, and elsewhere perhaps."""
        for waiting in self._waiting.values():
            waiting.pop(say_key, None)

    def due(self, now: float) -> list[Send]:
        """The common window's frames whose time has come."""
        sends: list[Send] = []
        for concentrator, waiting in self._waiting.items():
            if waiting and self._flush_at(waiting) <= now:
                sends += self._flush(concentrator, now)
        return sends

    def next_due(self) -> float | None:
        return min((self._flush_at(waiting) for waiting in self._waiting.values() if waiting), default=None)

    def release(self, send: Send) -> None:
        """The radio refused it: its airtime is not spent."""
        transmitter = self._transmitters.get(send.concentrator)
        if transmitter is not None:
            transmitter.release(send.booking)

    def gauges(self, now: float) -> dict[str, float]:
        """What waits, and the airtime of the last hour by concentrator and sub-band."""
        figures: dict[str, float] = {"waiting": sum(map(len, self._waiting.values()))}
        for name, transmitter in self._transmitters.items():
            figures |= {f"airtime_us.{name}.{band}": used for band, used in transmitter.used_us(now).items()}
        return figures

    # The common window

    def _better_batched(self, say: Say, transmitter: Transmitter, slot: Slot) -> bool:
        """Whether to leave RX2 for the common window: in a batch of 16 a promise costs 60 % of one alone."""
        if self._join is None or _answer(say) is None:
            return False
        crowd = len(self._waiting[say.hearing.best.concentrator]) >= CROWD
        return crowd or transmitter.is_scarce(slot.channel.frequency_hz, slot.start)

    def _wait(self, say: Say, now: float, after: Window | None) -> None:
        heard = say.hearing.best
        slot, waiting = common_slot(heard, self.region, self._timing), self._waiting[heard.concentrator]
        if say.build(self.region.part_bytes) is None:
            self._counts["no_such_part"] += 1
        elif not say.may_wait or after is Window.COMMON or now + HAND_OVER_S > slot.end:
            self._counts["window_missed"] += 1
        else:
            waiting[say.key] = (say, slot)
            if len(waiting) > MAX_WAITING:
                del waiting[max(reversed(waiting), key=lambda key: waiting[key][0].priority)]
                self._counts["queue_full"] += 1

    def _flush_at(self, waiting: dict[bytes, tuple[Say, Slot]]) -> float:
        """When all who wait listen, and as late as their windows and our patience allow: others may join."""
        slots = [slot for _, slot in waiting.values()]
        each = ABOUT_ONE_FRAME_S if self._join is None else ABOUT_ONE_BATCHED_S
        closes = min(slot.end for slot in slots) - each * len(slots)
        linger = min(slot.start for slot in slots) + self._timing.linger_s
        return min(linger, max(closes, max(slot.start for slot in slots))) - HAND_OVER_S

    def _flush(self, concentrator: str, now: float) -> list[Send]:
        """Send to all whose window is open, as few frames as can be, those first who stop listening first."""
        start = now + HAND_OVER_S + ROUNDING_S
        waiting = self._waiting[concentrator]
        ready = [(say, slot) for say, slot in waiting.values() if slot.start <= start]
        for say, _ in ready:
            del waiting[say.key]
        ready.sort(key=lambda one: (one[0].priority, one[1].end))
        sends: list[Send] = []
        most = len(ready)
        while ready:
            chosen, frames = self._group([say for say, _ in ready], most)
            outcome = self._send_in_turn([ready[i] for i in chosen], frames, start, now)
            if isinstance(outcome, str) and len(chosen) > 1:
                most = len(chosen) // 2  # a batch too long for the window or the hour: a shorter one may do
                continue
            if isinstance(outcome, str):
                self._counts[outcome] += 1
            else:
                sends += outcome
            ready = [one for i, one in enumerate(ready) if i not in chosen]
        return sends

    def _group(self, says: Sequence[Say], most: int) -> tuple[Sequence[int], Sequence[bytes]]:
        """The indexes of those that one batch answers, with its frames; else the first one with its own."""
        whole = [i for i, say in enumerate(says) if _answer(say) is not None][:most]
        if self._join is not None and len(whole) > 1:
            joined = self._join([_answer(says[i]) or b"" for i in whole])
            if joined is not None and len(set(joined[1])) > 1:
                return [whole[i] for i in joined[1]], batch_frames(joined[0], self.region.part_bytes)
        payload = says[0].build(self.region.part_bytes)
        return [0], [] if payload is None else [payload]

    def _send_in_turn(
        self, group: Sequence[tuple[Say, Slot]], frames: Sequence[bytes], start: float, now: float
    ) -> list[Send] | str:
        """Book all frames one after another inside every member's window; or none, and a word why."""
        first, slot = group[0]
        transmitter = self._transmitters[first.hearing.best.concentrator]
        closes = min(slot.end for _, slot in group)
        booked: list[Booking] = []
        for payload in frames:
            at = transmitter.next_free(start, ABOUT_ONE_FRAME_S)
            booking = transmitter.book(len(payload), slot.channel, at, now, first.priority)
            if isinstance(booking, Booking):
                booked.append(booking)
                start = booking.end
            if isinstance(booking, str) or booking.end > closes:
                for taken in booked:
                    transmitter.release(taken)
                return booking if isinstance(booking, str) else "window_missed"
        if len(group) == 1:
            return [self._send(p, first, b, Window.COMMON) for p, b in zip(frames, booked, strict=True)]
        return self._broadcast(group, frames, booked)

    def _broadcast(
        self, group: Sequence[tuple[Say, Slot]], frames: Sequence[bytes], booked: Sequence[Booking]
    ) -> list[Send]:
        batch = Batch([(say.exchange, say.part) for say, _ in group if say.exchange is not None])
        for exchange, part in batch.members:
            exchange.give(part, booked[0].start)
        self._counts["batched"] += len(group)
        first = group[0][0]
        to_all = Say(key=b"", hearing=first.hearing, priority=first.priority, build=first.build)
        return [self._send(p, to_all, b, Window.COMMON, batch) for p, b in zip(frames, booked, strict=True)]

    def _send(
        self, payload: bytes, say: Say, booking: Booking, window: Window, batch: Batch | None = None
    ) -> Send:
        if say.exchange is not None:
            say.exchange.give(say.part, booking.start)
        heard = say.hearing.best
        return Send(
            payload=payload,
            heard=heard,
            concentrator=heard.concentrator,
            reply_to=heard.reply_to,
            booking=booking,
            window=window,
            counter_us=heard.counter_at(booking.start),
            power_dbm=self.region.eirp_dbm(booking.channel.frequency_hz, self._power_dbm),
            priority=say.priority,
            digest=None if say.exchange is None else say.exchange.digest,
            part=say.part,
            batch=batch,
        )

    def _transmitter(self, concentrator: str) -> Transmitter | None:
        if concentrator not in self._transmitters and len(self._transmitters) < MAX_TRANSMITTERS:
            past = [spent for spent in self._past.spent if spent.transmitter == concentrator]
            duty = DutyLedger(past, self._past.unknown_until)
            self._transmitters[concentrator] = Transmitter(self.region, self._timing, duty)
            self._waiting[concentrator] = {}
        return self._transmitters.get(concentrator)


def batch_frames(message: bytes, part_bytes: int) -> list[bytes]:
    """A broadcast, divided for frames of ``part_bytes``; its id is the first 4 bytes of its hash."""
    chunks = split(message, part_bytes - FRAGMENT_HEADER)
    batch = hashlib.sha256(message).digest()[:XID_SIZE]
    return [Part(FrameType.BATCH, batch, i, len(chunks), c).to_bytes() for i, c in enumerate(chunks)]


def _answer(say: Say) -> bytes | None:
    """What may share a batch: the answer of an exchange, not a later part of it."""
    return None if say.exchange is None or say.part else say.exchange.answer
