"""A LoRa device with a wallet: divides messages, listens, sends again what is missing, polls."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass
from random import Random
from typing import Protocol

from simulators.lora.frames import (
    ABORT,
    ACK,
    ANSWER,
    ANSWER_PART,
    BATCH,
    Downlink,
    data_frame,
    divide,
    poll_frame,
    read_downlink,
    transfer_id,
)
from simulators.lora.plans import Plan
from simulators.lora.windows import DeviceTiming

MAX_POLLS = 5
MAX_BEGINNINGS = 3
MARGIN_S = 0.3  # the host's own delays, on top of the common window


class Wallet(Protocol):
    """Whoever has something to hand over."""

    def next_message(self) -> bytes | None:
        """The next device message to send; None when there is no more."""
        ...

    def on_answer(self, answer: bytes) -> bool:
        """Take an answer. False: it is not for me, or I do not believe it, so go on listening."""
        ...


class Listener(Protocol):
    """A device, as the air sees it."""

    def receive(self, payload: bytes) -> None:
        """A frame reached the antenna in one of the windows."""
        ...


class Medium(Protocol):
    """What a device's radio is before: an ether or an air."""

    @property
    def plan(self) -> Plan: ...

    @property
    def timing(self) -> DeviceTiming: ...

    async def send(self, device: Listener, payload: bytes, spreading_factor: int, *, listening: bool) -> int:
        """Send as soon as may be; returns when the frame has left, with its airtime in microseconds."""
        ...

    def sleep(self, device: Listener) -> None:
        """The device stops listening."""
        ...


@dataclass(slots=True)
class _Transfer:
    message: bytes
    chunks: list[bytes]
    parts: dict[tuple[bytes, int, int], dict[int, bytes]]

    @property
    def xid(self) -> bytes:
        return transfer_id(self.message)

    def next_part(self) -> int:
        """What to ask for after silence: the first missing part of an answer that has begun, else 0."""
        for (xid, _, total), parts in self.parts.items():
            if xid == self.xid and len(parts) < total:
                return next(i for i in range(total) if i not in parts)
        return 0

    def join(self, frame: Downlink) -> bytes | None:
        """The whole, once all parts of an answer or a batch are there."""
        parts = self.parts.setdefault((frame.xid, frame.kind, frame.total), {})
        parts[frame.index] = frame.body
        if len(parts) < frame.total:
            return None
        return b"".join(parts[i] for i in range(frame.total))


class LoraDevice:
    """One device. ``pause_scale`` is real seconds for each second it pauses before a poll: 0 for tests."""

    def __init__(
        self,
        wallet: Wallet,
        ether: Medium,
        random: Random,
        *,
        spreading_factor: int = 7,
        pause_scale: float = 1.0,
    ) -> None:
        self._wallet = wallet
        self._ether = ether
        self._random = random
        self._spreading_factor = spreading_factor
        self._pause_scale = pause_scale
        self._heard: asyncio.Queue[Downlink] = asyncio.Queue()
        self.counts: Counter[str] = Counter()
        self.airtime_us = 0

    def receive(self, payload: bytes) -> None:
        """A frame reached the antenna in one of the windows."""
        frame = read_downlink(payload)
        if frame is not None:
            self._heard.put_nowait(frame)

    async def run(self) -> None:
        """Hand over everything the wallet has."""
        while (message := self._wallet.next_message()) is not None:
            self.counts["messages"] += 1
            self.counts["settled" if await self.hand_over(message) else "given_up"] += 1

    async def hand_over(self, message: bytes) -> bool:
        """One message, until the wallet is satisfied with an answer; False when that never came."""
        for _ in range(MAX_BEGINNINGS):
            settled = await self._once(message)
            if settled is not None:
                return settled
            self.counts["begun_again"] += 1
        return False

    async def _once(self, message: bytes) -> bool | None:
        """True or False when it is over; None: begin again."""
        size = self._ether.plan.largest_uplink[self._spreading_factor]
        transfer = _Transfer(message, divide(message, size), {})
        await self._send_chunks(transfer, list(range(len(transfer.chunks))))
        polls = 0
        while True:
            frame = await self._next_frame()
            if frame is None:
                polls += 1
                if polls > MAX_POLLS:
                    return None
                await asyncio.sleep(self._random.uniform(5, 15) * 2 ** (polls - 1) * self._pause_scale)
                await self._poll(transfer, transfer.next_part())
            elif frame.kind == BATCH or frame.xid == transfer.xid:
                if (over := await self._act(transfer, frame)) != "go on":
                    self._ether.sleep(self)
                    return over == "settled" if over != "again" else None

    async def _act(self, transfer: _Transfer, frame: Downlink) -> str:
        if frame.kind == ACK and frame.total == len(transfer.chunks):
            self.counts["acks"] += 1
            await self._send_chunks(transfer, frame.missing() or [len(transfer.chunks) - 1])
        elif frame.kind == ANSWER:
            return self._answered(frame.body, "answers")
        elif frame.kind == ANSWER_PART:
            whole = transfer.join(frame)
            if whole is not None:
                return self._answered(whole, "long_answers")
            await self._poll(transfer, transfer.next_part())
        elif frame.kind == BATCH:
            whole = transfer.join(frame)
            if whole is not None and hashlib.sha256(whole).digest()[:4] == frame.xid:
                return self._answered(whole, "batches")
        elif frame.kind == ABORT:
            self.counts["aborts"] += 1
            return "again" if frame.body[0] == 15 else "refused"
        return "go on"

    def _answered(self, answer: bytes, how: str) -> str:
        if not self._wallet.on_answer(answer):
            return "go on"
        self.counts[how] += 1
        return "settled"

    async def _next_frame(self) -> Downlink | None:
        try:
            return await asyncio.wait_for(self._heard.get(), self._ether.timing.common_close_s + MARGIN_S)
        except TimeoutError:
            return None

    async def _send_chunks(self, transfer: _Transfer, indexes: list[int]) -> None:
        total = len(transfer.chunks)
        for index in indexes:
            last = index == indexes[-1]
            await self._send(
                data_frame(transfer.xid, index, total, transfer.chunks[index], listening=last), listening=last
            )

    async def _poll(self, transfer: _Transfer, part: int) -> None:
        self.counts["polls"] += 1
        await self._send(poll_frame(transfer.xid, part), listening=True)

    async def _send(self, frame: bytes, *, listening: bool) -> None:
        self.counts["frames"] += 1
        self.airtime_us += await self._ether.send(self, frame, self._spreading_factor, listening=listening)
