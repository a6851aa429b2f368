"""A wallet: its key, its ledger, the snapshots it signs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import sha256

from nacl.signing import SigningKey

from simulators.textbook.ledger import device_id, receipt_text, snapshot_text, wallet_root
from simulators.textbook.merkle import root_of_data
from simulators.textbook.numbers import number_to_string
from simulators.textbook.objects import Header, Receipt, Transaction, object_hash
from simulators.textbook.signing import sign


@dataclass(frozen=True, slots=True)
class Payment:
    """A transaction as a ledger keeps it: with its receipt where one came, and what the wallet noted."""

    transaction: Transaction
    receipt: Receipt | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class HandOver:
    """A snapshot and the ledger under it, as it was signed."""

    header: Header
    payments: tuple[Payment, ...]

    @cached_property
    def content(self) -> bytes:
        """H: what the gateway promises."""
        return object_hash(self.header.encode())

    def prefix_root(self, count: int) -> bytes:
        """The wallet's root of the first `count` transactions."""
        return wallet_root([payment.transaction.identity for payment in self.payments[:count]])


class Wallet:
    """`seed` (32 bytes) decides the key and every id, so that a run can be repeated to the byte."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self.signing_key = self._key = SigningKey(seed)
        self._nonce = 0
        self._places: dict[bytes, int] = {}
        self.key = bytes(self._key.verify_key)
        self.device_id = device_id(self.key)
        self.ledger: list[Payment] = []

    def pay(
        self, receiver: str, amount: float, now_ms: int, metadata: Mapping[str, object] | None = None
    ) -> Payment:
        """A signed payment to a device id, entered in the own ledger."""
        nonce = self._nonce
        self._nonce += 1
        payment = Payment(self.signed(receiver, amount, nonce, now_ms), None, metadata or {})
        self.enter(payment)
        return payment

    def signed(self, receiver: str, amount: float, nonce: int, now_ms: int, salt: bytes = b"") -> Transaction:
        """A payment in no ledger; with a used nonce and a `salt` (another id) it is a double spend."""
        name = sha256(self._seed + nonce.to_bytes(8, "big") + salt).hexdigest()[:32]
        unsigned = Transaction(
            name, self.device_id, receiver, number_to_string(float(amount)), nonce, now_ms, b""
        )
        return replace(unsigned, signature=sign(self._key, unsigned.text()))

    def accept(self, payment: Payment, now_ms: int, status: str = "accepted") -> Payment:
        """The payment with our receipt, entered in the own ledger."""
        transaction = payment.transaction
        signature = sign(self._key, receipt_text(transaction.id, status, now_ms))
        receipt = Receipt(transaction.identity, status, now_ms, signature)
        receipted = replace(payment, receipt=receipt)
        self.enter(receipted)
        return receipted

    def enter(self, payment: Payment) -> None:
        """Into the ledger, once: what is there already takes the receipt."""
        place = self._places.setdefault(payment.transaction.identity, len(self.ledger))
        if place == len(self.ledger):
            self.ledger.append(payment)
        elif payment.receipt:
            self.ledger[place] = replace(self.ledger[place], receipt=payment.receipt)

    def hand_over(self, now_ms: int) -> HandOver:
        """The whole ledger under a new snapshot."""
        return self.sign_over(self.ledger, now_ms)

    def sign_over(self, payments: Sequence[Payment], now_ms: int) -> HandOver:
        """A snapshot of any list of payments."""
        identities = [payment.transaction.identity for payment in payments]
        root, count = wallet_root(identities), len(identities)
        signature = sign(self._key, snapshot_text(root, now_ms, count))
        header = Header(self.key, root, now_ms, count, signature, root_of_data(identities))
        return HandOver(header, tuple(payments))
