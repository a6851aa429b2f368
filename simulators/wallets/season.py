"""A season of payments among wallets, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256
from random import Random

from simulators.wallets.wallet import Payment, Wallet

START_MS = 1_790_000_000_000
_DAY_MS = 86_400_000
_TRANSPORTS = ("NFC", "BLE", "QR", "LoRa")


class Season:
    """`wallets` wallets that pay each other `payments_a_day` times a day all together, from `start_ms` on."""

    def __init__(
        self, wallets: int, seed: int = 1, *, start_ms: int = START_MS, payments_a_day: float = 200.0
    ) -> None:
        self._random = Random(seed)
        self._step_ms = _DAY_MS / payments_a_day
        self.now_ms = start_ms
        self.wallets = [Wallet(sha256(f"season {seed} wallet {i}".encode()).digest()) for i in range(wallets)]
        self._handed = dict.fromkeys(range(wallets), 0)

    def pay(self, among: Sequence[Wallet] | None = None) -> Payment:
        """The next payment, in both ledgers; nineteen of twenty are answered by a receipt.

        ``among``: at least two of the wallets; None: all of them.
        """
        random = self._random
        sender, receiver = random.sample(among or self.wallets, 2)
        self._pass(random.expovariate(1 / self._step_ms))
        metadata = {"transport": random.choice(_TRANSPORTS), "offline": random.random() < 0.9}
        payment = sender.pay(receiver.device_id, self._amount(), self.now_ms, metadata)
        if random.random() < 0.05:
            receiver.enter(payment)
            return payment
        self._pass(random.uniform(500, 20_000))
        status = "accepted" if random.random() < 0.98 else "rejected"
        receipted = receiver.accept(payment, self.now_ms, status)
        sender.enter(receipted)
        return receipted

    def play(self, payments: int, every: int) -> Iterator[Wallet]:
        """Wallets that hand over: each time a ledger has grown by `every` payments, and all at the end."""
        for _ in range(payments):
            self.pay()
            yield from self._due(every)
        yield from self._due(1)

    def _due(self, grown: int) -> Iterator[Wallet]:
        for i, wallet in enumerate(self.wallets):
            if len(wallet.ledger) - self._handed[i] >= grown:
                self._handed[i] = len(wallet.ledger)
                yield wallet

    def _amount(self) -> float:
        """Prices in cents, round sums, shares of a sum, and now and then a very small one."""
        random = self._random
        return random.choice(
            (
                float(random.randint(1, 5_000)),
                random.randint(1, 100) * 50.0,
                round(random.lognormvariate(2.5, 1.0) + 0.01, 2),
                random.randint(1, 10_000) / 7,
                random.randint(1, 99) * 1e-8,
            )
        )

    def _pass(self, ms: float) -> None:
        self.now_ms += 1 + int(ms)
