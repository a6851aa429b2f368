"""Phones that misbehave and controllers that die, beside phones that do neither: counted, named, bounded.

    python -m benchmarks ble_misdeeds

The real daemon behind a UART of 1 Mbaud. Six phones hand over small ledgers without a pause, each time a new
wallet's, first undisturbed, then beside each culprit until the daemon has counted and named it. Of an honest
contact the time from the ledger's first byte to the promise is told; with the controller dead none is.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from benchmarks.ble_street import ADVERTISING, LINKS, Figures, Street, street
from benchmarks.figure import Figure
from benchmarks.idle import MIB, rss_bytes
from simulators.phones.call import PhoneError
from simulators.phones.misdeeds import Misdeed
from simulators.phones.phone import Phone, Traits
from simulators.phones.timing import RadioTiming

HONEST = 6
IDLE_S, WATCHDOG_S, SILENT_S = 3, 1, 1.0
FRAMES, TRANSMITS = "gateway_radio_frames_total", "gateway_radio_transmits_total"
GAUGE, RESTARTS = "gateway_radio_driver_figure", "gateway_service_restarts_total"
HELD_BYTES = 16 << 20  # of unfinished transfers: drivers.ble.transfer.TransferLimits
GROWTH = 8 * MIB  # of the daemon, over all misdeeds, beyond what as many honest contacts make it grow

CLOSED, REFUSED = "a phone is closed for misconduct", "a piece is refused"


@dataclass(frozen=True, slots=True)
class Deed:
    """What a culprit does, under which word the daemon counts it and what it says of it."""

    misdeed: Misdeed
    counted: str
    named: str


DEEDS = (
    Deed(Misdeed.FLOOD, "expelled", CLOSED),
    Deed(Misdeed.MALFORMED, "expelled", CLOSED),
    Deed(Misdeed.START_AND_STOP, "idle", "a phone is closed: nothing useful came of it"),
    Deed(Misdeed.OVERSIZED, "too_large", REFUSED),
    Deed(Misdeed.CORRUPT, "corrupt", REFUSED),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """One misdeed: how the honest fared before it and meanwhile (seconds), and the radio's figures after."""

    name: str
    times: int
    before_s: tuple[float, ...]
    receipts_s: tuple[float, ...]
    figures: Figures
    grown: int  # bytes of the daemon, more than before


class Errands:
    """Honest phones, as long as the block lasts and for ``least`` contacts in all; 0: none at all."""

    def __init__(self, at: Street, phones: Sequence[Phone], least: int) -> None:
        self._at = at
        self._phones = phones
        self._least = least
        self._ending = False
        self.receipts_s: list[float] = []

    async def __aenter__(self) -> Errands:
        self._walks = [asyncio.create_task(self._walk(phone)) for phone in self._phones]
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *failed: object) -> None:
        self._ending = True
        if kind is not None:
            for walk in self._walks:
                walk.cancel()
        await asyncio.gather(*self._walks)

    async def _walk(self, phone: Phone) -> None:
        while self._least and (not self._ending or len(self.receipts_s) < self._least):
            who = self._at.stranger(payments=2)
            phone.hand_over_for(who.next_message, who.on_answer)
            while not who.counts["accepted"]:
                with suppress(PhoneError):  # the controller is dead: it comes again
                    self.receipts_s += (await phone.visit()).answer_s
            if who.counts["accepted"] != 1 or who.counts["disbelieved"]:
                raise RuntimeError(f"an honest phone was answered {dict(who.counts)}")


@dataclass(frozen=True, slots=True)
class Pace:
    """How many honest phones there are, and how many contacts of theirs at the least."""

    phones: int
    before: int
    meanwhile: int


async def play(folder: Path, pace: Pace, *, hang: bool) -> list[Seen]:
    """Every misdeed in turn. ``hang``: the controller falls silent too, not only goes away."""
    options = {"max_links": LINKS, "idle_timeout_s": IDLE_S, "watchdog_s": WATCHDOG_S}
    async with street(folder, 1, **options) as at:
        mtus = islice(cycle((185, 247, 517)), pace.phones)
        honest = [at.phone(at.stranger(payments=2), Traits(mtu)) for mtu in mtus]
        async with Errands(at, honest, pace.before):
            pass  # the daemon's caches fill
        seen = []
        for deed in DEEDS:
            seen += [await beside(at, honest, pace, deed.misdeed.name.lower(), _culprit(deed))]
        seen.append(await beside(at, honest, pace, "vanished with an answer pending", vanish))
        seen.append(await beside(at, honest, pace, "controller pulled out", pull_out))
        if hang:
            seen.append(await beside(at, honest, pace, "controller silent", fall_silent))
        return seen


