"""Twenty phones at once, each cut three times in the middle: what is sent again, and who waits longest.

    python -m benchmarks ble_crowd        ledgers of some 95 kB; with --quick of some 10 kB

The real daemon behind a UART of 1 Mbaud. All phones come at the same moment, walk out of range at random
bytes of their message, and come back as soon as they have noticed. Once with a link for each phone, once with
the eight of a common dongle, where the others wait for their turn.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

from benchmarks.ble_street import LINKS, Street, street
from benchmarks.figure import Figure
from simulators.phones.call import PhoneError
from simulators.phones.exchange import WINDOW
from simulators.phones.ledger import PhoneWallet
from simulators.phones.phone import Phone, Traits
from simulators.phones.timing import RadioTiming

PHONES, CUTS = 20, 3
MTUS = (185, 247, 517)
NOTICED_S = 0.2  # supervision timeout


@dataclass(frozen=True, slots=True)
class Walked:
    """One phone, from its first contact to the receipt. ``again``: message bytes sent twice, cut by cut."""

    size: int
    sent: int
    again: tuple[int, ...]
    receipt_s: float


@dataclass(frozen=True, slots=True)
class Crowded:
    """All of them, and what the daemon and the coordinator count."""

    walked: tuple[Walked, ...]
    accepted: int
    logged_once: int
    messages_heard: int

    @property
    def worst_again(self) -> int:
        return max(again for one in self.walked for again in one.again)

    @property
    def starved(self) -> float:
        """The worst receipt by the median."""
        receipts = [one.receipt_s for one in self.walked]
        return max(receipts) / median(receipts)


async def crowd(folder: Path, payments: int, *, links: int = LINKS, seed: int = 1) -> Crowded:
    """Ledgers of so many payments, a new wallet's each."""
    random = Random(seed)
    async with street(folder, seed, max_links=links) as at:
        wallets = [at.wallet(f"crowd {seed} {n}", payments) for n in range(PHONES)]
        timing = RadioTiming(supervision_s=NOTICED_S)
        phones = [at.phone(who, Traits(random.choice(MTUS), timing=timing)) for who in wallets]
        walked = await asyncio.gather(
            *(
                walk(phone, who, Random(seed + n))
                for n, (phone, who) in enumerate(zip(phones, wallets, strict=True))
            )
        )
        return await audit(at, wallets, tuple(walked))


async def audit(at: Street, wallets: list[PhoneWallet], walked: tuple[Walked, ...]) -> Crowded:
    """Once everything is with the coordinator."""
    await at.watch.until(lambda: at.watch.gateway_size == at.watch.held[0] >= len(wallets))
    snapshots = (await at.watch.accepted())["snapshots"]
    heard = [len(snapshots[content.hex()]["heard"]) for who in wallets for content in who.contents]
    figures = await at.figures()
    return Crowded(
        walked=walked,
        accepted=sum(who.counts["accepted"] for who in wallets),
        logged_once=heard.count(1),
        messages_heard=int(figures["gateway_radio_frames_total", "ok"]),
    )


async def walk(phone: Phone, who: PhoneWallet, random: Random) -> Walked:
    """Until the wallet believes its promise."""
    now = asyncio.get_running_loop().time
    began, size, sent, reached = now(), len(message_of(who)), 0, 0
    again: list[int] = []
    stops = sorted(random.sample(range(1, size - 1024), CUTS))
    while not who.counts["accepted"]:
        stop = stops.pop(0) if stops else None
        phone.cut_after = None if stop is None else max(1, stop - reached)
        try:
            await phone.visit()
        except PhoneError:
            phone.come_back()
        sent += phone.newest.sent_bytes
        if phone.newest.resumed_at and reached:
            again.append(reached - phone.newest.resumed_at[0])
        reached = (phone.newest.resumed_at or [reached])[0] + phone.newest.sent_bytes
    return Walked(size, sent, tuple(again), now() - began)


def message_of(who: PhoneWallet) -> bytes:
    """What it will hand over: the same bytes until its ledger grows."""
    message = who.next_message()
    if message is None:
        raise ValueError("a wallet with nothing to hand over")
    return message


def told(name: str, result: Crowded) -> list[Figure]:
    """Beside what the issue asks of them."""
    return [
        Figure(f"{name}: accepted, of {PHONES}", "", result.accepted, PHONES, "more"),
        Figure(f"{name}: in the log once", "", result.logged_once, PHONES, "more"),
        Figure(f"{name}: messages that arrived whole", "", result.messages_heard),
        Figure(f"{name}: sent again after a cut, worst", "B", result.worst_again, WINDOW),
        Figure(f"{name}: worst receipt", "s", max(one.receipt_s for one in result.walked)),
        Figure(f"{name}: worst receipt", "medians", result.starved, 5.0),
    ]


def figures(quick: bool) -> list[Figure]:
    """With a link for each, and with eight."""
    payments = 80 if quick else 800
    found: list[Figure] = []
    for links in (LINKS, 8):
        with tempfile.TemporaryDirectory(prefix="offgrid-crowd-") as folder:
            result = asyncio.run(crowd(Path(folder), payments, links=links))
        found += told(f"{PHONES} phones on {links} links, {result.walked[0].size // 1000} kB", result)
    return found
