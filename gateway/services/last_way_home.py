"""The newest checkpoint by text message to the coordinator's number, while nothing else reaches it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from drivers.base import TxReceipt, TxRequest
from drivers.errors import DriverLost, TransmitRefused
from gateway.clock import Clock
from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.last_way import LastWay
from gateway.core.note import VerifierKey
from gateway.core.sms.checkpoint import checkpoint_text
from gateway.model import Head

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Between looks at the link while nothing is due: a link that came back puts the schedule back."""

Send = Callable[[TxRequest], Awaitable[TxReceipt]]


class Log(Protocol):
    """What is asked of the store."""

    async def head(self) -> Head: ...
    async def record_signed(self, size: int, note: bytes) -> None: ...


class LastWayHome:
    """``down_s`` says for how long the coordinator is out of reach, 0 while it is not."""

    def __init__(
        self,
        number: str,
        schedule: LastWay,
        log_: Log,
        key: bytes,
        sign: Callable[[bytes], bytes],
        send: Send,
        down_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._number = number
        self._schedule = schedule
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
        text = await self._signed(head)
        try:
            await self._send(TxRequest(payload=text.encode(), reply_to=self._number, priority=0, timeout_s=0))
        except (TransmitRefused, DriverLost) as error:  # the radio's own service sees to what it lacks
            log.info("the last way home is closed", extra={"seen": str(error)})
            self._schedule.refused(self._clock.monotonic())
            return
        log.info("checkpoint sent by text message", extra={"size": head.size, "root": head.root.hex()})
        self._schedule.sent(self._clock.monotonic())

    async def _signed(self, head: Head) -> str:
        checkpoint = Checkpoint(head.origin, head.size, head.root)
        note = sign_checkpoint(checkpoint, VerifierKey(head.origin, self._key), self._sign)
        # Before it is out: whatever was signed must be known to the next session.
        await self._log.record_signed(head.size, note.to_bytes())
        return checkpoint_text(checkpoint, note.signatures[0].value)
