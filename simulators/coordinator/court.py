"""Conflicts: found in what was applied or brought as evidence, decided by the rules, told to every gateway.

The rules: the only text with its receiver's accepted receipt wins; among several the earliest; with none,
none; where two texts share an id, nobody decides but a person.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from nacl.signing import SigningKey

from simulators.coordinator.records import Judgement, State
from simulators.coordinator.store import Store
from simulators.textbook import evidence
from simulators.textbook.cbor import Malformed, encode
from simulators.textbook.objects import Proof, Transaction, object_hash
from simulators.textbook.signing import NOTICE, labelled, sign, verifies

EVIDENCE, DECISION, DEVICES = 1, 2, 3
"""Kinds of a notice."""

MAX_DEVICES = 256


@dataclass(frozen=True, slots=True)
class Conflict:
    """Texts that `key` signed under `nonce`, by identity; `rule` and `winner` once it is decided."""

    key: bytes
    nonce: int
    texts: tuple[bytes, ...]
    rule: str | None = None
    winner: bytes | None = None


class Court:
    """Used on the coordinator's one working thread; `decides`: at once, by the rules."""

    def __init__(
        self, store: Store, key: SigningKey, now_ms: Callable[[], int], *, decides: bool = False
    ) -> None:
        self._store = store
        self._key = key
        self._now_ms = now_ms
        self.decides = decides
        self.on_notice: Callable[[], None] = lambda: None

    # What comes in.

    def applied(self, judgement: Judgement) -> None:
        """Conflicts that a commit completed, and evidence that stands in it."""
        for _, one in judgement.new.values():
            if isinstance(one, Proof):
                self._keep(one.body)
        verified = [hash_ for hash_, state in judgement.transactions.items() if state is State.VERIFIED]
        for payments in self._store.rivals(verified):
            self._compare(payments)
        for payments in self._store.namesakes(verified):
            self._name(payments)
        for identity in {one.identity for one in self._receipts(judgement)}:
            self._reconsider(identity)

    def brought(self, bodies: Iterable[bytes]) -> list[bytes]:
        """EVIDENCE: hashes of all of it; what proves nothing is dropped, and never asked for again."""
        hashes = []
        for body in bodies:
            hashes.append(object_hash(body))
            try:
                self._keep(body)
            except Malformed:
                continue
        return hashes

    def _compare(self, payments: Sequence[Transaction]) -> None:
        keys = [key for key, _ in self._store.keys({payments[0].sender})]
        signed = defaultdict(list)
        for payment in payments:
            key = next((key for key in keys if verifies(key, payment.text(), payment.signature)), None)
            signed[key].append(payment)
        for key, texts in signed.items():
            for other in texts[1:]:
                if key is not None:
                    self._keep(evidence.spent(key, texts[0], other))

    def _name(self, payments: Sequence[Transaction]) -> None:
        """Two texts under one id, of one sender or of two."""
        signed = [(self._key_of(one), one) for one in payments]
        known = [(key, one) for key, one in signed if key is not None]
        for other in known[1:]:
            self._keep(evidence.same_id(known[0], other))

    def _key_of(self, payment: Transaction) -> bytes | None:
        keys = [key for key, _ in self._store.keys({payment.sender})]
        return next((key for key in keys if verifies(key, payment.text(), payment.signature)), None)

    def _keep(self, body: bytes) -> None:
        found = evidence.verify(body)
        is_new = self._store.keep_proof(object_hash(body), found, body, self._now_ms())
        if not is_new:
            return
        self._tell(EVIDENCE, body)
        if found.key is not None and found.payments:
            self._weigh(found.key, found.payments[0].nonce)

    def _receipts(self, judgement: Judgement) -> list[Transaction]:
        """Payments for which this commit has verified a receipt."""
        receipts = [hash_ for hash_, (state, _) in judgement.receipts.items() if state is State.VERIFIED]
        return list(self._store.transactions(self._store.receipted(receipts)).values())

    def _reconsider(self, identity: bytes) -> None:
        for key, nonce in self._store.conflicts_with(identity):
            self._weigh(key, nonce)

    def _weigh(self, key: bytes, nonce: int) -> None:
        if self.decides:
            self.decide(key, nonce)

    # What is decided.

    def conflicts(self) -> list[Conflict]:
        """All of them, decided or not."""
        found = []
        for key, nonce in self._store.conflicted():
            texts = tuple(sorted(payment.identity for payment in self._texts(key, nonce)))
            found.append(Conflict(key, nonce, texts, *self._store.decided(key, nonce, texts)))
        return found

    def decide(self, key: bytes, nonce: int) -> Conflict:
        """By the rules; raises `KeyError` where there is no such conflict."""
        payments = self._texts(key, nonce)
        if len(payments) < 2:
            raise KeyError(f"no conflict of {key.hex()} at nonce {nonce}")
        rule, winner = self._ruling(payments)
        decided = Conflict(key, nonce, tuple(sorted(one.identity for one in payments)), rule, winner)
        if self._store.decided(key, nonce, decided.texts) != (rule, winner):
            self._store.keep_decision(key, nonce, decided.texts, rule, winner)
            self._tell(DECISION, encode([key, nonce, list(decided.texts), winner]))
        return decided

    def _ruling(self, payments: Sequence[Transaction]) -> tuple[str, bytes | None]:
        if any(self._store.is_shared(one.id) for one in payments):
            return "escalate", None
        accepted = [one for one in payments if self._store.accepted(one.identity)]
        if not accepted:
            return "no_receipt", None
        rule = "only_receipt" if len(accepted) == 1 else "earliest"
        return rule, min(accepted, key=lambda one: (one.timestamp, one.identity)).identity

    def _texts(self, key: bytes, nonce: int) -> list[Transaction]:
        """Every payment that evidence shows under this key and nonce."""
        payments = {}
        for body in self._store.proofs(key, nonce):
            found = evidence.verify(body)
            if found.kind in (evidence.DOUBLE_SPEND, evidence.DUPLICATE_NONCE):
                payments.update({one.identity: one for one in found.payments})
        return list(payments.values())

    # What is told.

    def devices(self, known: Sequence[tuple[bytes, bool]]) -> None:
        """Keys of devices that gateways may try, and whether each is blocked."""
        for at in range(0, len(known), MAX_DEVICES):
            some = known[at : at + MAX_DEVICES]
            self._store.keep_devices(some)
            self._tell(DEVICES, encode([[key, int(blocked)] for key, blocked in some]))

    def notices(self, after: int, most: int) -> list[list[object]]:
        """What follows the notice of that number, as NOTICE carries it."""
        return self._store.notices(after, most)

    def _tell(self, kind: int, body: bytes) -> None:
        number, at = self._store.next_notice(), self._now_ms()
        signature = sign(self._key, labelled(NOTICE, encode([number, kind, at, body])))
        self._store.keep_notice(number, kind, at, body, signature)
        self.on_notice()
