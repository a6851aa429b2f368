"""Wallets with a way to the gateway: by LoRa, or by telephone over HTTP."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Protocol

import aiohttp

from simulators.lora.device import LoraDevice, Medium
from simulators.lora.ledger import LedgerWallet
from simulators.textbook.cbor import Malformed, array, decode
from simulators.textbook.notes import NoteKey
from simulators.wallets import HandOver, Wallet
from simulators.wallets.receipts import INCLUSION_TYPE, Promised, verify_inclusion, verify_promise_json
from simulators.wallets.uploads import snapshot_json, status

REFUSALS = (
    *("", "malformed", "count", "duplicate", "root", "signature", "too_large", "rate_limited", "blocked"),
    *("storage_full", "busy", "not_found", "unsupported", "halted", "quota", "expired"),
)
"""docs/protocol/messages.md, by number."""

TRIES = 4
"""Of one hand-over that is neither accepted nor refused for good, before it is left for the next one."""

HTTP_S = 15.0


@dataclass(slots=True)
class Tally:
    """What wallets sent and what became of it; `promises` hold each accepted content once."""

    sent: int = 0
    unanswered: int = 0
    disbelieved: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    promises: list[Promised] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        self.sent += other.sent
        self.unanswered += other.unanswered
        self.disbelieved += other.disbelieved
        self.refused += other.refused
        self.promises += other.promises


class Carrier(Protocol):
    """A wallet and its radio."""

    @property
    def wallet(self) -> Wallet: ...

    async def hand_over(self) -> None:
        """Everything that the gateway has not promised to hold."""
        ...

    async def prove(self, content: bytes, coordinator: NoteKey) -> bool | None:
        """Ask for the inclusion of a content: whether it verifies; None when no proof came."""
        ...

    def tally(self) -> Tally: ...


class LoraCarrier:
    """A handheld: what is new since the last promise, in frames of the air's size."""

    def __init__(
        self, wallet: Wallet, key: bytes, origin: str, air: Medium, random: Random, now_ms: Callable[[], int]
    ) -> None:
        self.wallet = wallet
        self._key = key
        self._ledger = LedgerWallet(wallet, key, [origin], now_ms)
        self._device = _device(self._ledger, air, random)
        self._air = air
        self._random = random

    async def hand_over(self) -> None:
        await self._device.run()

    async def prove(self, content: bytes, coordinator: NoteKey) -> bool | None:
        asking = AskingWallet(
            status(content), lambda answer: includes(answer, self._key, coordinator, content)
        )
        await _device(asking, self._air, self._random).run()
        return asking.verdict

    def tally(self) -> Tally:
        counts, device = self._ledger.counts, self._device.counts
        refused = {
            REFUSALS[int(name.removeprefix("refused_"))]: count
            for name, count in counts.items()
            if name.startswith("refused_")
        }
        return Tally(
            device["messages"],
            device["messages"] - device["settled"],
            counts["disbelieved"],
            Counter(refused),
            list(self._ledger.promises),
        )


def _device(wallet: Any, air: Medium, random: Random) -> LoraDevice:
    """The air takes its true time; a device that heard nothing asks again sooner than in the field."""
    return LoraDevice(wallet, air, random, pause_scale=0.06)


@dataclass(slots=True)
class AskingWallet:
    """Asks once for a content's proof, by whatever radio."""

    question: bytes | None
    verify: Callable[[bytes], bool | None]
    verdict: bool | None = None

    def next_message(self) -> bytes | None:
        question, self.question = self.question, None
        return question

    def on_answer(self, answer: bytes) -> bool:
        self.verdict = self.verify(answer)
        return True


def includes(answer: bytes, key: bytes, coordinator: NoteKey, content: bytes) -> bool | None:
    """Whether an answer proves it; None for an answer that is no proof, such as the promise again."""
    try:
        if array(decode(answer))[0] != INCLUSION_TYPE:
            return None
        verify_inclusion(answer, key, coordinator, content)
    except Malformed:
        return False
    return True


