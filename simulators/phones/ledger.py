"""A phone's wallet: its whole ledger under one snapshot, in CBOR or its own JSON, and snapshots of others."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from simulators.textbook.cbor import Malformed, array, decode, encode, integer, octets, text
from simulators.textbook.notes import NoteKey
from simulators.textbook.signing import BEACON as BEACON_LABEL
from simulators.textbook.signing import labelled, verifies
from simulators.wallets import HandOver, Wallet
from simulators.wallets.receipts import (
    Included,
    Promised,
    notice_in_cbor,
    verify_inclusion,
    verify_promise,
    verify_promise_json,
)
from simulators.wallets.uploads import hello, snapshot_cbor, snapshot_json

PROMISE, NACK, INCLUSION, BEACON = 16, 17, 20, 22
TRIES = 4  # hand-overs of one ledger without a promise, before it is left for the next contact


@dataclass(slots=True)
class PhoneWallet:
    """The callables of a :class:`simulators.phones.phone.Phone`; it believes only what verifies.

    ``gateway_key`` None: it asks the gateway who it is first. ``coordinator``: its key, to verify proofs by.
    ``carried``: whole messages of other wallets that it hands over once each. ``held``: payments of the
    ledger that the gateway has promised to hold. ``contents``: all that it ever handed over.

    ``counts``: ``accepted``, ``carried``, ``refused_<code>``, ``disbelieved``, ``beacons``; of notices
    ``included``, ``told``, ``promised`` and ``others``, which are about contents of somebody else.
    """

    wallet: Wallet
    now_ms: Callable[[], int]
    gateway_key: bytes | None = None
    as_json: bool = False
    coordinator: NoteKey | None = None
    carried: deque[bytes] = field(default_factory=deque)
    counts: Counter[str] = field(default_factory=Counter)
    promises: list[Promised] = field(default_factory=list)
    proofs: list[Included] = field(default_factory=list)
    contents: list[bytes] = field(default_factory=list)
    held: int = 0
    _over: HandOver | None = None
    _carrying: bool = False
    _tries: int = 0

    def next_message(self) -> bytes | None:
        """Who are you; the ledger, if it has grown; what is carried for others; None when all is done."""
        self._carrying = False
        if self.held < len(self.wallet.ledger) and self._tries < TRIES:
            self._tries += 1
            if self.gateway_key is None:
                return hello(self.wallet.key)
            return self._snapshot()
        self._tries = 0
        if self.carried:
            self._carrying = True
            return self.carried.popleft()
        return None

    def on_answer(self, answer: bytes) -> None:
        try:
            if answer.startswith(b"{"):
                self._in_json(json.loads(answer))
            else:
                self._in_cbor(answer)
        except (Malformed, ValueError, KeyError):
            self.counts["disbelieved"] += 1

    def on_notice(self, notice: bytes) -> None:
        """A receipt that nobody asked for now: of a content of ours, whoever brought it."""
        try:
            message = notice_in_cbor(notice) if notice.startswith(b"{") else notice
            self.counts[self._told(message)] += 1
        except (Malformed, ValueError, KeyError):
            self.counts["disbelieved"] += 1

    def _told(self, notice: bytes) -> str:
        if self.gateway_key is None:
            raise Malformed("of a gateway that is not known")
        kind = array(decode(notice))[0]
        for content in self.contents:
            with suppress(Malformed):
                if kind == PROMISE:
                    self.promises += verify_promise(notice, self.gateway_key, [content])
                    return "promised"
                if kind == INCLUSION and self.coordinator is not None:
                    return self._included(notice, self.gateway_key, content)
        return "others"

    def _included(self, notice: bytes, key: bytes, content: bytes) -> str:
        """In a cosigned tree, or in one that the gateway says the coordinator was told of."""
        try:
            self.proofs.append(verify_inclusion(notice, key, self.coordinator, content))
        except Malformed:
            self.proofs.append(verify_inclusion(notice, key, None, content))
            return "told"
        return "included"

    def hand_over_to(self, carrier: PhoneWallet) -> None:
        """Give the ledger to somebody who will pass a gateway."""
        carrier.carried.append(self._snapshot())

    def _snapshot(self) -> bytes:
        """The same snapshot again as long as the ledger has not grown: a cut transfer then goes on."""
        if self._over is None or len(self._over.payments) != len(self.wallet.ledger):
            self._over = self.wallet.hand_over(self.now_ms())
            self.contents.append(self._over.content)
        return snapshot_json(self._over).encode() if self.as_json else snapshot_cbor(self._over)

    def _in_cbor(self, answer: bytes) -> None:
        kind, *fields = array(decode(answer))
        if kind == NACK:
            self.counts[f"refused_{integer(fields[0])}"] += 1
        elif kind == BEACON:
            self._told_who(fields)
        elif kind == PROMISE and self._carrying:
            self.counts["carried"] += 1
        elif kind == PROMISE and self._over is not None and self.gateway_key is not None:
            self._accepted(verify_promise(answer, self.gateway_key, [self._over.content]))

    def _in_json(self, answer: Mapping[str, object]) -> None:
        promise = answer.get("promise")
        if answer["status"] != "accepted" or not isinstance(promise, Mapping):
            self.counts[f"refused_{answer.get('code', answer['status'])}"] += 1
        elif self._over is not None and self.gateway_key is not None:
            self._accepted(verify_promise_json(promise, self.gateway_key, [self._over.content]))

    def _accepted(self, promised: list[Promised]) -> None:
        if promised and self._over is not None:
            self.promises += promised
            self.counts["accepted"] += 1
            self.held, self._tries = len(self._over.payments), 0

    def _told_who(self, fields: list[object]) -> None:
        *said, signature = array(list(fields), 7)
        text(said[1], 128)
        key = octets(said[2], 32)
        if not verifies(key, labelled(BEACON_LABEL, encode(said)), octets(signature, 64)):
            raise Malformed("a BEACON that its own key did not sign")
        self.counts["beacons"] += 1
        self.gateway_key, self._tries = key, 0
