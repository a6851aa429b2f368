"""A backhaul that is gone for 15 s at 20 snapshots a second: all of it is delivered, the radio stays open.

    python -m benchmarks outage

Most of the load comes by HTTP, as much as the air carries by LoRa through the packet forwarder. The outage is
measured in snapshots: 300 are promised while there is no backhaul.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random

from benchmarks.figure import Figure
from benchmarks.phones import Answers, Ledger, at_rate, ledgers
from simulators.demo.carriers import LoraCarrier, session
from simulators.demo.house import ORIGIN, House, house
from simulators.demo.watch import Watch
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import US915
from simulators.wallets.receipts import Promised
from simulators.wallets.wallet import Wallet

PER_SECOND = 20.0
LORA_SHARE = 10
"""Of so many snapshots one comes by LoRa: 2 a second are near what eight channels carry."""

FORWARDER = bytes.fromhex("b827ebfffe0d3a02")
LIMITS = {"peer": {"messages_per_minute": 100_000}, "radio": {"messages_per_minute": 100_000}}
NOW_MS = 1_790_000_000_000


@dataclass(frozen=True, slots=True)
class Result:
    """`heard_while_down`: frames by LoRa. `opened`: how often the daemon opened the radio."""

    promised: int
    promised_while_down: int
    delivered: int
    duplicated: int
    heard_while_down: int
    opened: int
    roots_equal: bool
    down_s: float
    drained_s: float


class Load:
    """Phones and handhelds that hand in at a steady rate."""

    def __init__(self, here: House, ether: Ether, random: Random) -> None:
        self.answers = Answers()
        self.lora: list[Promised] = []
        self._here = here
        self._ether = ether
        self._random = random
        self._sent = 0

    async def offer(self, snapshots: int) -> None:
        """So many more, until all are promised."""
        start, self._sent = self._sent, self._sent + snapshots
        by_lora = snapshots // LORA_SHARE
        uploads: Sequence[Ledger] = ledgers(snapshots - by_lora, 3, f"outage {start} ")
        carriers = [self._carrier(f"lora {start + n}") for n in range(by_lora)]
        rate = PER_SECOND / LORA_SHARE
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(at_rate(self._here.http, uploads, PER_SECOND - rate, self.answers))
            for n, carrier in enumerate(carriers):
                tasks.create_task(self._hand_over(carrier, n / rate))

    async def _hand_over(self, carrier: LoraCarrier, after_s: float) -> None:
        await asyncio.sleep(after_s)
        await carrier.hand_over()
        self.lora += carrier.tally().promises

    def _carrier(self, salt: str) -> LoraCarrier:
        wallet = Wallet(sha256(salt.encode()).digest())
        wallet.pay("00" * 8, 1.0, NOW_MS)
        return LoraCarrier(wallet, self._here.gateway_key, ORIGIN, self._ether, self._random, lambda: NOW_MS)


async def measure(folder: Path, before: int, during: int, after: int) -> Result:
    """So many snapshots before, during and after the outage."""
    random = Random(1)
    ether = Ether(US915, random)
    async with house(folder, random, limits=LIMITS) as here, session() as http:
        async with SimForwarder(FORWARDER, here.gwmp, ether, random) as forwarder:
            await forwarder.pulled.wait()
            watch, load = Watch(here, http), Load(here, ether, random)
            await load.offer(before)
            await here.backhaul.cut()
            cut_at = time.monotonic()
            promised, heard = _promised(load), ether.counts["uplinks"]
            await load.offer(during)
            while_down, heard = _promised(load) - promised, ether.counts["uplinks"] - heard
            here.backhaul.mend()
            mended_at = time.monotonic()
            await load.offer(after)
            await _settled(watch, _promised(load))
            drained_s = time.monotonic() - mended_at
        return await _audit(here, watch, load, while_down, heard, mended_at - cut_at, drained_s)


def _promised(load: Load) -> int:
    return len(load.answers.promises) + len(load.lora)


async def _settled(watch: Watch, promised: int) -> None:
    await watch.until(lambda: promised <= watch.gateway_size == watch.held[0])


async def _audit(
    here: House, watch: Watch, load: Load, while_down: int, heard: int, down_s: float, drained_s: float
) -> Result:
    promises = [*load.answers.verified(here.gateway_key), *load.lora]
    snapshots = (await watch.accepted())["snapshots"]
    places = {
        bytes.fromhex(one): [(each["origin"], each["index"]) for each in held["heard"]]
        for one, held in snapshots.items()
    }
    opened = [line for line in here.daemon.lines if line.get("message") == "listening for packet forwarders"]
    return Result(
        promised=len(promises),
        promised_while_down=while_down,
        delivered=sum((one.origin, one.index) in places.get(one.content, []) for one in promises),
        duplicated=sum(len(each) > 1 for each in places.values()),
        heard_while_down=heard,
        opened=len(opened),
        roots_equal=watch.held == (watch.gateway_size, watch.gateway_root),
        down_s=down_s,
        drained_s=drained_s,
    )


def figures(quick: bool) -> list[Figure]:
    """100 % delivered, the radio opened once."""
    plan = (20, 60, 20) if quick else (100, 300, 100)
    with tempfile.TemporaryDirectory(prefix="offgrid-outage-") as folder:
        result = asyncio.run(measure(Path(folder), *plan))
    return [
        Figure("backhaul gone", "s", result.down_s),
        Figure("promised meanwhile", "", result.promised_while_down, plan[1], "more"),
        Figure("LoRa frames heard meanwhile", "", result.heard_while_down, 1, "more"),
        Figure("delivered", "%", 100 * result.delivered / result.promised, 100, "more"),
        Figure("delivered twice", "", result.duplicated, 0),
        Figure("times the radio was opened", "", result.opened, 1),
        Figure("roots equal", "", float(result.roots_equal), 1, "more"),
        Figure("until all was delivered", "s", result.drained_s),
    ]
