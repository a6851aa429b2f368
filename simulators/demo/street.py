"""Phones that walk past the gateway's Bluetooth dongle, some of them out of range before they are done."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random

from simulators.demo.carriers import REFUSALS, AskingWallet, Tally, includes
from simulators.phones.air import Air
from simulators.phones.call import PhoneError
from simulators.phones.controller import VirtualController
from simulators.phones.ledger import PhoneWallet
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import TcpPort
from simulators.phones.timing import RadioTiming
from simulators.textbook.notes import NoteKey
from simulators.wallets import Wallet
from simulators.wallets.uploads import status

CUT = 0.3
"""The share of contacts that end in the middle, of those that may."""

CONTACTS, HURRIED = 6, 3
"""In a row, for one hand-over, and how many of them may be cut; what is left then waits for the next."""

MTUS = (185, 247, 517, 23)


class Street:
    """A dongle for the gateway, where its configuration finds it, and the air around it."""

    def __init__(self, seed: int) -> None:
        self.air = Air(seed)
        self._dongle = VirtualController(self.air, "dongle", public_address="C0:FF:EE:00:00:01/P")
        self._port = TcpPort(self._dongle)

    @property
    def controller(self) -> str:
        """Its address."""
        return self._port.address

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Street]:
        logging.getLogger("bumble").setLevel(logging.CRITICAL)  # phones that vanish are what this is about
        async with self._port:
            yield self


class BleCarrier:
    """A phone with its wallet; half of them speak the wallet's own JSON."""

    def __init__(
        self,
        number: int,
        wallet: Wallet,
        key: bytes,
        street: Street,
        random: Random,
        now_ms: Callable[[], int],
    ) -> None:
        self.wallet = wallet
        self._key = key
        self._random = random
        self._ledger = PhoneWallet(wallet, now_ms, gateway_key=key, as_json=number % 2 == 1)
        self._street = street
        self._number = number
        timing = RadioTiming(instant=False)
        self._traits = Traits(MTUS[number % len(MTUS)], with_response=number % 3 == 2, timing=timing)
        self._phone = Phone(
            street.air,
            number,
            self._traits,
            next_message=self._next,
            on_answer=self._ledger.on_answer,
            on_notice=self._ledger.on_notice,
        )
        self._sent = self._cut = 0

    async def hand_over(self) -> None:
        for contact in range(CONTACTS):
            if self._ledger.held >= len(self.wallet.ledger):
                return
            hurried = contact < HURRIED and self._random.random() < CUT
            self._phone.cut_after = self._random.randrange(1, 2000) if hurried else None
            try:
                await self._phone.visit()
            except PhoneError:
                self._cut += 1
            self._phone.come_back()

    async def prove(self, content: bytes, coordinator: NoteKey) -> bool | None:
        asking = AskingWallet(
            status(content), lambda answer: includes(answer, self._key, coordinator, content)
        )
        number = self._number + 1000  # another address: phones change theirs
        phone = Phone(
            self._street.air,
            number,
            self._traits,
            next_message=asking.next_message,
            on_answer=asking.on_answer,
        )
        try:
            await phone.visit()
        except PhoneError:
            return None
        finally:
            phone.close()
        return asking.verdict

    def tally(self) -> Tally:
        counts, refused = self._ledger.counts, Counter[str]()
        for name, count in counts.items():
            kind, _, word = name.partition("_")
            if kind == "refused":
                refused[REFUSALS[int(word)] if word.isdecimal() else word] += count
        return Tally(self._sent, self._cut, counts["disbelieved"], refused, list(self._ledger.promises))

    def _next(self) -> bytes | None:
        message = self._ledger.next_message()
        self._sent += message is not None
        return message