async def beside(
    at: Street, honest: Sequence[Phone], pace: Pace, name: str, deed: Callable[[Street], Awaitable[int]]
) -> Seen:
    """The honest at their errands until it is counted and named; and just before, for the comparison."""
    sizes = [rss_bytes(at.here.daemon.pid)]
    async with Errands(at, honest, pace.before) as undisturbed:
        pass
    sizes.append(rss_bytes(at.here.daemon.pid))
    async with Errands(at, honest, pace.meanwhile) as errands:
        times = await deed(at)
    figures = await at.until(lambda figures: not figures[GAUGE, "pending_transmits"])
    sizes.append(rss_bytes(at.here.daemon.pid))
    grown = sizes[2] - sizes[1] - (sizes[1] - sizes[0])
    return Seen(name, times, tuple(undisturbed.receipts_s), tuple(errands.receipts_s), figures, grown)


def _culprit(deed: Deed) -> Callable[[Street], Awaitable[int]]:
    async def act(at: Street) -> int:
        counted = (FRAMES, deed.counted)
        before = (await at.figures()).get(counted, 0)
        phone = at.phone(at.wallet(deed.misdeed.name, 5), Traits())
        while (after := (await at.figures()).get(counted, 0)) == before:
            with suppress(PhoneError):  # whether it notices in the middle of a write, or is turned away
                await phone.visit(misdeed=deed.misdeed)
        await at.said(deed.named, peer=phone.address)
        return int(after - before)

    return act


async def vanish(at: Street) -> int:
    """All its bytes are there, and it is out of range before the long answer to its JSON has gone to it."""
    counted = (TRANSMITS, "no_route")
    before = (await at.figures()).get(counted, 0)
    who = at.wallet("vanish", 5, as_json=True)
    phone = at.phone(who, Traits(23, with_response=True, timing=RadioTiming(supervision_s=SILENT_S)))
    phone.cut_after = len(who.next_message() or b"")
    with suppress(PhoneError):
        await phone.visit()
    await at.until(lambda figures: figures.get(counted, 0) > before)
    await at.said("a phone left", peer=phone.address, unsent=1)
    return 1  # the honest do not stay for notices, and are counted there as well


async def pull_out(at: Street) -> int:
    """And plug in again, once the daemon has noticed."""
    return await _lost(at, "gone", at.port.unplug, at.port.plug)


async def fall_silent(at: Street) -> int:
    """It is there and answers nothing, until the watchdog has noticed."""

    async def hang() -> None:
        at.port.port.hang()

    return await _lost(at, "answer", hang, at.port.port.revive)


async def _lost(at: Street, word: str, die: Callable[[], Awaitable[None]], live: Callable[[], None]) -> int:
    opened = len(at.lines(ADVERTISING))
    failed = len(at.lines("service failed, will restart", service="ble"))
    before = (await at.figures())[RESTARTS,]
    await die()
    line = await at.said("service failed, will restart", failed, service="ble")
    if word not in line["reason"]:
        raise RuntimeError(f"the daemon says {line['reason']!r}, and not {word!r}")
    live()
    await at.said(ADVERTISING, opened)
    after = await at.until(lambda figures: figures[RESTARTS,] > before)
    return int(after[RESTARTS,] - before)


def told(seen: Sequence[Seen]) -> list[Figure]:
    """Limits: what stays bounded, and honest receipts no slower than twice the undisturbed."""
    found = []
    for one in seen:
        usual, meanwhile = median(one.before_s), median(one.receipts_s)
        limit = None if one.name.startswith("controller") else 2.0
        held = one.figures[GAUGE, "held_bytes"] / MIB
        found += [
            Figure(f"{one.name}: counted and named", "times", one.times, 1, "more"),
            Figure(f"{one.name}: others served meanwhile", "", len(one.receipts_s)),
            Figure(
                f"{one.name}: their receipts, {usual * 1e3:.0f} ms before", "times", meanwhile / usual, limit
            ),
            Figure(f"{one.name}: the worst of them", "ms", max(one.receipts_s) * 1e3),
            Figure(f"{one.name}: held afterwards", "MiB", held, HELD_BYTES / MIB),
        ]
    grown = sum(one.grown for one in seen)
    return [*found, Figure("the daemon grew by, beside the honest", "MiB", grown / MIB, GROWTH / MIB)]


def figures(quick: bool) -> list[Figure]:
    """All of them."""
    n = 30 if quick else 300
    with tempfile.TemporaryDirectory(prefix="offgrid-misdeeds-") as folder:
        return told(asyncio.run(play(Path(folder), Pace(HONEST, n, n), hang=True)))
