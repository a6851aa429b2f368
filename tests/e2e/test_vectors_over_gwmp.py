"""Every upload of the wallets' own libraries through a packet forwarder into the daemon as a process."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from daemon_rig import GATEWAY, house, origin_of
from vector_wallet import CASES, VectorWallet, allowed

from simulators.lora.device import LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import US915

FORWARDER = bytes.fromhex("b827ebfffe000001")
LORA = {"frequency": 915, "region": "US915", "options": {"host": "127.0.0.1", "port": 0}}
LIMITS = {"device": {"messages_per_minute": 1000}}
DEVICES = 1  # several at once compete for the one transmitter, and then listen for 20 s


async def test_every_upload_of_the_wallets_is_answered_as_it_says_over_gwmp(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon(lora=LORA, limits=LIMITS) as daemon:
        listening = await daemon.said("listening for packet forwarders")
        port = int(listening["address"].rpartition(":")[2])
        ether = Ether(US915, Random(1), airtime_scale=0.01)
        origin = f"offgrid/{GATEWAY}/1"
        wallets = [VectorWallet(here.public_key, origin, CASES[n::DEVICES]) for n in range(DEVICES)]
        async with SimForwarder(FORWARDER, ("127.0.0.1", port), ether, Random(2)) as forwarder:
            await forwarder.pulled.wait()
            async with asyncio.TaskGroup() as devices:
                for wallet in wallets:
                    device = LoraDevice(wallet, ether, Random(3), pause_scale=0.01)
                    devices.create_task(device.run())
        outcomes = {name: outcome for wallet in wallets for name, outcome in wallet.outcomes.items()}
        assert len(outcomes) == len(CASES)
        for case in CASES:
            assert outcomes[case["name"]] in allowed(case), case["name"]

        conflicts = sum("conflict" in case["expect"] for case in CASES)
        size = sum(case["expect"]["accept"] for case in CASES) + conflicts  # each a leaf of its own
        counts = await here.coordinator.until(lambda counts: origin_of(counts)["size"] == size)
        status = (await daemon.status())["store"]
        assert (status["size"], status["root"]) == (size, origin_of(counts)["root"])
        assert status["conflictsPending"] == counts["conflicts"] == conflicts
