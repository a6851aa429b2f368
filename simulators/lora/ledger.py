"""A wallet that hands its ledger over by LoRa: what is new after what is held; it believes only proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.signing import BEACON as BEACON_LABEL
from simulators.textbook.signing import labelled, verifies
from simulators.wallets import HandOver, Payment, Wallet
from simulators.wallets.receipts import Promised, verify_promise
from simulators.wallets.uploads import contents, hello, snapshot_cbor, transactions_cbor

PROMISE, NACK, RESUME, LOOSE, BEACON = 16, 17, 18, 19, 22
MOST_AT_ONCE = 40  # payments in one message, so that it stays below the link's 16 KiB
TRIES = 4  # hand-overs of one ledger that end in RESUME or a retry, before it is given up


@dataclass(slots=True)
class LedgerWallet:
    """The wallet of a :class:`simulators.lora.device.LoraDevice`.

    ``gateway_key`` None: it asks the gateway who it is first (HELLO), and believes the first answer.
    ``counts``: ``accepted``, ``resumed``, ``loose``, ``refused_<code>``, ``disbelieved``, ``beacons``.
    ``held`` is how many payments of the ledger the gateway has promised to hold.
    """

    wallet: Wallet
    gateway_key: bytes | None
    origins: Sequence[str]
    now_ms: Callable[[], int]
    counts: Counter[str] = field(default_factory=Counter)
    promises: list[Promised] = field(default_factory=list)
    held: int = 0
    _base: int = 0
    _over: HandOver | None = None
    _loose: list[Payment] | None = None
    _tries: int = 0

    def next_message(self) -> bytes | None:
        """The next piece of the ledger; None when all of it is held, or the gateway will not have it."""
        if self.held >= len(self.wallet.ledger) or self._tries >= TRIES:
            self._tries = 0
            return None
        self._tries += 1
        if self.gateway_key is None:
            return hello(self.wallet.key)
        upto = min(len(self.wallet.ledger), self._base + MOST_AT_ONCE)
        if self._loose is not None:
            self._loose = self.wallet.ledger[self.held : upto]
            return transactions_cbor(self.wallet.key, self._loose)
        self._over = self.wallet.sign_over(self.wallet.ledger[:upto], self.now_ms())
        return snapshot_cbor(self._over, self._base)

    def on_answer(self, answer: bytes) -> bool:
        """True when this settles what was sent last."""
        try:
            kind, *fields = array(decode(answer))
            return self._act(integer(kind), answer, fields)
        except Malformed:
            self.counts["disbelieved"] += 1
            return False

    def _act(self, kind: int, answer: bytes, fields: Sequence[object]) -> bool:
        if kind == PROMISE:
            return self._promised(answer)
        if kind == BEACON:
            return self._told_who(fields)
        if kind == NACK:
            self.counts[f"refused_{integer(fields[0])}"] += 1
        elif kind == RESUME:
            self.counts["resumed"] += 1
            self._base = self._common_prefix(array(fields[0]))
        elif kind == LOOSE:
            self.counts["loose"] += 1
            self._loose = []
        return kind in (NACK, RESUME, LOOSE)

    def _told_who(self, fields: Sequence[object]) -> bool:
        *said, signature = array(list(fields), 7)
        origin, key = text(said[1], 128), octets(said[2], 32)
        if not verifies(key, labelled(BEACON_LABEL, encode(said)), octets(signature, 64)):
            raise Malformed("a BEACON that its own key did not sign")
        self.counts["beacons"] += 1
        self.gateway_key, self.origins, self._tries = key, [origin], 0
        return True

    def _promised(self, answer: bytes) -> bool:
        ours = self.contents()
        if self.gateway_key is None:
            return False
        proved = verify_promise(answer, self.gateway_key, ours, self.origins)
        if {promised.content for promised in proved} != set(ours):
            return False  # a batch for others
        self.promises += proved
        self.counts["accepted"] += 1
        self._tries = 0
        self.held += len(self._loose) if self._loose is not None else len(self._payments()) - self.held
        self._base = self.held
        return True

    def _payments(self) -> Sequence[Payment]:
        return self._over.payments if self._over is not None else ()

    def contents(self) -> list[bytes]:
        """H of what the last message hands over: a snapshot, or loose transactions."""
        if self._loose is not None:
            return contents(self._loose)
        return [] if self._over is None else [self._over.content]

    def _common_prefix(self, bases: Sequence[object]) -> int:
        """The longest of the gateway's prefixes that is ours too; 0: it must have the whole."""
        for base in bases:
            count, root = array(base, 2)
            if self._over is not None and self._over.prefix_root(integer(count)) == octets(root, 32):
                return integer(count)
        return 0
