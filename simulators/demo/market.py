"""Payments among the wallets, and each wallet's habit of handing over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from simulators.demo.carriers import Carrier
from simulators.wallets import Payment, Season, Wallet

EVERY = 4
"""New payments in a ledger after which its wallet hands over."""


class Market:
    """Open until :meth:`close`; who leaves, then or before, hands over what is left and is done."""

    def __init__(self, season: Season, carriers: Mapping[str, Sequence[Carrier]]) -> None:
        self.season = season
        self.carriers = carriers
        self.paid: dict[bytes, Payment] = {}
        self._trading = list(season.wallets)
        self._news = asyncio.Condition()

    async def pay(self) -> None:
        """The season's next payment, among those who have not left."""
        self._enter(self.season.pay(self._trading))
        await self._tell()

    async def cheat(self) -> tuple[Wallet, Wallet, Wallet]:
        """Somebody pays two others with one nonce, and both take it: the cheat and the cheated."""
        cheat, first, second = self.season.wallets[0], self.season.wallets[1], self.season.wallets[-1]
        now = self.season.now_ms
        honest = cheat.pay(first.device_id, 25.0, now)
        again = cheat.signed(second.device_id, 25.0, honest.transaction.nonce, now + 1, salt=b"again")
        first.enter(honest)
        second.enter(Payment(again))
        self._enter(honest)
        self._enter(Payment(again))
        await self._tell()
        return cheat, first, second

    async def leave(self, wallet: Wallet) -> None:
        """It hands over what is left and is done; nobody pays it any more."""
        self._trading.remove(wallet)
        await self._tell()

    async def close(self) -> None:
        """The same for all who are left; no payment may follow."""
        self._trading = []
        await self._tell()

    async def serve(self, carrier: Carrier) -> None:
        """Hand this wallet over, each time it has grown and once more at the end."""
        handed = 0
        while carrier.wallet in self._trading:
            await self._due(carrier.wallet, handed + EVERY)
            handed = len(carrier.wallet.ledger)
            await carrier.hand_over()
        await carrier.hand_over()

    async def _due(self, wallet: Wallet, payments: int) -> None:
        async with self._news:
            await self._news.wait_for(lambda: wallet not in self._trading or len(wallet.ledger) >= payments)

    def _enter(self, payment: Payment) -> None:
        self.paid[payment.transaction.identity] = payment

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()
