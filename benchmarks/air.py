"""Devices in the air, our driver on the concentrator model, the link and a real store; in virtual time.

The air (``simulators.air``) computes by itself which snapshots could be completed and what the law allows.
What is measured: each of those snapshots is in the store, 95 % of all that were offered are, answers in RX1
leave at their instant, nobody sends more than the region allows.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self, cast

from nacl.signing import SigningKey

from benchmarks.figure import Figure
from drivers.base import DriverStats, Frame, TxReceipt, TxRequest
from drivers.lora_sx1301 import Sx1301Driver
from drivers.lora_sx1301 import driver as shell
from gateway.core.admission import Admission, Rate, Rates
from gateway.core.lora.link import LoraLink
from gateway.core.lora.promises import PromiseBook
from gateway.core.lora.regions import REGIONS
from gateway.model import Stamp, TimeQuality
from gateway.services.lora_intake import LoraIntake, Submit
from gateway.services.reception import Reception, Signer
from gateway.services.recorder import Recorder
from gateway.store import Limits, Store, StoreSettings
from simulators.air.air import Air, Log
from simulators.air.handset import Handset, places
from simulators.air.law import Sent, Use, uses
from simulators.air.propagation import LogDistance
from simulators.air.reckoning import completed, deaf_to, heard_while_sending
from simulators.air.virtual import VirtualClock, VirtualLoop
from simulators.concentrator.chip import Chip
from simulators.concentrator.images import TEST_IMAGES, TEST_SHA256
from simulators.concentrator.server import ConcentratorServer
from simulators.lora.device import LoraDevice
from simulators.lora.frames import transfer_id
from simulators.lora.ledger import LedgerWallet
from simulators.lora.plans import PLANS
from simulators.wallets import Wallet

GATEWAY = "hill-01"
ORIGIN = f"offgrid/{GATEWAY}/1"
PLENTY = 1 << 40
EIRP_DBM = 27.0  # RX2 in EU868 may use it: a device that needs SF12 up hears SF9 down only so
LEAST_ACCEPTED = 95.0  # percent of the offered
RX1_US = 1000
RUSH_S = 90.0  # in which all hand over whose market has closed


@dataclass(frozen=True, slots=True)
class Habit:
    """Of the devices that need one spreading factor: how many, payments a snapshot, time between two."""

    devices: int
    payments: int
    every_s: float


EU868 = {
    7: Habit(14, 4, 300),
    8: Habit(10, 3, 300),
    9: Habit(8, 2, 450),
    10: Habit(7, 1, 900),
    11: Habit(6, 1, 1800),
    12: Habit(5, 1, 3600),
}
US915 = {7: Habit(20, 4, 300), 8: Habit(14, 2, 300), 9: Habit(10, 1, 450), 10: Habit(6, 1, 900)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """``steps``: when (seconds after the start) the host's wall clock jumps, and by how many.

    ``pause_scale``: of the pauses that a device makes before it asks again.
    """

    plan: str
    habits: Mapping[int, Habit]
    seconds: float = 3600.0
    loss: float = 0.05
    seed: int = 1
    pause_scale: float = 1.0
    counter_at_start: int = 0
    steps: Sequence[tuple[float, float]] = ()


@dataclass(frozen=True, slots=True)
class Stamped:
    """A frame as the driver gave it: ``end_us`` is what its wall time means on the steady clock."""

    payload: bytes
    counter_us: int
    end_us: float


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What became of it. Contents are by transfer id."""

    offered: dict[bytes, bytes] = field(default_factory=dict)  # to the snapshot's content
    completable: set[bytes] = field(default_factory=set)
    accepted: set[bytes] = field(default_factory=set)
    promised: set[bytes] = field(
        default_factory=set
    )  # contents, each with a promise that its wallet verified
    log: Log = field(default_factory=Log)
    gateway: Sequence[Use] = ()
    devices: Sequence[Use] = ()
    waited_s: float = 0.0
    violations: Sequence[str] = ()
    stamped: list[Stamped] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    simulated_s: float = 0.0
    took_s: float = 0.0

    @property
    def missed(self) -> set[bytes]:
        """Completable, and not in the store: must be empty."""
        return self.completable & self.offered.keys() - self.accepted

    @property
    def unexplained(self) -> set[bytes]:
        """In the store although the air says that it never came through: must be empty."""
        return self.accepted - self.completable

    @property
    def accepted_percent(self) -> float:
        return 100 * len(self.accepted) / len(self.offered)


