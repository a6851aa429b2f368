"""The real driver, link and intake on one side of UDP, simulated forwarders and devices on the other."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from random import Random

from drivers.errors import DriverLost
from drivers.lora_gwmp import GwmpDriver
from gateway.core.lora.downlinks import Join
from gateway.core.lora.link import LoraLink
from gateway.core.lora.regions import REGIONS, Region
from gateway.core.lora.windows import Timing
from gateway.services.lora_intake import LoraIntake
from gateway.systemclock import SystemClock
from simulators.lora.device import LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import PLANS
from simulators.lora.windows import DeviceTiming

# Shorter than the field's times, so that no test waits for a real common window.
QUICK = Timing(
    rx1_s=0.4,
    rx2_s=0.8,
    common_open_s=1.0,
    common_close_s=2.4,
    settle_s=0.05,
    linger_s=0.2,
    lead_s=0.05,
    guard_s=0.1,
)
QUICK_DEVICE = DeviceTiming(rx1_s=0.4, rx2_s=0.8, common_open_s=1.0, common_close_s=2.4)

Submit = Callable[[bytes, str, str], Awaitable[bytes]]


def receipt_for(message: bytes) -> bytes:
    """What the recorder of these tests answers: 95 bytes, as long as a promise."""
    return b"R" + hashlib.sha256(message).digest() + bytes(62)


@dataclass
class HashWallet:
    """Hands over messages and knows its receipts, alone or inside a joined one."""

    messages: list[bytes]
    answers: list[bytes] = field(default_factory=list)
    waiting: bytes = b""

    def next_message(self) -> bytes | None:
        self.waiting = self.messages.pop(0) if self.messages else b""
        return self.waiting or None

    def on_answer(self, answer: bytes) -> bool:
        if hashlib.sha256(self.waiting).digest() not in answer:
            return False
        self.answers.append(answer)
        return True


@dataclass
class Rig:
    """A gateway's LoRa side, running, with an ether before its antenna."""

    driver: GwmpDriver
    link: LoraLink
    intake: LoraIntake
    ether: Ether
    random: Random
    submitted: list[bytes]
    service: asyncio.Task[None]

    def forwarder(self, number: int = 1, **settings: object) -> SimForwarder:
        eui = bytes.fromhex("b827ebfffe00") + number.to_bytes(2, "big")
        return SimForwarder(eui, self.driver.address, self.ether, self.random, **settings)  # type: ignore[arg-type]

    def device(self, wallet: HashWallet, spreading_factor: int = 7) -> LoraDevice:
        return LoraDevice(
            wallet,
            self.ether,
            self.random,
            spreading_factor=spreading_factor,
            pause_scale=0.01,
        )


def joined_receipts(answers: Sequence[bytes]) -> tuple[bytes, Sequence[int]] | None:
    """Up to 16 receipts as one, the way a signed batch holds the leaves of many."""
    return b"B" + b"".join(answer[1:33] for answer in answers[:16]), range(min(16, len(answers)))


@contextlib.asynccontextmanager
async def lora_rig(
    *,
    region: Region | None = REGIONS["EU868"],
    plan: str = "EU868",
    submit: Submit | None = None,
    uplink_loss: float = 0.0,
    downlink_loss: float = 0.0,
    join: Join = joined_receipts,
    quick: bool = True,
    seed: int = 1,
) -> AsyncIterator[Rig]:
    submitted: list[bytes] = []

    async def record(message: bytes, peer: str, correlation: str) -> bytes:
        submitted.append(message)
        return receipt_for(message) if submit is None else await submit(message, peer, correlation)

    random = Random(seed)
    driver = GwmpDriver("lora", {"port": 0, "tx_ack_timeout_s": 1.0}, clock=SystemClock())
    link = LoraLink(region, timing=QUICK if quick else Timing(), join=join)
    intake = LoraIntake("lora", driver, link, record, clock=SystemClock())
    timing = QUICK_DEVICE if quick else DeviceTiming()
    ether = Ether(PLANS[plan], random, uplink_loss, downlink_loss, timing, airtime_scale=0.01)
    service = asyncio.create_task(intake.run(), name="intake")
    try:
        await listening(driver)
        yield Rig(driver, link, intake, ether, random, submitted, service)
    finally:
        service.cancel()
        with contextlib.suppress(asyncio.CancelledError, DriverLost):
            await service


async def listening(driver: GwmpDriver) -> None:
    while not driver.is_open:
        await asyncio.sleep(0)
