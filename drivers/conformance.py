"""The conformance kit: what ``drivers.base`` promises, tried on a driver before a gateway relies on it.

    python -m drivers.conformance acme_bench:AcmeBench

A *bench* puts a device, or a simulated one, behind the driver and moves it; see :class:`Bench` and
``docs/developer.md``. Each promise is tried on a bench of its own; a broken one is told with what to mend.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from drivers.base import Driver, Frame, Receiver, Transmitter, TxRequest
from drivers.errors import DriverLost, TransmitRefused

SMALL_QUEUE = 3
"""The length of the queue that a bench gives its driver."""

PATIENCE_S = 20.0
"""How long a promise may take to be kept; every one is kept at once unless it never is."""

RADIO = "radio"
"""The name that a bench gives its driver."""


class Bench(Protocol):
    """One driver and the device behind it. Built anew for each promise, in a folder of its own."""

    lora: bool
    """Whether its frames say how they were heard, and its receipts how long they take."""
    comes_again: bool
    """Whether the device keeps a frame until it is settled: what nobody took comes with the next opening."""

    def build(self) -> Driver:
        """The driver, named :data:`RADIO`, with a queue of :data:`SMALL_QUEUE` frames, not opened."""
        ...

    def opened(self) -> AbstractAsyncContextManager[Any]:
        """The same, opened, with its device ready both ways."""
        ...

    def hear(self, payload: bytes) -> None:
        """The device hears a frame and passes it on."""
        ...

    def vanish(self) -> None:
        """The device is taken away from under the driver."""
        ...

    def answer(self, frame: Frame) -> TxRequest:
        """A downlink that can be sent, in answer to this frame."""
        ...

    def refused(self, frame: Frame) -> Sequence[tuple[TxRequest, str]]:
        """Downlinks that cannot be sent, with the reason that each is refused for."""
        ...


class Broken(AssertionError):
    """A promise is not kept; the message says what was seen, and what to mend."""


@dataclass(frozen=True, slots=True)
class Promise:
    """One sentence of the contract and how it is tried."""

    sentence: str
    tried: Callable[[Bench], Awaitable[None]]


async def hears_and_sends(bench: Bench) -> None:
    radio = bench.build()
    _require(isinstance(radio, Receiver), "it has no frames(): a radio implements Receiver")
    _require(isinstance(radio, Transmitter), "it has no transmit(): a radio implements Transmitter")
    stats = radio.stats()
    _require(not stats.frames.get("ok"), f"stats() before the opening has frames: {dict(stats.frames)}")


async def a_frame_comes_as_it_was_heard(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"\xe0\x01 a frame")
        frame = await _next(radio.frames())
        _require(
            frame.payload == b"\xe0\x01 a frame", f"payload {frame.payload!r}: hand it over byte for byte"
        )
        _require(
            frame.radio == RADIO, f"radio {frame.radio!r}: put the configured name {RADIO!r} into the frame"
        )
        _require(frame.received_unix_ns > 0, "received_unix_ns is not set: take clock.unix_ns()")
        if bench.lora:
            airtime_us = 0 if frame.lora is None else frame.lora.airtime_us
            _require(frame.lora is not None, "a LoRa frame without LoraUplink")
            _require(airtime_us > 0, "airtime_us is 0: compute it from the frame's length and rate")
        ok = radio.stats().frames.get("ok")
        _require(ok == 1, f"stats().frames['ok'] is {ok} after one frame: count each that comes in")


async def frames_end_only_because_we_close(bench: Bench) -> None:
    heard: list[bytes] = []
    async with bench.opened() as radio:

        async def listen() -> None:
            heard.extend([frame.payload async for frame in radio.frames()])

        listener = asyncio.create_task(listen())
        bench.hear(b"one")
        await _counted(radio, "ok", 1)
        ended = listener.done()
    await _within(asyncio.wait([listener]), "frames() goes on after closing: end the iteration in __aexit__")
    _require(not ended, "frames() ended by itself: wait for the next frame, or raise DriverLost")
    _require(heard == [b"one"], f"heard {heard}, one frame was sent")


async def what_nobody_took_is_counted_or_comes_again(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"one")
        await _counted(radio, "ok", 1)
        _require("untaken" not in radio.stats().frames, "counted as untaken while it is still open")
    untaken = radio.stats().frames.get("untaken", 0)
    wanted = 0 if bench.comes_again else 1
    _require(
        untaken == wanted, f"stats().frames['untaken'] is {untaken}, expected {wanted}: count what waited"
    )
    left = [frame.payload async for frame in radio.frames()]
    _require(left == [b"one"], f"after closing frames() gave {left}: hand out what waits, then end")


async def closing_twice_is_harmless(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"one")
        await _counted(radio, "ok", 1)
    await radio.__aexit__(None, None, None)
    _require(radio.stats().frames.get("ok") == 1, "stats() forgot its counts when it was closed: keep them")


async def a_vanished_device_is_driver_lost(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.vanish()
        try:
            await _within(_drained(radio), "frames() goes on waiting for a device that is gone")
        except DriverLost:
            return
        except (OSError, EOFError) as error:
            raise Broken(
                f"frames() raised {error!r}: raise DriverLost, so that it is opened again"
            ) from error
        raise Broken("frames() ended when the device vanished: raise DriverLost, so that it is opened again")


async def the_queue_is_bounded(bench: Bench) -> None:
    async with bench.opened() as radio:
        for number in range(SMALL_QUEUE + 4):
            bench.hear(bytes([number]) * 4)
        await _counted(radio, "queue_full", 4)
        frames = radio.frames()
        kept = [(await _next(frames)).payload[0] for _ in range(SMALL_QUEUE)]
        wanted = list(range(SMALL_QUEUE))
        _require(
            kept == wanted,
            f"a full queue kept frames {kept}: drop the newest, the oldest are nearer an answer",
        )


async def an_answer_is_sent(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"question")
        request = bench.answer(await _next(radio.frames()))
        receipt = await _within(radio.transmit(request), "transmit() does not return")
        _require(receipt.confirmed, "the receipt is not confirmed: return when the device has said so")
        if bench.lora and request.lora is not None:
            _require(receipt.airtime_us > 0, "the receipt has no airtime: the duty cycle is kept by it")
            _require(receipt.counter_us == request.lora.counter_us, "the receipt names another counter time")
        transmits = dict(radio.stats().transmits)
        _require(transmits == {"sent": 1}, f"stats().transmits is {transmits}, expected {{'sent': 1}}")


async def what_cannot_be_sent_is_refused(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"question")
        refused = bench.refused(await _next(radio.frames()))
        for request, reason in refused:
            seen = await _refusal(radio, request)
            _require(seen == reason, f"refused as {seen!r}, expected {reason!r}: {request}")
        counted = sum(radio.stats().transmits.values())
        _require(counted == len(refused), f"stats().transmits counts {counted} of {len(refused)} refusals")
        bench.hear(b"still here")
        await _counted(radio, "ok", 2)


async def a_closed_radio_refuses_to_send(bench: Bench) -> None:
    async with bench.opened() as radio:
        bench.hear(b"question")
        request = bench.answer(await _next(radio.frames()))
    seen = await _refusal(radio, request)
    _require(seen == "no_route", f"a closed radio refused as {seen!r}, expected 'no_route'")


async def a_cancelled_listener_leaves_it_well(bench: Bench) -> None:
    async with bench.opened() as radio:
        listener = asyncio.create_task(_drained(radio))
        bench.hear(b"one")
        await _counted(radio, "ok", 1)
        listener.cancel()
        await _within(
            asyncio.wait([listener]), "frames() swallows a cancellation: let CancelledError through"
        )
        _require(listener.cancelled(), "frames() turned a cancellation into something else: let it through")


PROMISES: Sequence[Promise] = (
    Promise("it hears, sends, and can be counted before it is opened", hears_and_sends),
    Promise("a frame comes as it was heard", a_frame_comes_as_it_was_heard),
    Promise("frames() ends only because we close", frames_end_only_because_we_close),
    Promise(
        "what nobody took before we close is counted, or comes again",
        what_nobody_took_is_counted_or_comes_again,
    ),
    Promise("closing twice is harmless, and the counts stay readable", closing_twice_is_harmless),
    Promise("a vanished device is DriverLost", a_vanished_device_is_driver_lost),
    Promise("the queue is bounded and drops the newest", the_queue_is_bounded),
    Promise("an answer is sent, and its receipt says how long it takes", an_answer_is_sent),
    Promise(
        "what cannot be sent is refused by its reason, and the driver stays well",
        what_cannot_be_sent_is_refused,
    ),
    Promise("a closed radio refuses to send", a_closed_radio_refuses_to_send),
    Promise("a cancelled listener leaves it well", a_cancelled_listener_leaves_it_well),
)


async def kept(promise: Promise, build: Callable[[Path], Bench]) -> str:
    """Empty where the promise is kept, else what was seen and what to mend."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            await asyncio.wait_for(promise.tried(build(Path(folder))), 3 * PATIENCE_S)
        except Broken as broken:
            return str(broken)
        except TimeoutError:
            return f"not kept within {3 * PATIENCE_S:.0f} s"
        except Exception as error:  # whatever a driver on trial raises is told, not thrown at its author
            return f"{type(error).__name__}: {error}"
    return ""


