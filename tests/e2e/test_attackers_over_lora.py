"""An attacker within earshot of the victim, through the whole daemon: it forges fragments and claims ids."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from daemon_rig import GATEWAY, Daemon, House, house, origin_of

from simulators.lora.device import Listener, LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.frames import DATA, FRAGMENT_OVERHEAD, LISTENING, data_frame, divide, transfer_id
from simulators.lora.ledger import LedgerWallet
from simulators.lora.plans import PLANS, Plan
from simulators.lora.windows import DeviceTiming
from simulators.wallets import Wallet
from simulators.wallets.uploads import hello

NOW_MS = 1_790_000_000_000
LORA = {"frequency": 868, "region": "EU868", "options": {"host": "127.0.0.1", "port": 0}}
TUNING = (868_300_000, 7, 125_000)
EUI = bytes.fromhex("b827ebfffe000001")


@dataclass
class Forger:
    """Hears each fragment of the victim's and sends its own at once: for the same place, and for another.

    It is the victim's air as well: a :class:`simulators.lora.device.Medium`.
    """

    ether: Ether
    random: Random
    forged: int = 0
    heard: list[bytes] = field(default_factory=list)

    @property
    def plan(self) -> Plan:
        return self.ether.plan

    @property
    def timing(self) -> DeviceTiming:
        return self.ether.timing

    async def send(self, device: Listener, payload: bytes, spreading_factor: int, *, listening: bool) -> int:
        if payload[1] & ~LISTENING != DATA:
            return await self.ether.send(device, payload, spreading_factor, listening=listening)
        xid, index, total = payload[2:6], payload[6], payload[7]
        for place in (index, self.random.randrange(total)):
            chunk = self.random.randbytes(len(payload) - FRAGMENT_OVERHEAD)
            self.shout(data_frame(xid, place, total, chunk, listening=False))
            self.forged += 1
        return await self.ether.send(device, payload, spreading_factor, listening=listening)

    def sleep(self, device: Listener) -> None:
        self.ether.sleep(device)

    def shout(self, frame: bytes) -> None:
        self.ether.uplink(self, frame, TUNING, listening=False)

    def say(self, message: bytes) -> None:
        """A whole message, whose answer it does not wait for."""
        chunks = divide(message, self.plan.largest_uplink[TUNING[1]])
        for index, chunk in enumerate(chunks):
            self.shout(data_frame(transfer_id(message), index, len(chunks), chunk, listening=False))

    def receive(self, payload: bytes) -> None:
        self.heard.append(payload)


@asynccontextmanager
async def on_the_air(daemon: Daemon) -> AsyncIterator[Forger]:
    listening = await daemon.said("listening for packet forwarders", radio="lora")
    host, _, port = listening["address"].rpartition(":")
    ether = Ether(PLANS["EU868"], Random(3), airtime_scale=0.01)
    async with SimForwarder(EUI, (host, int(port)), ether, Random(4)) as forwarder:
        await asyncio.wait_for(forwarder.pulled.wait(), 10)
        yield Forger(ether, Random(5))


def victim_of(here: House) -> LedgerWallet:
    wallet = Wallet(b"victim".ljust(32, b"."))
    return LedgerWallet(
        wallet, here.public_key, [f"offgrid/{GATEWAY}/1"], lambda: NOW_MS + len(wallet.ledger)
    )


async def handed_over(victim: LedgerWallet, forger: Forger) -> None:
    """All of its ledger, until a promise that verifies says so."""
    await LoraDevice(victim, forger, Random(6), pause_scale=0.0).run()
    assert victim.held == len(victim.wallet.ledger)


async def test_forged_fragments_between_the_victim_s_own_cost_repetitions_and_no_upload(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here, here.daemon(lora=LORA, gateway={"type": "lora"}) as daemon:
        async with on_the_air(daemon) as forger:
            victim = victim_of(here)
            for payments in (6, 3):
                for _ in range(payments):
                    victim.wallet.pay("00" * 8, 1.0, NOW_MS)
                await handed_over(victim, forger)
        assert forger.forged >= 12
        counts = await here.coordinator.until(lambda counts: origin_of(counts)["size"] == 2)
        assert counts["transactions"] == {"verified": 9}


async def test_keys_said_under_the_victim_s_id_on_the_same_air_do_not_crowd_it_out(tmp_path: Path) -> None:
    """A real collision of 64 bits cannot be ground here; but the air carries whatever key somebody claims."""
    async with house(tmp_path) as here, here.daemon(lora=LORA, gateway={"type": "lora"}) as daemon:
        async with on_the_air(daemon) as forger:
            victim = victim_of(here)
            for turn in range(2):
                for n in range(12):
                    forger.say(hello(victim.wallet.key[:8] + bytes([16 * turn + n]) * 24))
                victim.wallet.pay("00" * 8, 1.0, NOW_MS)
                await handed_over(victim, forger)
        status = await daemon.figures(gateway_backlog_entries=0)
        assert status['gateway_uploads_total{outcome="beacon",radio="lora"}'] >= 12
        counts = await here.coordinator.until(lambda counts: origin_of(counts)["size"] == 2)
        assert counts["transactions"] == {"verified": 2}
