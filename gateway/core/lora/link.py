"""The LoRa link: frames in, messages out, answers placed where their devices listen; sans-IO.

    link = LoraLink(region)
    for event in link.receive(payload, heard, now): ...     # Message: submit it. Send: transmit it.
    for event in link.answer(message.context, answer, now): ...
    for event in link.due(now): ...                          # call at link.next_due()
    link.sent(send)  or  link.refused(send, reason, now)     # what became of a Send

Rules of this file: nothing is sent while the region is not set; nothing is sent whose airtime was not booked;
whatever is remembered of the air has a bound.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from gateway.core.lora.downlinks import AirtimePast, Downlinks, Join, Say, Send
from gateway.core.lora.duty import HOUR_S, Spent
from gateway.core.lora.exchanges import Copies, Exchange, Exchanges, Hearing
from gateway.core.lora.frames import Abort, Ack, Data, FrameError, Poll, decode_uplink
from gateway.core.lora.reassembly import Joined, Reassembly, ReassemblyLimits, TooLarge
from gateway.core.lora.regions import Channel, Region
from gateway.core.lora.windows import Heard, Priority, Timing, Window

MAX_ACKS = 512  # transfers to be acknowledged in a moment; the newest is dropped above that: its device polls
EXPIRY_EVERY_S = 60.0

NEXT_WINDOW_MAY_DO = frozenset({"too_late", "collision", "queue_full"})


@dataclass(frozen=True, slots=True)
class Context:
    """Which message an answer belongs to; opaque, hand it back to :meth:`LoraLink.answer`."""

    digest: bytes
    peer: str
    correlation: str


@dataclass(frozen=True, slots=True)
class Message:
    """A whole message came in."""

    context: Context
    content: bytes


Event = Message | Send


class LoraLink:
    """One radio's link. Owned by one task; ``now`` is monotonic seconds and never goes back.

    ``region`` None: uplinks are taken and nothing is sent. ``power_dbm`` is the EIRP wanted; the sub-band's
    limit goes first. ``join`` makes one answer of several, for batches. ``past``: airtime that counts.
    """

    def __init__(
        self,
        region: Region | None,
        *,
        timing: Timing | None = None,
        limits: ReassemblyLimits | None = None,
        power_dbm: float = 14.0,
        join: Join | None = None,
        past: AirtimePast | None = None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._timing = timing or Timing()
        self._down = (
            None
            if region is None
            else Downlinks(region, self._timing, power_dbm, join, self.counts, past or AirtimePast())
        )
        self._copies = Copies()
        self._reassembly = Reassembly(limits)
        self._exchanges = Exchanges()
        self._acks: dict[bytes, tuple[float, Hearing]] = {}  # xid → when to acknowledge what is there by then
        self._replies: dict[bytes, float] = {}  # digest → when to answer; bounded by the exchanges
        self._submitted = 0
        self._next_expiry = 0.0

    def receive(self, payload: bytes, heard: Heard, now: float) -> list[Event]:
        """Take one frame from the air. Never raises: what is no frame of ours is counted by its reason."""
        try:
            frame = decode_uplink(payload)
        except FrameError as error:
            self.counts[error.reason] += 1
            return []
        hearing = self._copies.first(payload, heard)
        if hearing is None:
            self.counts["copy"] += 1
            return []
        if isinstance(frame, Data):
            self.counts["data"] += 1
            return self._data(frame, hearing, now)
        self.counts["poll"] += 1
        return self._poll(frame, hearing, now) if frame.listening else []

    def answer(self, context: Context, message: bytes, now: float) -> list[Event]:
        """The answer to a message, whenever it comes; later than the device listens, it waits for a poll."""
        exchange = self._exchanges.get(context.digest)
        if exchange is None:
            self.counts["answer_forgotten"] += 1
            return []
        exchange.answer, exchange.answered_at, exchange.submitted = message, now, False
        settled = 0.0 if exchange.hearing is None else exchange.hearing.best.at + self._timing.settle_s
        if now >= settled:
            return self._reply(exchange, 0, now)
        self._replies[exchange.digest] = settled  # a copy heard better may still come
        return []

    def interrupted(self) -> None:
        """Whoever worked on messages is gone: what has no answer is submitted anew when it is asked for."""
        self._exchanges.interrupted()

    def due(self, now: float) -> list[Event]:
        """What its time has come for: acknowledgements, and the common window's frames."""
        events: list[Event] = []
        for xid in [xid for xid, (at, _) in self._acks.items() if at <= now]:
            _, hearing = self._acks.pop(xid)
            events += self._acknowledge(xid, hearing, now)
        for digest in [digest for digest, at in self._replies.items() if at <= now]:
            del self._replies[digest]
            if (exchange := self._exchanges.get(digest)) is not None:
                events += self._reply(exchange, 0, now)
        if self._down is not None:
            events += self._down.due(now)
        if now >= self._next_expiry:
            self._reassembly.expire(now)
            self._next_expiry = now + EXPIRY_EVERY_S
        return events

    def next_due(self) -> float | None:
        """When :meth:`due` has something to do; None: not before something else happens."""
        moments = [at for at, _ in self._acks.values()]
        moments += self._replies.values()
        if self._down is not None and (common := self._down.next_due()) is not None:
            moments.append(common)
        return min(moments, default=None)

    def duty_left_s(self, now: float) -> dict[str, float]:
        """Airtime left in the hour, by sub-band that has a limit; empty while nothing may be sent at all."""
        return {} if self._down is None else self._down.duty_left_s(now)

    def duty_used_s(self, now: float) -> dict[str, float]:
        """Airtime used or planned in the hour, of the transmitter that used most; sub-bands with a limit."""
        return {band: (self.hour_us(band) or 0) / 1e6 - left for band, left in self.duty_left_s(now).items()}

    def sent(self, send: Send) -> None:
        """The radio took it."""
        self.counts["sent"] += 1
        self.counts[f"sent_{send.window.name.lower()}"] += 1
        self.counts["airtime_us"] += send.booking.airtime_us

    def broadcast(
        self, message: bytes, channel: Channel, concentrator: str, reply_to: object, now: float
    ) -> list[Event]:
        """Send one message to all, at the lowest priority: nothing, where the hour is nearly used."""
        if self._down is None:
            self.counts["region_unset"] += 1
            return []
        return list(self._down.broadcast(message, channel, concentrator, reply_to, now))

    def ever_us(self, concentrator: str, band: str) -> int:
        """All airtime that one transmitter ever booked in a sub-band."""
        return 0 if self._down is None else self._down.ever_us(concentrator, band)

    def hour_us(self, band: str) -> int | None:
        """What a sub-band allows in any hour; None where there is no duty cycle to keep."""
        bands = () if self._down is None else self._down.region.sub_bands
        return next(
            (int(one.duty * HOUR_S * 1e6) for one in bands if one.name == band and one.duty < 1), None
        )

    def spent(self) -> list[Spent]:
        """The airtime of the last hour, for a link after a restart to go on from."""
        return [] if self._down is None else self._down.spent()

    def refused(self, send: Send, reason: str, now: float, *, on_air: bool = False) -> list[Event]:
        """The radio will not send it: give back its airtime, and try the next window where that may help.

        The members of a batch have missed the last of their windows: they are answered when they poll.
        ``on_air``: a part of it may have left, so its airtime stays spent.
        """
        self.counts[reason] += 1
        if self._down is not None and not on_air:
            self._down.release(send)
        if send.batch is not None:
            send.batch.take_back()
        exchange = None if send.digest is None else self._exchanges.get(send.digest)
        if exchange is None:
            return []
        exchange.take_back(send.part)
        return self._reply(exchange, send.part, now, send.window) if reason in NEXT_WINDOW_MAY_DO else []

    def gauges(self, now: float) -> dict[str, float]:
        """For the metrics page: what is held, what waits, and airtime by concentrator and sub-band."""
        return {
            "transfers": len(self._reassembly),
            "transfer_bytes": self._reassembly.buffered_bytes,
            "transfers_evicted": self._reassembly.evicted,
            "transfers_expired": self._reassembly.expired,
            "exchanges": len(self._exchanges),
        } | (self._down.gauges(now) if self._down is not None else {})

    def _data(self, frame: Data, hearing: Hearing, now: float) -> list[Event]:
        known = self._exchanges.holding(frame)
        if known is not None:
            return self._asked(known, 0, hearing, now) if frame.listening else []
        peer = hearing.best.peer
        outcome = self._reassembly.add(frame.xid, frame.index, frame.total, frame.chunk, peer=peer, now=now)
        if isinstance(outcome, Joined):
            _, flagged = self._acks.pop(frame.xid, (0.0, None))
            return [self._submit(outcome.message, peer, hearing if frame.listening else flagged)]
        if isinstance(outcome, TooLarge):
            self.counts["too_large"] += 1
            return self._abort(frame.xid, Abort.TOO_LARGE, hearing, now) if frame.listening else []
        if frame.listening:
            self._acknowledge_soon(frame.xid, hearing, now)
        return []

    def _poll(self, frame: Poll, hearing: Hearing, now: float) -> list[Event]:
        exchange = self._exchanges.newest(frame.xid)
        if exchange is not None:
            return self._asked(exchange, frame.part, hearing, now)
        if self._reassembly.bitmap(frame.xid) is None:
            return self._abort(frame.xid, Abort.EXPIRED, hearing, now)
        self._acknowledge_soon(frame.xid, hearing, now)
        return []

    def _submit(self, content: bytes, peer: str, hearing: Hearing | None) -> Message:
        exchange = self._exchanges.begin(content, peer, hearing)
        exchange.submitted = True
        self._submitted += 1
        self.counts["message"] += 1
        return Message(
            Context(exchange.digest, peer, f"lora-{exchange.xid.hex()}-{self._submitted}"), content
        )

    def _asked(self, exchange: Exchange, part: int, hearing: Hearing, now: float) -> list[Event]:
        """A device asks again for what it was, or should have been, answered."""
        exchange.hearing = hearing
        if self._down is not None:
            self._down.forget(exchange.digest)
        if exchange.submitted:
            return []  # the answer goes to this hearing when it comes
        if exchange.backs_off(part, now):
            self.counts["backed_off"] += 1
            return []
        if exchange.answer is None or (part == 0 and exchange.is_stale(now)):
            exchange.answer = None
            return [self._submit(exchange.message, exchange.peer, hearing)]
        return self._reply(exchange, part, now)

    def _reply(self, exchange: Exchange, part: int, now: float, after: Window | None = None) -> list[Event]:
        down, hearing = self._down, exchange.hearing
        if down is None or hearing is None:
            self.counts["region_unset" if down is None else "not_listening"] += 1
            return []

        def build(max_bytes: int) -> bytes | None:
            return exchange.frame(part, max_bytes, down.region.part_bytes)

        say = Say(
            key=exchange.digest,
            hearing=hearing,
            priority=exchange.priority(part),
            build=build,
            exchange=exchange,
            part=part,
        )
        return list(down.place(say, now, after))

    def _acknowledge_soon(self, xid: bytes, hearing: Hearing, now: float) -> None:
        if len(self._acks) >= MAX_ACKS and xid not in self._acks:
            self.counts["queue_full"] += 1
            return
        self._acks[xid] = (now + self._timing.settle_s, hearing)

    def _acknowledge(self, xid: bytes, hearing: Hearing, now: float) -> list[Event]:
        def build(max_bytes: int) -> bytes | None:
            progress = self._reassembly.bitmap(xid)
            return None if progress is None else Ack(xid, *progress).to_bytes()

        return self._say(xid, hearing, Priority.ANSWER, build, now)

    def _abort(self, xid: bytes, code: int, hearing: Hearing, now: float) -> list[Event]:
        """End a transfer, in RX1 or RX2 or not at all: forged polls must not fill the common window."""
        frame = Abort(xid, code).to_bytes()
        self.counts["aborted"] += 1
        return self._say(xid, hearing, Priority.ABORT, lambda _: frame, now, may_wait=False)

    def _say(
        self,
        xid: bytes,
        hearing: Hearing,
        priority: Priority,
        build: Callable[[int], bytes | None],
        now: float,
        *,
        may_wait: bool = True,
    ) -> list[Event]:
        if self._down is None:
            self.counts["region_unset"] += 1
            return []
        say = Say(key=xid, hearing=hearing, priority=priority, build=build, may_wait=may_wait)
        return list(self._down.place(say, now))
