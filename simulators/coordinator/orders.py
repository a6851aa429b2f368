"""Orders to gateways, docs/protocol/remote.md: signed, numbered, and what comes back."""

from __future__ import annotations

import json
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from nacl.signing import SigningKey

from simulators.coordinator import wire
from simulators.textbook.cbor import Malformed, encode
from simulators.textbook.signing import ORDER, labelled, sign

LIFE_MS = 600_000
"""Of an order, unless it is told otherwise."""
MAX_OPEN = 64
"""Orders without an answer, of all gateways; beyond it the oldest is given up."""

REFUSED, JSON, FILE = range(3)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of an order; `kind` as in ANSWER."""

    number: int
    kind: int
    data: bytes

    @property
    def words(self) -> str:
        return self.data.decode(errors="replace")

    @property
    def result(self) -> Any:
        """Of kind JSON. Raises ValueError."""
        return json.loads(self.data)


def order(
    key: SigningKey, gateway: bytes, number: int, expires_ms: int, name: str, arguments: bytes
) -> list[object]:
    """The array that goes out; `gateway` is the key of the one that it is for."""
    said = [number, expires_ms, name, arguments]
    return [*said, sign(key, labelled(ORDER, encode([gateway, *said])))]


class Orders:
    """On the coordinator's working thread. Numbers are milliseconds since 1970, so they outlive a restart."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key
        self._last = 0
        self._open: dict[tuple[str, int], tuple[dict[int, bytes], Future[Outcome]]] = {}

    def give(
        self, gateway: str, key: bytes, name: str, arguments: dict[str, Any], now_ms: int
    ) -> tuple[list[object], Future[Outcome]]:
        """An order, and what will come of it."""
        self._last = max(self._last + 1, now_ms)
        said = json.dumps(arguments).encode()
        return self.expect(
            gateway, order(self._key, key, self._last, now_ms + LIFE_MS, name, said), self._last
        )

    def expect(self, gateway: str, fields: list[object], number: int) -> tuple[list[object], Future[Outcome]]:
        """The message for an order as it stands, whatever it is worth."""
        answer: Future[Outcome] = Future()
        while len(self._open) >= MAX_OPEN:
            self._open.pop(next(iter(self._open)))[1].cancel()
        self._open[gateway, number] = {}, answer
        return [wire.ORDER, fields], answer

    def answered(self, gateway: str, part: wire.Answer) -> None:
        """Raises `Malformed` where nothing was asked."""
        parts, answer = self._open.get((gateway, part.number), ({}, None))
        if answer is None:
            raise Malformed("an ANSWER to no order")
        parts[part.part] = part.data
        if len(parts) == part.parts:
            del self._open[gateway, part.number]
            answer.set_result(Outcome(part.number, part.kind, b"".join(parts[at] for at in sorted(parts))))
