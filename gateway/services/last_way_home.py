"""The newest checkpoint by text message to the coordinator's number, while nothing else reaches it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from drivers.base import TxReceipt, TxRequest
from drivers.errors import DriverLost, TransmitRefused
from gateway.clock import Clock
from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.last_way import LastWay, Told
from gateway.core.note import VerifierKey
from gateway.core.sms.checkpoint import checkpoint_text
from gateway.model import Head

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Between looks at the link while nothing is due: a link that came back puts the schedule back."""

TAKEN_S = 120.0
"""How long the network may take; a message that it takes later is sent, and does not count as told."""

Send = Callable[[TxRequest], Awaitable[TxReceipt]]


class Log(Protocol):
    """What is asked of the store."""

    async def head(self) -> Head: ...
    async def record_signed(self, size: int, note: bytes) -> None: ...


class Book(Protocol):
    """What outlives a restart."""

    async def reserve(self) -> None:
        """One message counts as sent from now on. Raises OSError."""
        ...

    async def spend(self, told: Told | None) -> None:
        """The message reserved is sent; ``told`` where the network is known to have it."""
        ...


class LastWayHome:
    """``down_s`` says for how long the coordinator is out of reach, 0 while it is not."""

    def __init__(
        self,
        number: str,
        schedule: LastWay,
        book: Book,
        log_: Log,
        key: bytes,
        sign: Callable[[bytes], bytes],
        send: Send,
        down_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._number = number
        self._schedule = schedule
        self._book = book
        self._log = log_
        self._key = key
        self._sign = sign
        self._send = send
        self._down_s = down_s
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wait_s = self._schedule.wait_s(self._down_s(), self._clock.monotonic())
            if wait_s > 0:
                await self._clock.sleep(min(wait_s, LOOK_S))
                continue
            await self._tell()

    async def _tell(self) -> None:
        head = await self._log.head()
        if head.halted is not None or not head.size:  # what stands still for a person signs nothing
            self._schedule.refused(self._clock.monotonic())
            return
        text, told = await self._signed(head)
        request = TxRequest(payload=text.encode(), reply_to=self._number, priority=0, timeout_s=TAKEN_S)
        try:
            await self._book.reserve()
            receipt = await self._send(request)
        except (TransmitRefused, DriverLost, OSError) as error:  # the radio's own service sees to it
            log.info("the last way home is closed", extra={"seen": str(error)})
            self._schedule.refused(self._clock.monotonic())
            return
        self._schedule.sent(self._clock.monotonic())
        await self._book.spend(told if receipt.confirmed else None)
        words = "checkpoint sent by text message" if receipt.confirmed else "checkpoint waits for the network"
        log.info(words, extra={"size": head.size, "root": head.root.hex()})

    async def _signed(self, head: Head) -> tuple[str, Told]:
        checkpoint = Checkpoint(head.origin, head.size, head.root)
        note = sign_checkpoint(checkpoint, VerifierKey(head.origin, self._key), self._sign)
        # Before it is out: whatever was signed must be known to the next session.
        await self._log.record_signed(head.size, note.to_bytes())
        text = checkpoint_text(checkpoint, note.signatures[0].value)
        return text, Told(head.origin, head.size, note.to_bytes())