@dataclass(slots=True)
class Offering:
    """A wallet, with a note of each snapshot that it hands over."""

    ledger: LedgerWallet
    offered: dict[bytes, bytes]

    def next_message(self) -> bytes | None:
        message = self.ledger.next_message()
        if message is not None:
            [self.offered[transfer_id(message)]] = self.ledger.contents()
        return message

    def on_answer(self, answer: bytes) -> bool:
        return self.ledger.on_answer(answer)


class Noting:
    """A radio, with a note of each frame."""

    def __init__(self, radio: Sx1301Driver, clock: VirtualClock, stamped: list[Stamped]) -> None:
        self._radio, self._clock, self._stamped = radio, clock, stamped

    async def __aenter__(self) -> Self:
        await self._radio.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._radio.__aexit__(kind, error, trace)

    async def frames(self) -> AsyncIterator[Frame]:
        async for frame in self._radio.frames():
            age_us = (self._clock.unix_ns() - frame.received_unix_ns) / 1000
            counter_us = frame.lora.counter_us if frame.lora else 0
            self._stamped.append(Stamped(frame.payload, counter_us, self._clock.micros() - age_us))
            yield frame

    async def transmit(self, request: TxRequest) -> TxReceipt:
        return await self._radio.transmit(request)

    def stats(self) -> DriverStats:
        return self._radio.stats()


def simulate(scenario: Scenario) -> Outcome:
    """Play it in virtual time."""
    began = time.monotonic()
    with TemporaryDirectory(prefix="air-") as folder, asyncio.Runner(loop_factory=VirtualLoop) as runner:
        outcome = runner.run(_play(scenario, Path(folder)))
    outcome.took_s = time.monotonic() - began
    return outcome


async def _play(scenario: Scenario, folder: Path) -> Outcome:
    loop = cast(VirtualLoop, asyncio.get_running_loop())
    clock, outcome, random = VirtualClock(loop), Outcome(), Random(scenario.seed)
    chip = Chip(clock.micros, counter_at_start=scenario.counter_at_start)
    async with AsyncExitStack() as stack:
        stack.enter_context(_always_on_the_clock())
        stack.enter_context(ConcentratorServer(chip, folder / "sx1301.sock", keeps_time=False))
        driver = Sx1301Driver("lora", _settings(scenario, folder), clock=clock)
        radio = Noting(driver, clock, outcome.stamped)
        behind = await stack.enter_async_context(_store(folder, clock))
        link = LoraLink(REGIONS[scenario.plan], power_dbm=EIRP_DBM, join=behind.book.join)
        intake = LoraIntake("lora", radio, link, behind.submit, clock=clock)
        service = asyncio.create_task(intake.run())
        while not chip.receiving:
            await clock.sleep(0.1)
        air = Air(PLANS[scenario.plan], folder / "sx1301.sock", random, loss=scenario.loss)
        with loop.held():
            await stack.enter_async_context(air)
        await _live(scenario, air, clock, behind, outcome)
        outcome.violations = air.violations()
        service.cancel()
        with suppress(asyncio.CancelledError):
            await service
        outcome.counts = link.counts
        outcome.log = air.log
        outcome.completable = completed(air.log)
        await behind.find(outcome)
        _judge(air, outcome)
    return outcome


