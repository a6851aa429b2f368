"""Phones that come and go past one gateway, for as long as they are told to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from random import Random

from simulators.phones.call import PhoneError
from simulators.phones.misdeeds import Misdeed
from simulators.phones.phone import Phone, Visit

CUT_WITHIN = 20_000  # message bytes of a contact that a phone in a hurry stays for, at the most


class Crowd:
    """``on_visit`` is told each contact: the phone, what it came to, or why to nothing.

    ``cut``: the share of contacts that end in the middle. ``away_s``: how long a phone is out of range
    between two contacts, on average. ``misdeeds``: for phones by number; they do nothing else.
    """

    def __init__(
        self,
        phones: Iterable[Phone],
        random: Random,
        *,
        on_visit: Callable[[Phone, Visit | None, str], None],
        cut: float = 0.0,
        away_s: float = 0.0,
        misdeeds: dict[int, Misdeed] | None = None,
    ) -> None:
        self._phones = list(phones)
        self._random = random
        self._on_visit = on_visit
        self._cut = cut
        self._away_s = away_s
        self._misdeeds = misdeeds or {}

    async def run(self, visits: int | None) -> None:
        """So many contacts a phone; None: until cancelled."""
        walks = [
            asyncio.create_task(self._walk(phone, visits), name=f"phone-{phone.number}")
            for phone in self._phones
        ]
        try:
            # Not by awaiting one of them: it would be cancelled with us, may swallow that, and we would stay.
            ended, _ = await asyncio.wait(walks, return_when=asyncio.FIRST_EXCEPTION)
            for walk in ended:
                walk.result()
        finally:
            while pending := [walk for walk in walks if not walk.done()]:
                for walk in pending:
                    walk.cancel()  # again and again: wait_for() of Python 3.11, in bumble, may swallow one
                await asyncio.wait(pending, timeout=1.0)

    def close(self) -> None:
        for phone in self._phones:
            phone.close()

    async def _walk(self, phone: Phone, visits: int | None) -> None:
        done = 0
        while visits is None or done < visits:
            if self._away_s:
                await asyncio.sleep(self._random.expovariate(1 / self._away_s))
            phone.come_back()
            hurried = self._random.random() < self._cut
            phone.cut_after = self._random.randrange(1, CUT_WITHIN) if hurried else None
            try:
                visit = await phone.visit(misdeed=self._misdeeds.get(phone.number))
            except PhoneError as error:
                self._on_visit(phone, None, str(error))
                await asyncio.sleep(0.1)  # a gateway that is not there is not hammered
                continue
            self._on_visit(phone, visit, "")
            done += 1
