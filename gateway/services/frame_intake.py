"""A radio whose frames are whole messages: each frame is answered by the way it came."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Protocol

from drivers.base import Frame, Receiver, Transmitter, TxRequest
from drivers.errors import DriverLost, TransmitRefused

log = logging.getLogger(__name__)

MAX_SUBMITTED = 64
"""Messages being answered at once; above that frames wait in the driver's bounded queue."""

Submit = Callable[[bytes, str, str], Awaitable[bytes]]
"""``submit(message, peer, correlation) -> answer``: commits before it returns; refusals are answers."""


class Hears(Receiver, Protocol):
    """A driver that hears; one that can also send is asked to bring the answers."""


async def take(radio: Hears, submit: Submit) -> None:
    """Open the radio and answer its frames until cancelled.

    Raises DriverLost when the radio is gone, perhaps in a group with what failed beside it.
    """
    room = asyncio.Semaphore(MAX_SUBMITTED)
    async with radio, asyncio.TaskGroup() as answers:
        async for frame in radio.frames():
            await room.acquire()
            task = answers.create_task(_answer(radio, submit, frame))
            task.add_done_callback(lambda _: room.release())
    raise DriverLost(f"{type(radio).__name__} ended by itself")


async def _answer(radio: Hears, submit: Submit, frame: Frame) -> None:
    correlation_id = secrets.token_hex(6)
    answer = await submit(frame.payload, frame.peer, correlation_id)
    if not isinstance(radio, Transmitter):
        return
    try:
        await radio.transmit(TxRequest(payload=answer, reply_to=frame.reply_to, priority=0))
    except TransmitRefused as refusal:  # the sender will ask again, and gets the same answer
        log.debug("not sent", extra={"correlation": correlation_id, "reason": refusal.reason})
