"""A service centre and the air: messages take time, get lost, come twice and out of order, on command."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from random import Random
from typing import Protocol

from simulators.modem.sms import Submission, encode, write_deliver, write_report

# TP-ST (TS 23.040 clause 9.2.3.15)
DELIVERED, EXPIRED, NOT_OBTAINABLE = 0x00, 0x46, 0x43
MAX_WAITING = 10_000  # messages for those who cannot take them now; above it the oldest is lost


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Subscriber(Protocol):
    """Whoever has a number."""

    def take(self, tpdu: bytes) -> bool:
        """A DELIVER or STATUS-REPORT arrives; False when there is no room or no network: keep it."""
        ...


@dataclass(slots=True)
class Conditions:
    """How the network treats messages; probabilities are per part and per way."""

    delay_s: tuple[float, float] = (0.0, 0.01)
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0  # held back for up to ``reorder_s``
    reorder_s: float = 0.3


class Network:
    """One service centre for all numbers. Owned by one event loop.

    ``submitted`` remembers the last parts sent, with their senders, for whoever wants to know.
    """

    def __init__(self, *, seed: int = 1, now: Callable[[], datetime] = _utc_now) -> None:
        self.smsc = "+491710760000"
        self.conditions = Conditions()
        self.submitted: deque[tuple[str, Submission]] = deque(maxlen=MAX_WAITING)
        self.lost = 0
        self.now = now
        self._random = Random(seed)
        self._known: set[str] = set()  # those out of reach now are waited for
        self._subscribers: dict[str, Subscriber] = {}
        self._waiting: dict[str, deque[bytes]] = {}
        self._under_way: set[asyncio.TimerHandle] = set()
        self._references: dict[str, int] = {}

    def attach(self, number: str, subscriber: Subscriber) -> None:
        """Give a number to someone, and what waited for it."""
        self._known.add(number)
        self._subscribers[number] = subscriber
        self.retry(number)

    def detach(self, number: str) -> None:
        self._subscribers.pop(number, None)

    def submit(self, sender: str, message: Submission) -> None:
        """A part from a modem or a phone."""
        self.submitted.append((sender, message))
        sent = self.now()
        if self._random.random() < self.conditions.loss:
            self.lost += 1
            if message.report:
                self._later(lambda: self._report(sender, message, sent, EXPIRED))
            return
        copies = 2 if self._random.random() < self.conditions.duplicate else 1
        for copy in range(copies):
            self._later(partial(self._deliver, sender, message, sent, copy == 0))

    def text(self, sender: str, destination: str, text: str | bytes, *, report: bool = False) -> None:
        """Whole message of a phone, or of a service with a name instead of a number."""
        reference = self._references.get(sender, 0)
        self._references[sender] = (reference + 1) % 256
        for dcs, header, user_data in encode(text, reference):
            self.submit(sender, Submission(destination, reference, 0, dcs, user_data, header, report))

    def retry(self, number: str) -> None:
        """There is room again, or a network (RP-SMMA, TS 23.040 clause 11)."""
        waiting = self._waiting.pop(number, deque())
        while waiting:
            self._hand_over(number, waiting.popleft())

    def waiting(self, number: str) -> int:
        return len(self._waiting.get(number, ()))

    def close(self) -> None:
        """Nothing more arrives."""
        for handle in self._under_way:
            handle.cancel()
        self._under_way.clear()

    def _later(self, action: Callable[[], None]) -> None:
        delay = self._random.uniform(*self.conditions.delay_s)
        if self._random.random() < self.conditions.reorder:
            delay += self._random.uniform(0, self.conditions.reorder_s)

        def act() -> None:
            self._under_way.discard(handle)
            action()

        handle = asyncio.get_running_loop().call_later(delay, act)
        self._under_way.add(handle)

    def _deliver(self, sender: str, message: Submission, sent: datetime, first: bool) -> None:
        known = message.destination in self._known
        if known:
            self._hand_over(message.destination, write_deliver(sender, message, sent))
        if message.report and first:
            status = DELIVERED if known else NOT_OBTAINABLE
            self._later(lambda: self._report(sender, message, sent, status))

    def _report(self, sender: str, message: Submission, sent: datetime, status: int) -> None:
        self._hand_over(sender, write_report(message, sent, self.now(), status))

    def _hand_over(self, number: str, tpdu: bytes) -> None:
        subscriber = self._subscribers.get(number)
        waiting = self._waiting.get(number)
        if subscriber is not None and not waiting and subscriber.take(tpdu):
            return
        queue = self._waiting.setdefault(number, deque(maxlen=MAX_WAITING))
        queue.append(tpdu)