def main(arguments: Sequence[str]) -> int:
    """Try every promise on the bench ``module:Class``. Returns 0, 1 if one is broken, 2 without a bench."""
    module_name, _, name = (arguments[0] if len(arguments) == 1 else "").partition(":")
    sys.path.insert(0, "")
    try:
        build = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        print(f"usage: python -m drivers.conformance MODULE:BENCH ({error})", file=sys.stderr)  # noqa: T201 - a command
        return 2
    broken = 0
    for promise in PROMISES:
        why = asyncio.run(kept(promise, build))
        broken += bool(why)
        print(f"{'BROKEN' if why else 'kept  '}  {promise.sentence}")  # noqa: T201 - a command
        if why:
            print(f"        -> {why}")  # noqa: T201 - a command
    print(f"{len(PROMISES) - broken} of {len(PROMISES)} promises kept")  # noqa: T201 - a command
    return 1 if broken else 0


def _require(holds: bool, words: str) -> None:
    if not holds:
        raise Broken(words)


async def _next(frames: Any) -> Frame:
    frame: Frame = await _within(anext(frames), "frames() gave nothing though the device heard a frame")
    return frame


async def _drained(radio: Receiver) -> None:
    async for _ in radio.frames():
        pass


async def _refusal(radio: Transmitter, request: TxRequest) -> str:
    try:
        await _within(radio.transmit(request), "transmit() does not return")
    except TransmitRefused as refused:
        return refused.reason
    return "sent"


async def _counted(radio: Receiver, outcome: str, count: int) -> None:
    """Until the driver has counted so many frames: they come by a device that nobody can await."""

    async def reached() -> None:
        while radio.stats().frames.get(outcome, 0) < count:  # noqa: ASYNC110 - a driver has no such event
            await asyncio.sleep(0.005)

    await _within(
        reached(), f"stats().frames[{outcome!r}] never came to {count}: count each frame by its outcome"
    )


async def _within(awaitable: Any, otherwise: str) -> Any:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await awaitable
    except TimeoutError:
        raise Broken(otherwise) from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
