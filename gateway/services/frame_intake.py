"""A radio whose frames are whole messages: each frame is answered by the way it came."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from drivers.base import Frame, Notifier, Receiver, Transmitter, TxRequest
from drivers.errors import DriverLost, TransmitRefused

log = logging.getLogger(__name__)

MAX_SUBMITTED = 64
"""Messages being answered at once; above that frames wait in the driver's bounded queue."""

Submit = Callable[[bytes, str, str], Awaitable[bytes]]
"""``submit(message, peer, correlation) -> answer``: commits before it returns; refusals are answers."""


class Notice(Protocol):
    """A message that answers nothing."""

    @property
    def payload(self) -> bytes: ...


class Owing(Protocol):
    """Who knows what a peer is to be told besides the answer to what it sent."""

    async def notices(self, message: bytes, peer: str) -> Sequence[Notice]: ...

    def untold(self, notices: Sequence[Any]) -> None:
        """These could not be sent."""
        ...


class Hears(Receiver, Protocol):
    """A driver that hears; one that can also send is asked to bring the answers."""


async def take(radio: Hears, submit: Submit, owing: Owing | None = None) -> None:
    """Open the radio and answer its frames until cancelled; a :class:`Notifier` gives what ``owing`` says.

    Raises DriverLost when the radio is gone, perhaps in a group with what failed beside it.
    """
    room = asyncio.Semaphore(MAX_SUBMITTED)
    async with radio, asyncio.TaskGroup() as answers:
        async for frame in radio.frames():
            await room.acquire()
            task = answers.create_task(_answer(radio, submit, owing, frame))
            task.add_done_callback(lambda _: room.release())
    raise DriverLost(f"{type(radio).__name__} ended by itself")


async def _answer(radio: Hears, submit: Submit, owing: Owing | None, frame: Frame) -> None:
    correlation_id = secrets.token_hex(6)
    answer = await submit(frame.payload, frame.peer, correlation_id)
    if not isinstance(radio, Transmitter):
        return
    sending = _send(radio.transmit, frame, answer, 0, correlation_id)
    if owing is None or not isinstance(radio, Notifier):
        await sending
        return
    # The answer waits for nobody; notices follow while the peer is there.
    async with asyncio.TaskGroup() as both:
        both.create_task(sending)
        both.create_task(_notify(radio, owing, frame, correlation_id))


async def _notify(radio: Notifier, owing: Owing, frame: Frame, correlation_id: str) -> None:
    left = list(await owing.notices(frame.payload, frame.peer))
    try:
        while left and await _send(radio.notify, frame, left[0].payload, 1, correlation_id):
            left.pop(0)
    finally:
        owing.untold(left)


async def _send(
    send: Callable[[TxRequest], Awaitable[object]],
    frame: Frame,
    payload: bytes,
    priority: int,
    correlation_id: str,
) -> bool:
    try:
        await send(TxRequest(payload=payload, reply_to=frame.reply_to, priority=priority))
    except TransmitRefused as refusal:  # the sender will ask again, and gets the same answer
        log.debug("not sent", extra={"correlation": correlation_id, "reason": refusal.reason})
        return False
    return True
