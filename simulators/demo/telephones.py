"""Feature phones: the gateway's modem, the network behind it, wallets that text, the coordinator's number."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp

from simulators.demo.carriers import REFUSALS, AskingWallet, Tally, includes
from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Phone
from simulators.modem.profiles import EC25
from simulators.modem.tty import ModemPorts
from simulators.phones.ledger import PhoneWallet
from simulators.textbook.cbor import Malformed
from simulators.textbook.notes import NoteKey
from simulators.textbook.objects import object_hash
from simulators.wallets import Wallet
from simulators.wallets.receipts import Promised, verify_promise
from simulators.wallets.sms import (
    Sms,
    as_data,
    as_text,
    opened,
    payment_body,
    promise_of,
    receipt_body,
    refusal_of,
)
from simulators.wallets.uploads import hello, status

GATEWAY, COORDINATOR = "+14045550100", "+14045550109"
NUMBERS = "+140455502{:02}"

ANSWER_S = 20.0
"""The gateway sends one message a second at most; above that a wallet texts again."""

TRIES = 3


class Exchange:
    """A modem for the gateway, where its configuration finds it, and a network that doubles and reorders.

    ``texts``: what the coordinator's telephone has received and nobody has read.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.network = Network(seed=seed)
        conditions = self.network.conditions
        conditions.delay_s, conditions.duplicate, conditions.reorder = (0.05, 0.4), 0.1, 0.2
        self.texts: asyncio.Queue[str] = asyncio.Queue()
        self._ports = ModemPorts(Modem(EC25, self.network, Sim(GATEWAY)), folder / "dev")
        Phone(self.network, COORDINATOR, on_message=lambda message: self.texts.put_nowait(str(message.text)))

    def options(self, tell_after_s: int) -> Mapping[str, object]:
        """For the gateway's section of the configuration: the coordinator is told by text after so long."""
        return {
            "port": str(self._ports.path.parent / "*"),
            "per_minute": 60,
            "answers_per_hour": 1000,
            "coordinator_number": COORDINATOR,
            "last_way_home": {"after_seconds": tell_after_s},
        }

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Exchange]:
        async with self._ports:
            yield self
        self.network.close()


async def pass_on(text: str, http: aiohttp.ClientSession, api_url: str, token: str) -> int | None:
    """What the coordinator's telephone received, to the coordinator: the size it now knows, or None."""
    async with http.post(
        f"{api_url}/sim/texts", json={"text": text}, headers={"Authorization": f"Bearer {token}"}
    ) as response:
        return int((await response.json())["size"]) if response.status == 200 else None


class TextCarrier:
    """A wallet behind a number. The first of three texts each payment that it makes; the next, in 8-bit data,
    each that it takes as well, and its receipt; the third its ledger, in as many messages as that takes."""

    def __init__(
        self, number: int, wallet: Wallet, key: bytes, network: Network, now_ms: Callable[[], int]
    ) -> None:
        self.wallet = wallet
        self._habit = number % 3
        self._key = key
        self._phone = Phone(network, NUMBERS.format(number))
        self._ledger = PhoneWallet(wallet, now_ms, gateway_key=key)
        self._greeted = False
        self._done: set[Sms] = set()
        self._promised: dict[bytes, Promised] = {}
        self._sent = self._unanswered = self._disbelieved = 0
        self._refused: Counter[str] = Counter()

    async def hand_over(self) -> None:
        if self._habit == 2:
            await self._hand_over_ledger()
            return
        if not self._greeted:  # a payment does not bring its sender's key
            self._greeted = (
                await self._ask(as_text("M1", hello(self.wallet.key)), _device_message) is not None
            )
        for message, content in self._messages():
            if message not in self._done and await self._hand_in(message, content):
                self._done.add(message)

    async def prove(self, content: bytes, coordinator: NoteKey) -> bool | None:
        asking = AskingWallet(None, lambda answer: includes(answer, self._key, coordinator, content))
        answer = await self._ask(status(content), _device_message)
        if answer is not None:
            asking.on_answer(opened(answer)[1])
        return asking.verdict

    def tally(self) -> Tally:
        refused, ledger = self._refused.copy(), self._ledger
        for name, count in ledger.counts.items():
            kind, _, code = name.partition("_")
            if kind == "refused":
                refused[REFUSALS[int(code)]] += count
        promises = [*self._promised.values(), *ledger.promises]
        disbelieved = self._disbelieved + ledger.counts["disbelieved"]
        return Tally(self._sent, self._unanswered, disbelieved, refused, promises)

    def _messages(self) -> Iterator[tuple[Sms, bytes]]:
        """Each with the content that is promised for it."""
        for payment in self.wallet.ledger:
            paid, receipt = payment.transaction, payment.receipt
            content = object_hash(paid.encode())
            made = paid.sender == self.wallet.device_id
            if self._habit == 0 and made:
                yield as_text("P1", payment_body(paid)), content
            elif self._habit == 1:
                yield as_data("P1", payment_body(paid)), content
                if receipt is not None and not made:
                    yield as_data("R1", receipt_body(paid.id, receipt)), content

    async def _hand_in(self, message: Sms, content: bytes) -> bool:
        """Whether it is done with: promised, or refused for good."""
        answer = await self._ask(message, lambda answer: self._is_about(content, answer))
        if answer is None:
            return False
        mark, body = opened(answer)
        if mark != "N1":
            return True
        refusal = refusal_of(body)
        self._refused[REFUSALS[refusal.code]] += 1
        return refusal.retry_after_s == 0

    def _is_about(self, content: bytes, answer: Sms) -> bool:
        """A refusal, or this content's promise; another's is one that came twice."""
        mark, body = opened(answer)
        if mark != "Q1":
            return mark == "N1"
        message = promise_of(body).message
        for one in (content, *self._promised):
            with suppress(Malformed):
                [self._promised[one]] = verify_promise(message, self._key, [one])
                return one == content
        self._disbelieved += 1
        return False

    async def _hand_over_ledger(self) -> None:
        while (message := self._ledger.next_message()) is not None:
            answer = await self._ask(message, _device_message)
            if answer is None:
                return
            self._ledger.on_answer(opened(answer)[1])

    async def _ask(self, message: Sms, fits: Callable[[Sms], bool]) -> Sms | None:
        """The answer, or None where all tries stay without one."""
        for _ in range(TRIES):
            self._sent += 1
            self._unanswered += 1
            self._phone.send(GATEWAY, message)
            with suppress(TimeoutError):
                async with asyncio.timeout(ANSWER_S):
                    while not fits(answer := (await self._phone.inbox.get()).text):
                        pass
                self._unanswered -= 1
                return answer
        return None


def _device_message(answer: Sms) -> bool:
    return opened(answer)[0] == "M1"