class PhoneCarrier:
    """A telephone on the gateway's Wi-Fi: the wallet's own JSON, whole the first time, then what is new."""

    def __init__(
        self, wallet: Wallet, key: bytes, http: aiohttp.ClientSession, url: str, now_ms: Callable[[], int]
    ) -> None:
        self.wallet = wallet
        self._key = key
        self._http = http
        self._url = url
        self._now_ms = now_ms
        self._tally = Tally()
        self._held = 0

    async def hand_over(self) -> None:
        base = self._held
        for _ in range(TRIES):
            if self._held >= len(self.wallet.ledger):
                return
            over = self.wallet.hand_over(self._now_ms())
            answer = await self.post(snapshot_json(over, base))
            if answer.get("status") == "resume":
                base = _common(over, answer["bases"])
            elif answer.get("status") == "accepted":
                self._promised(over, answer)
            elif answer and not await _pause(answer):
                return

    async def post(self, body: str) -> Mapping[str, Any]:
        """One upload and its answer; empty when none came."""
        self._tally.sent += 1
        self._tally.unanswered += 1  # until it is, also when the play ends before
        try:
            async with self._http.post(
                f"{self._url}/v1/snapshots", data=body, headers={"Content-Type": "application/json"}
            ) as response:
                answer: Mapping[str, Any] = json.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return {}
        self._tally.unanswered -= 1
        if answer.get("status") == "refused":
            self._tally.refused[str(answer["code"])] += 1
        return answer

    async def prove(self, content: bytes, coordinator: NoteKey) -> bool | None:
        try:
            async with self._http.get(
                f"{self._url}/v1/receipts/{content.hex()}", headers={"Accept": "application/cbor"}
            ) as response:
                return includes(await response.read(), self._key, coordinator, content)
        except (aiohttp.ClientError, TimeoutError):
            return None

    def tally(self) -> Tally:
        return self._tally

    def _promised(self, over: HandOver, answer: Mapping[str, Any]) -> None:
        try:
            self._tally.promises += verify_promise_json(answer["promise"], self._key, [over.content])
        except (Malformed, KeyError, ValueError):
            self._tally.disbelieved += 1
            return
        self._held = len(over.payments)


def session() -> aiohttp.ClientSession:
    """For all telephones of a run."""
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=HTTP_S))


async def _pause(answer: Mapping[str, Any]) -> bool:
    """Wait as long as a refusal asks for; False when it would not help to come again."""
    seconds = float(answer.get("retryAfter") or 0)
    await asyncio.sleep(min(seconds, HTTP_S))
    return seconds > 0


def _common(over: HandOver, bases: Sequence[Mapping[str, Any]]) -> int:
    """The longest of the gateway's prefixes that is ours too."""
    counts = [
        int(base["count"]) for base in bases if over.prefix_root(int(base["count"])).hex() == base["root"]
    ]
    return max(counts, default=0)


class Forger(PhoneCarrier):
    """Hands in others' ledgers tampered with: every one of them must be refused."""

    def __init__(
        self,
        victims: Sequence[Wallet],
        key: bytes,
        http: aiohttp.ClientSession,
        url: str,
        now_ms: Callable[[], int],
    ) -> None:
        super().__init__(victims[0], key, http, url, now_ms)
        self._victims = victims
        self._turn = 0

    async def hand_over(self) -> None:
        victim = self._victims[self._turn % len(self._victims)]
        if len(victim.ledger) < 2:
            return
        await self.post(snapshot_json(_tampered(victim.hand_over(self._now_ms()), self._turn)))
        self._turn += 1


def _tampered(over: HandOver, turn: int) -> HandOver:
    if turn % 3 == 0:
        return HandOver(replace(over.header, signature=bytes(64)), over.payments)
    if turn % 3 == 1:
        return HandOver(over.header, over.payments[:-1])
    return HandOver(over.header, over.payments[::-1])
