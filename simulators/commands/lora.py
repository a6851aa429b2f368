"""``lora``: a packet forwarder with wallets behind it, for a daemon that listens with ``lora_gwmp``."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from random import Random

import click

from simulators.lora.device import LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.ledger import LedgerWallet
from simulators.lora.plans import PLANS
from simulators.wallets import Season

WAIT_FOR_DAEMON_S = 10.0


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the daemon listens (UDP).")
@click.option("--port", type=click.IntRange(1, 65535), default=1700, show_default=True)
@click.option("--region", type=click.Choice(sorted(PLANS)), default="EU868", show_default=True)
@click.option("--wallets", type=click.IntRange(2, 1000), default=5, show_default=True)
@click.option("--payments", type=click.IntRange(1, 100_000), default=40, show_default=True)
@click.option("--every", type=click.IntRange(1), default=10, show_default=True, help="Payments a hand-over.")
@click.option("--loss", type=click.FloatRange(0, 0.9), default=0.0, show_default=True, help="Of frames.")
@click.option("--seed", type=int, default=1, show_default=True)
def command(
    *,
    host: str,
    port: int,
    region: str,
    wallets: int,
    payments: int,
    every: int,
    loss: float,
    seed: int,
) -> None:
    """Wallets pay each other and hand over by LoRa; prints what became of it as one JSON line."""
    random = Random(seed)
    ether = Ether(PLANS[region], random, loss, loss, airtime_scale=0.01)
    forwarder = SimForwarder(bytes.fromhex("b827ebfffe000001"), (host, port), ether, random)
    season = Season(wallets, seed)
    told = asyncio.run(_run(ether, forwarder, season, random, payments, every))
    click.echo(json.dumps(told))
    if told["held"] != told["ledgers"]:
        raise SystemExit(1)


async def _run(
    ether: Ether, forwarder: SimForwarder, season: Season, random: Random, payments: int, every: int
) -> dict[str, object]:
    handing = {w.device_id: LedgerWallet(w, None, [], lambda: season.now_ms) for w in season.wallets}
    devices: list[LoraDevice] = []
    async with forwarder:
        await asyncio.wait_for(forwarder.pulled.wait(), WAIT_FOR_DAEMON_S)
        for wallet in season.play(payments, every):
            devices.append(LoraDevice(handing[wallet.device_id], ether, random))
            await devices[-1].run()
    return {
        "ledgers": sum(len(wallet.ledger) for wallet in season.wallets),
        "held": sum(wallet.held for wallet in handing.values()),
        "answers": dict(sum((wallet.counts for wallet in handing.values()), Counter())),
        "devices": dict(sum((device.counts for device in devices), Counter())),
        "ether": dict(ether.counts),
        "forwarder": dict(forwarder.counts),
    }
