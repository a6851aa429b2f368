"""What a phone may do instead of handing over its message."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from enum import Enum, auto

from simulators.phones.call import Call, Gone


class Misdeed(Enum):
    """What a phone does instead of handing over its message."""

    FLOOD = auto()  # the same DATA again and again, without response
    START_AND_STOP = auto()
    OVERSIZED = auto()  # START of 16 MB
    MALFORMED = auto()  # noise
    CORRUPT = auto()  # bytes that are not what START announced
    DEAF = auto()  # hands over, and is gone before the answer


async def _flood(call: Call, message: bytes) -> None:
    junk = b"\x12\x01\x00\x00\x00" + bytes(min(call.connection.att_mtu - 3, 512) - 5)
    while not call.gone:
        await call.write(junk, with_response=False)


async def _start_and_stop(call: Call, message: bytes) -> None:
    call.exchange.offer(message + bytes(600), cut_before=True)
    piece = call.exchange.next_piece()
    assert piece is not None  # noqa: S101 - it was just offered
    await call.write(piece)
    await _until_gone(call)


async def _oversized(call: Call, message: bytes) -> None:
    await call.write(b"\x11\x01\xff\xff\xff" + bytes(12))
    while not call.refusals and not call.gone:
        await call.events.get()


async def _malformed(call: Call, message: bytes) -> None:
    while not call.gone:
        await call.write(b"\xee" + message[:8])


async def _corrupt(call: Call, message: bytes) -> None:
    total = len(message).to_bytes(3, "big")
    await call.write(b"\x11\x01" + total + bytes(12))
    step = min(call.connection.att_mtu - 3, 495) - 5
    for at in range(0, len(message), step):
        await call.write(b"\x12\x01" + at.to_bytes(3, "big") + message[at : at + step])
    while not call.refusals and not call.gone:
        await call.events.get()


async def _deaf(call: Call, message: bytes) -> None:
    call.exchange.offer(message)
    while (piece := call.exchange.next_piece()) is not None or not call.events.empty():
        if piece is not None:
            await call.write(piece)
        else:
            call.events.get_nowait()


async def _until_gone(call: Call) -> None:
    while await call.events.get() is not Gone.GONE:
        pass


MISDEEDS: Mapping[Misdeed, Callable[[Call, bytes], Awaitable[None]]] = {
    Misdeed.FLOOD: _flood,
    Misdeed.START_AND_STOP: _start_and_stop,
    Misdeed.OVERSIZED: _oversized,
    Misdeed.MALFORMED: _malformed,
    Misdeed.CORRUPT: _corrupt,
    Misdeed.DEAF: _deaf,
}
