"""``phones``: a Bluetooth controller for a daemon, and phones with wallets that walk past it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from random import Random

import click

from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.crowd import Crowd
from simulators.phones.ledger import PhoneWallet
from simulators.phones.misdeeds import Misdeed
from simulators.phones.phone import Phone, Traits, Visit
from simulators.phones.port import PtyPort, TcpPort
from simulators.phones.timing import RadioTiming
from simulators.wallets import Season, Wallet
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor

MISDEEDS = [misdeed.name.lower() for misdeed in Misdeed]
NOW_MS = 1_790_000_000_000
DONGLE = "C0:FF:EE:00:00:01/P"


@click.command()
@click.option("--tcp", type=click.IntRange(0, 65535), help="Offer the controller on this TCP port (0: any).")
@click.option("--pty", type=click.Path(path_type=Path), help="Offer it as a UART of 1 Mbaud, linked here.")
@click.option("--phones", type=click.IntRange(1, 200), default=5, show_default=True)
@click.option("--visits", type=click.IntRange(1), help="Contacts a phone; without: until stopped.")
@click.option("--payments", type=click.IntRange(1), default=10, show_default=True, help="Between contacts.")
@click.option("--payload", type=click.IntRange(1), help="Hand over so many random bytes, no ledger.")
@click.option("--ledger", type=click.IntRange(1), help="Each contact a new wallet's, of so many payments.")
@click.option("--loose", is_flag=True, help="The same payments without a snapshot (at most 64).")
@click.option("--json", "as_json", is_flag=True, help="Ledgers as the wallet's JSON, not CBOR.")
@click.option("--mtu", type=click.IntRange(23, 517), multiple=True, help="By turns; default 185 247 517 23.")
@click.option("--with-response", is_flag=True, help="Only writes with response.")
@click.option("--radio", type=click.Choice(["instant", "1M", "2M"]), default="instant", show_default=True)
@click.option("--interval-ms", type=click.FloatRange(7.5, 4000), default=30.0, show_default=True)
@click.option(
    "--cut", type=click.FloatRange(0, 0.9), default=0.0, show_default=True, help="Contacts cut short."
)
@click.option("--away-s", type=click.FloatRange(0), default=0.0, show_default=True, help="Between contacts.")
@click.option("--ping", type=click.IntRange(0), default=0, help="Reads a contact: the link's round trip.")
@click.option("--bare", is_flag=True, help="Bytes without the protocol: what the link itself carries.")
@click.option("--misdeed", type=click.Choice(MISDEEDS), multiple=True, help="Of one phone more, each.")
@click.option("--seed", type=int, default=1, show_default=True)
def command(
    *,
    tcp: int | None,
    pty: Path | None,
    phones: int,
    visits: int | None,
    payments: int,
    payload: int | None,
    ledger: int | None,
    loose: bool,
    as_json: bool,
    mtu: tuple[int, ...],
    with_response: bool,
    radio: str,
    interval_ms: float,
    cut: float,
    away_s: float,
    ping: int,
    bare: bool,
    misdeed: tuple[str, ...],
    seed: int,
) -> None:
    """Prints the controller's address, a JSON line a contact, and one in the end."""
    timing = RadioTiming(
        instant=radio == "instant", phy="2M" if radio == "2M" else "1M", interval_s=interval_ms / 1e3
    )
    sizes = mtu or (185, 247, 517, 23)
    traits = [Traits(size, with_response, timing, ping, bare) for size in sizes]
    wallets: _Ledgers | _Each = _Ledgers(phones + len(misdeed), payments, as_json, seed)
    if payload:
        wallets = _Each(partial(Random(seed).randbytes, payload))
    elif ledger:
        wallets = _Each(partial(_new, Random(seed), ledger, loose))
    asyncio.run(_run(tcp, pty, phones, visits, wallets, traits, cut, away_s, misdeed, seed))


