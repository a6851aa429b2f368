"""kill -9 under load, again and again: nothing promised is lost or applied twice, the roots are equal."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

from daemon_rig import Daemon, House, ask, house, origin_of

from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

KILLS = int(os.environ.get("OFFGRID_KILLS", "5"))  # the long run: OFFGRID_KILLS=20
PHONES = 8
NOW = 1_790_000_000_000

Upload = tuple[bytes, bytes]


def ledgers() -> Iterator[Upload]:
    """Content hash and message, each of another wallet."""
    number = 0
    while True:
        owner = Wallet(f"phone-{number}".encode().ljust(32, b"."))
        for n in range(3):
            owner.pay(f"{number:016x}", n + 1, NOW)
        over = owner.hand_over(NOW)
        yield over.content, snapshot_cbor(over)
        number += 1


async def phone(address: str, uploads: Iterator[Upload], promised: set[bytes]) -> None:
    """Hands in one ledger after another until nobody answers any more."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for content, message in uploads:
            answer = await ask(address, "POST", "/v1/snapshots", message, "application/cbor")
            if answer.status == 200 and answer.body:
                promised.add(content)


async def one_life(here: House, uploads: Iterator[Upload], promised: set[bytes], moment: float) -> None:
    """A start, a load, and a kill at some moment after the first promises of this life."""
    before = len(promised)
    async with here.daemon(logging={"level": "info"}) as daemon:
        address = await daemon.address("http")
        phones = [asyncio.create_task(phone(address, uploads, promised)) for _ in range(PHONES)]
        while len(promised) < before + PHONES:
            await asyncio.sleep(0.001)
        await asyncio.sleep(moment)  # the moment is the fault that is injected
        daemon.kill()
        await asyncio.gather(*phones)


async def settled(here: House, daemon: Daemon) -> int:
    """The log's size, once the coordinator has all of it under the same root."""
    store = (await daemon.status())["store"]
    counts = await here.coordinator.until(lambda counts: origin_of(counts)["size"] == store["size"])
    assert origin_of(counts)["root"] == store["root"]
    assert counts["forks"] == counts["breaches"] == 0
    return int(store["size"])


async def test_what_was_promised_before_each_kill_is_at_the_coordinator_exactly_once(tmp_path: Path) -> None:
    random, uploads, promised = Random(9), ledgers(), set[bytes]()
    plenty = {"messages_per_minute": 1_000_000}
    async with house(tmp_path) as here:
        here.configure(limits={"radio": plenty, "peer": plenty})
        for _ in range(KILLS):
            await one_life(here, uploads, promised, random.uniform(0, 0.25))
        async with here.daemon() as daemon:
            size = await settled(here, daemon)
            accepted = (await here.coordinator.accepted())["snapshots"]
        assert {content.hex() for content in promised} <= set(accepted)
        assert [len(one["heard"]) for one in accepted.values()] == [1] * size
        assert (await here.command("log", "verify"))[0] == 0