@contextmanager
def _always_on_the_clock() -> Iterator[None]:
    """An idle driver polls on its bus thread by the host's time, which would not pass here."""
    usual, shell.IDLE_AFTER_S = shell.IDLE_AFTER_S, math.inf
    try:
        yield
    finally:
        shell.IDLE_AFTER_S = usual


def _settings(scenario: Scenario, folder: Path) -> dict[str, object]:
    for name, image in TEST_IMAGES.items():
        (folder / f"{name}.bin").write_bytes(image)
    return {
        "address": f"unix:{folder / 'sx1301.sock'}",
        "firmware": str(folder),
        "firmware_sha256": TEST_SHA256,
        "duty_cycle": False,  # as the daemon sets it: the link keeps it
        "plan": scenario.plan,
        "region": scenario.plan,
    }


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the link."""

    store: Store
    book: PromiseBook
    submit: Submit
    key: bytes

    async def find(self, outcome: Outcome) -> None:
        """Which of the offered snapshots the store holds."""
        for xid, content in outcome.offered.items():
            if await self.store.content(content) is not None:
                outcome.accepted.add(xid)


@asynccontextmanager
async def _store(folder: Path, clock: VirtualClock) -> AsyncIterator[Behind]:
    key = SigningKey(sha256(b"a gateway in the air").digest())
    loop = cast(VirtualLoop, asyncio.get_running_loop())

    def sign(text: bytes) -> bytes:
        return key.sign(text).signature

    def now() -> Stamp:
        return Stamp(clock.unix_ns() // 1_000_000, TimeQuality.AGREED)

    settings = StoreSettings(
        path=folder / "gateway.db", gateway_id=GATEWAY, limits=Limits(), free_bytes=lambda: PLENTY
    )
    async with (
        Store(settings) as store,
        Recorder(store, sign=sign, now=now, monotonic=clock.monotonic) as recorder,
    ):
        wide = Rate(messages=1_000_000, bytes=PLENTY)
        reception = Reception(
            recorder,
            store,
            Admission(Rates(radio=wide, peer=wide, device=wide)),
            Signer(gateway_id=GATEWAY, key=bytes(key.verify_key), sign=sign),
            now=now,
            monotonic=clock.monotonic,
            max_bytes=lambda: PLENTY,
            answered=lambda radio, word: None,
        )
        book = PromiseBook(sign)
        record = reception.submit("lora", 0.0, book.write)

        async def submit(message: bytes, peer: str, correlation: str) -> bytes:
            with loop.held():
                return await record(message, peer, correlation)

        yield Behind(store, book, submit, bytes(key.verify_key))


async def _live(scenario: Scenario, air: Air, clock: VirtualClock, behind: Behind, outcome: Outcome) -> None:
    """All devices, until each has handed over its last snapshot or given it up."""
    random = Random(scenario.seed + 1)
    factors = [factor for factor, habit in scenario.habits.items() for _ in range(habit.devices)]
    began = clock.monotonic()
    async with asyncio.TaskGroup() as tasks:
        for n, place in enumerate(places(factors, LogDistance(), random)):
            wallet = Wallet(sha256(f"air {scenario.seed} {n}".encode()).digest())
            ledger = LedgerWallet(wallet, behind.key, [ORIGIN], lambda: clock.unix_ns() // 1_000_000)
            handset = air.handset(f"device-{n}", place)
            day = _day(scenario, handset, Offering(ledger, outcome.offered), clock, Random(n), outcome)
            tasks.create_task(day, name=handset.name)
        for at_s, seconds in scenario.steps:
            tasks.create_task(_step(clock, at_s, seconds))
    outcome.simulated_s = clock.monotonic() - began


async def _step(clock: VirtualClock, at_s: float, seconds: float) -> None:
    await clock.sleep(at_s)
    clock.step_wall(seconds)


async def _day(
    scenario: Scenario,
    handset: Handset,
    wallet: Offering,
    clock: VirtualClock,
    random: Random,
    outcome: Outcome,
) -> None:
    """Pay, hand over, again: markets close for all at once, so that frames meet often."""
    factor = handset.place.spreading_factor
    habit = scenario.habits[factor]
    device = LoraDevice(wallet, handset, random, spreading_factor=factor, pause_scale=scenario.pause_scale)
    began = clock.monotonic()
    for n in range(max(1, int(scenario.seconds / habit.every_s))):
        due = began + n * habit.every_s + random.uniform(0, RUSH_S)
        await clock.sleep(max(0.0, due - clock.monotonic()))
        for _ in range(habit.payments):
            amount = random.randint(1, 5000)
            receiver = f"{random.getrandbits(64):016x}"
            wallet.ledger.wallet.pay(receiver, amount, clock.unix_ns() // 1_000_000)
        await device.run()
    outcome.promised |= {promise.content for promise in wallet.ledger.promises}


def _judge(air: Air, outcome: Outcome) -> None:
    """The law, over everything that was sent."""
    outcome.gateway = uses(
        air.plan,
        [Sent(one.start_us, one.end_us, one.frequency_hz, one.bandwidth_hz) for one in air.log.emissions],
    )
    outcome.devices = [use for handset in air.handsets for use in uses(air.plan, handset.sent)]
    outcome.waited_s = sum(handset.waited_us for handset in air.handsets) / 1e6


def _figures(scenario: Scenario, outcome: Outcome) -> list[Figure]:
    plan, fates = scenario.plan, outcome.log.outcomes()
    errors = [abs(error) for error in outcome.log.rx1_errors_us]
    busiest = max((use.share for use in outcome.gateway), default=0.0)
    told = [
        Figure(f"{plan} snapshots offered", "", len(outcome.offered)),
        Figure(f"{plan} completable, by the air", "", len(outcome.completable)),
        Figure(f"{plan} completable and not accepted", "", len(outcome.missed), 0),
        Figure(f"{plan} accepted and not completable", "", len(outcome.unexplained), 0),
        Figure(f"{plan} accepted of those offered", "%", outcome.accepted_percent, LEAST_ACCEPTED, "more"),
        Figure(f"{plan} promised, verified by the wallets", "", len(outcome.promised)),
        Figure(f"{plan} answers near RX1", "", len(errors)),
        Figure(f"{plan} worst error of RX1", "µs", max(errors, default=0), RX1_US),
        Figure(f"{plan} gateway, fullest window, of the law's", "%", 100 * busiest, 100),
        Figure(
            f"{plan} devices, fullest window, of the law's",
            "%",
            100 * max((use.share for use in outcome.devices), default=0.0),
            100,
        ),
        Figure(f"{plan} devices waited for the law", "s", outcome.waited_s),
        Figure(f"{plan} uplinks", "", len(outcome.log.flights)),
        Figure(f"{plan} uplinks collided", "", fates["collided"]),
        Figure(f"{plan} uplinks lost by chance", "", fates["lost"]),
        Figure(f"{plan} uplinks while the gateway sent", "", deaf_to(outcome.log)),
        Figure(f"{plan} heard while the gateway sent", "", heard_while_sending(outcome.log), 0),
        Figure(f"{plan} emissions", "", len(outcome.log.emissions)),
        Figure(f"{plan} emissions that nobody heard", "", outcome.log.downlinks["unheard"]),
        Figure(f"{plan} rules of the chip broken", "", len(outcome.violations), 0),
        Figure(f"{plan} time simulated", "s", outcome.simulated_s),
        Figure(f"{plan} time taken", "s", outcome.took_s),
    ]
    return told


def figures(quick: bool) -> list[Figure]:
    """An hour of EU868 and half of one of US915; quick: minutes of each."""
    told = []
    for plan, habits, seconds in (("EU868", EU868, 3600.0), ("US915", US915, 1800.0)):
        scenario = Scenario(plan=plan, habits=habits, seconds=seconds / 10 if quick else seconds)
        told += _figures(scenario, simulate(scenario))
    return told