class _Ledgers:
    """Wallets that pay each other while they are away."""

    def __init__(self, phones: int, payments: int, as_json: bool, seed: int) -> None:
        self._season = Season(max(2, phones), seed)
        self._payments = payments
        self._wallets = [
            PhoneWallet(wallet, lambda: self._season.now_ms, as_json=as_json)
            for wallet in self._season.wallets
        ]
        for _ in range(payments * phones):
            self._season.pay()

    def of(self, phone: int) -> tuple[Callable[[], bytes | None], Callable[[bytes], None]]:
        wallet = self._wallets[phone]
        return wallet.next_message, wallet.on_answer

    def after(self, visit: Visit) -> None:
        """Life goes on."""
        for _ in range(self._payments):
            self._season.pay()

    def told(self) -> dict[str, object]:
        counts = sum((wallet.counts for wallet in self._wallets), Counter[str]())
        ledgers = sum(len(wallet.wallet.ledger) for wallet in self._wallets)
        return {"ledgers": ledgers, "held": sum(w.held for w in self._wallets), "answers": dict(counts)}


def _new(random: Random, payments: int, loose: bool) -> bytes:
    """The first hand-over of a wallet that nobody has met."""
    wallet = Wallet(random.randbytes(32))
    for n in range(payments):
        wallet.pay(random.randbytes(8).hex(), 1, NOW_MS + n)
    if loose:
        return transactions_cbor(wallet.key, wallet.ledger)
    return snapshot_cbor(wallet.hand_over(NOW_MS))


class _Each:
    """Messages that are made as they are asked for, one a contact."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._answers: Counter[str] = Counter()
        self._offered: dict[int, bytes | None] = {}

    def of(self, phone: int) -> tuple[Callable[[], bytes | None], Callable[[bytes], None]]:
        def next_message() -> bytes | None:
            if phone not in self._offered:
                self._offered[phone] = self._make()
            return self._offered[phone]

        def on_answer(answer: bytes) -> None:
            self._answers[answer[:2].hex()] += 1
            self._offered[phone] = None

        return next_message, on_answer

    def after(self, visit: Visit) -> None:
        for phone in [phone for phone, message in self._offered.items() if message is None]:
            del self._offered[phone]

    def told(self) -> dict[str, object]:
        return {"answers": dict(self._answers)}


async def _run(
    tcp: int | None,
    pty: Path | None,
    phones: int,
    visits: int | None,
    wallets: _Ledgers | _Each,
    traits: list[Traits],
    cut: float,
    away_s: float,
    misdeeds: tuple[str, ...],
    seed: int,
) -> None:
    air = Air(seed)
    dongle = VirtualController(air, "dongle", public_address=DONGLE)
    port: AbstractAsyncContextManager[TcpPort | PtyPort] = (
        TcpPort(dongle, port=tcp or 0) if pty is None else PtyPort(dongle, link=pty)
    )
    counts: Counter[str] = Counter()

    def on_visit(phone: Phone, visit: Visit | None, why: str) -> None:
        counts["visits" if visit else "cut"] += 1
        if visit is not None:
            wallets.after(visit)
        seen = {"phone": phone.number, **(vars(visit) if visit else {"why": why})}
        click.echo(json.dumps(seen))

    crowd = Crowd(
        (_phone(air, number, traits, wallets) for number in range(phones + len(misdeeds))),
        Random(seed),
        on_visit=on_visit,
        cut=cut,
        away_s=away_s,
        misdeeds={phones + n: Misdeed[name.upper()] for n, name in enumerate(misdeeds)},
    )
    async with port as opened:
        click.echo(json.dumps({"controller": opened.address, "pid": os.getpid()}))
        await _until_told(crowd.run(visits))
        crowd.close()
    click.echo(json.dumps({**counts, **wallets.told()}))


def _phone(air: Air, number: int, traits: list[Traits], wallets: _Ledgers | _Each) -> Phone:
    next_message, on_answer = wallets.of(number)
    return Phone(air, number, traits[number % len(traits)], next_message=next_message, on_answer=on_answer)


async def _until_told(running: Coroutine[None, None, None]) -> None:
    """Until it ends by itself, or SIGINT or SIGTERM comes."""
    task, told = asyncio.create_task(running), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    telling = asyncio.create_task(told.wait())
    await asyncio.wait([task, telling], return_when=asyncio.FIRST_COMPLETED)
    telling.cancel()
    if not task.done():
        task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
