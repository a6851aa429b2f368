"""The whole play: start, pay, cut, mend, settle, prove, audit."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from random import Random

import aiohttp

from simulators.air.air import Air
from simulators.air.handset import places
from simulators.air.law import HYBRID_WINDOW_US
from simulators.air.propagation import LogDistance
from simulators.demo.board import Board, board, over, until
from simulators.demo.carriers import Carrier, Forger, LoraCarrier, PhoneCarrier, Tally, session
from simulators.demo.children import Child, Failed
from simulators.demo.house import ORIGIN, House, house
from simulators.demo.market import Market
from simulators.demo.report import Held, Report, failures, radio_report
from simulators.demo.screen import Moment, RadioRow, Screen
from simulators.demo.street import BleCarrier, Street
from simulators.demo.telephones import Exchange, TextCarrier, pass_on
from simulators.demo.timetable import ACKS_S, PROOFS_S, SETTLE_S, Timetable
from simulators.demo.watch import LinkNews, Watch
from simulators.lora.device import Medium
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder, UdpFaults
from simulators.lora.plans import US915
from simulators.lora.windows import DeviceTiming
from simulators.wallets import Season, Wallet

HANDHELDS, VILLAGERS, PASSERS_BY, TEXTERS, PHONES = 4, 3, 6, 3, 11
PAYMENT_EVERY_S = 0.2
FORGERY_EVERY_S = 2.0
LOOK_EVERY_S = 0.25
AIR_LOSS = 0.015
UDP = UdpFaults(lose=0.005, double=0.02, delay=0.02)
FORWARDER = bytes.fromhex("b827ebfffe0d3a01")
PROOFS = {"lora": 1, "village": 1, "ble": 3, "gsm": 1, "http": 5}
"""Inclusion proofs asked for: by LoRa each takes several frames both ways, by text five messages."""

TELL_AFTER_S = 2
"""Of a coordinator out of reach, before it is told by text message."""

ALARMING = frozenset({"warning", "error", "critical"})

RADIUS_KM = 1.5
"""Handhelds stand where SF7 will do: what is lost there collided, or came while the gateway sent."""

IMPATIENT = DeviceTiming(common_open_s=2.4, common_close_s=2.5)
"""Nobody at a demo waits 20 s for a device that heard nothing: it asks again after RX2, then again when
the gateway would repeat an answer (after 5 s; docs/protocol/lora.md)."""


async def play(folder: Path, timetable: Timetable, seed: int, screen: Screen) -> Report:
    """Raises `Failed` when a process fails; the report otherwise, whatever it says."""
    async with AsyncExitStack() as stack:
        concentrator = await stack.enter_async_context(board(folder))
        street = await stack.enter_async_context(Street(seed).open())
        exchange = await stack.enter_async_context(Exchange(folder, seed).open())
        sections = radios(concentrator, street, exchange)
        here = await stack.enter_async_context(house(folder, Random(seed), None, **sections))
        http = await stack.enter_async_context(session())
        air = await stack.enter_async_context(over(concentrator, Random(seed + 1), AIR_LOSS, IMPATIENT))
        ether = Ether(US915, Random(seed + 2), AIR_LOSS, AIR_LOSS, IMPATIENT)
        forwarder = SimForwarder(FORWARDER, here.gwmp, ether, Random(seed + 3), faults=UDP)
        await stack.enter_async_context(forwarder)
        await until(forwarder.pulled.is_set, "the gateway did not answer the village's packet forwarder")
        start_ms = time.time_ns() // 1_000_000 - 7 * 86_400_000
        wallets = HANDHELDS + VILLAGERS + PASSERS_BY + TEXTERS + PHONES
        season = Season(wallets, seed, start_ms=start_ms)
        carriers, forger = _carriers(here, season, air, ether, street, exchange, http, Random(seed))
        market, watch = Market(season, carriers), Watch(here, http)
        stage = Stage(here, concentrator, timetable, market, forger, exchange, watch, screen)
        return await stage.run(seed)


def radios(concentrator: Board, street: Street, exchange: Exchange) -> dict[str, Mapping[str, object]]:
    """A concentrator, a dongle and a modem of our own, and a village that kept its packet forwarder."""
    return {
        "lora": {
            "frequency": 915,
            "region": "US915",
            "tx_power": 27,
            "driver": "lora_sx1301",
            "options": concentrator.options(),
        },
        "ble": {"controller": street.controller},
        "gsm": exchange.options(TELL_AFTER_S),
        "radios": {"village": {"driver": "lora_gwmp", "options": {"port": 0}}},
    }


def _carriers(
    here: House,
    season: Season,
    air: Air,
    ether: Ether,
    street: Street,
    exchange: Exchange,
    http: aiohttp.ClientSession,
    random: Random,
) -> tuple[Mapping[str, Sequence[Carrier]], Forger]:
    """Each wallet's way to the gateway, by radio; and who hands in what others have made."""

    def now_ms() -> int:
        return season.now_ms

    def lora(wallet: Wallet, medium: Medium) -> LoraCarrier:
        return LoraCarrier(wallet, here.gateway_key, ORIGIN, medium, random, now_ms)

    wallets = iter(season.wallets)
    handhelds, villagers, passers_by, texters, phones = (
        list(islice(wallets, count)) for count in (HANDHELDS, VILLAGERS, PASSERS_BY, TEXTERS, PHONES)
    )
    spots = places([7] * HANDHELDS, LogDistance(), random, radius_km=RADIUS_KM)
    mediums = [
        air.handset(one.device_id, spot, HYBRID_WINDOW_US) for one, spot in zip(handhelds, spots, strict=True)
    ]
    carriers: dict[str, list[Carrier]] = {
        "lora": [lora(one, medium) for one, medium in zip(handhelds, mediums, strict=True)],
        "village": [lora(one, ether) for one in villagers],
        "ble": [
            BleCarrier(number, one, here.gateway_key, street, random, now_ms)
            for number, one in enumerate(passers_by)
        ],
        "gsm": [
            TextCarrier(number, one, here.gateway_key, exchange.network, now_ms)
            for number, one in enumerate(texters)
        ],
        "http": [PhoneCarrier(one, here.gateway_key, http, here.http, now_ms) for one in phones],
    }
    return carriers, Forger(phones, here.gateway_key, http, here.http, now_ms)


class Stage:
    """One run; owned by its task."""

    def __init__(
        self,
        here: House,
        concentrator: Board,
        timetable: Timetable,
        market: Market,
        forger: Forger,
        exchange: Exchange,
        watch: Watch,
        screen: Screen,
    ) -> None:
        self._house = here
        self._processes = (here.coordinator, here.daemon, concentrator.process)
        self._times = timetable
        self._market = market
        self._forger = forger
        self._exchange = exchange
        self._watch = watch
        self._screen = screen
        self._began = time.monotonic()
        self._cut_at: float | None = None
        self._down_s = 0.0
        self._backlog_most = 0
        self._cheats = 0
        self._texts_believed = 0
        self._link = LinkNews()

    async def run(self, seed: int) -> Report:
        """From the first payment to the report."""
        self._began = time.monotonic()
        self._say(f"coordinator, gateway and its radios are up; logs are in {self._house.folder}")
        async with self._attended():
            settled = await self._in_time(self._times.deadline, self._act())
            if settled:
                self._say("every wallet is done; waiting for the coordinator to hold it all")
            else:
                self._say(f"after {SETTLE_S:.0f} s not every wallet is done; it is reported as it stands")
            if await self._in_time(self._at() + ACKS_S, self._held()):
                self._say(f"the coordinator has cosigned all {self._watch.gateway_size} entries")
            else:
                self._say(f"after {ACKS_S:.0f} s the coordinator does not hold all; see the logs")
            proofs = await self._prove()
            # What a wallet that was not done had in the air may have come in since.
            await self._in_time(self._at() + ACKS_S, self._held())
            return await self._audit(seed, settled, proofs)

    async def _in_time(self, deadline_s: float, doing: Awaitable[None]) -> bool:
        """Whether it was done by then."""
        try:
            async with asyncio.timeout(max(0.0, deadline_s - self._at())):
                await doing
        except TimeoutError:
            return False
        return True

    @asynccontextmanager
    async def _attended(self) -> AsyncIterator[None]:
        """While the block runs, the screen is drawn; a process that ends early ends the play."""
        me = asyncio.current_task()
        dead: list[Child] = []

        async def attend(one: Child) -> None:
            await one.ended()
            dead.append(one)
            if me is not None:
                me.cancel()

        tasks = [asyncio.create_task(attend(one)) for one in self._processes]
        tasks += [asyncio.create_task(self._look()), asyncio.create_task(self._pass_on_texts())]
        try:
            yield
        except asyncio.CancelledError:
            if not dead:
                raise
            raise Failed(f"{dead[0].name} ended in the middle of the play; see {dead[0].log}") from None
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _act(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            forging = tasks.create_task(self._forge(), name="forger")
            for group in self._market.carriers.values():
                for carrier in group:
                    tasks.create_task(self._market.serve(carrier))
            tasks.create_task(self._pay(), name="market")
            tasks.create_task(self._break(), name="backhaul")
            await self._until(self._times.cheat)
            cheat, first, second = await self._market.cheat()
            self._cheats += 1
            self._say(f"{cheat.device_id} pays {first.device_id} and {second.device_id} with one nonce")
            await self._leave()
            await self._until(self._times.stop)
            self._say("the market closes: every wallet hands over what is left")
            await self._market.close()
            forging.cancel()

    async def _leave(self) -> None:
        handhelds = self._market.carriers["lora"]
        for number, handheld in enumerate(handhelds):
            await self._until(self._times.leaves(number, len(handhelds)))
            await self._market.leave(handheld.wallet)
        self._say("the handhelds have left the market, one by one, and hand over what is left")

    async def _pay(self) -> None:
        while self._at() < self._times.stop:
            await self._market.pay()
            await asyncio.sleep(PAYMENT_EVERY_S)

    async def _forge(self) -> None:
        while True:
            await asyncio.sleep(FORGERY_EVERY_S)
            await self._forger.hand_over()

    async def _break(self) -> None:
        await self._until(self._times.cut)
        self._cut_at = self._at()
        await self._house.backhaul.cut()
        self._say("the backhaul is cut; wallets go on")
        await self._until(self._times.mend)
        await self._watch.look()
        self._tell_link()
        self._down_s = self._at() - self._cut_at
        self._cut_at = None
        self._house.backhaul.mend()
        self._say(f"the backhaul is back after {self._down_s:.1f} s; {self._watch.backlog} entries wait")

    async def _held(self) -> None:
        watch = self._watch
        await watch.until(lambda: watch.held == (watch.gateway_size, watch.gateway_root))

    async def _prove(self) -> list[bool | None]:
        """A sample of inclusion proofs, by the radio that each content came by."""
        async with asyncio.TaskGroup() as tasks:
            asked = [tasks.create_task(self._prove_by(radio)) for radio in self._market.carriers]
        proofs = [proof for task in asked for proof in task.result()]
        self._say(f"{proofs.count(True)} of {len(proofs)} inclusion proofs verify")
        return proofs

    async def _prove_by(self, radio: str) -> list[bool | None]:
        """One after the other, as the air allows; None for one that did not come in time."""
        asking = [one for one in self._market.carriers[radio] if one.tally().promises][: PROOFS[radio]]
        proofs: list[bool | None] = [None] * len(asking)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PROOFS_S):
                for at, carrier in enumerate(asking):
                    content = carrier.tally().promises[0].content
                    proofs[at] = await carrier.prove(content, self._house.coordinator_key)
        return proofs

    async def _pass_on_texts(self) -> None:
        """What the gateway texts to the coordinator's number while nothing else gets through."""
        here = self._house
        async with session() as http:
            while True:
                size = await pass_on(await self._exchange.texts.get(), http, here.api_url, here.token)
                if size is not None:
                    self._texts_believed += 1
                    self._say(f"by text message the coordinator knows the root of {size} entries")

    async def _look(self) -> None:
        """The screen, and in words what changed since the last look."""
        conflicts, told = 0, 0
        while True:
            await self._watch.look()
            told = self._pass_on(told)
            self._backlog_most = max(self._backlog_most, self._watch.backlog)
            self._tell_link()
            if self._watch.conflicts > conflicts:
                conflicts = self._watch.conflicts
                self._say("a double spend is seen, the evidence is kept")
            self._screen.draw(self._moment())
            await asyncio.sleep(LOOK_EVERY_S)

    def _tell_link(self) -> None:
        watch, cut = self._watch, self._cut_at is not None
        if words := self._link.words(watch.link, watch.link_reason, watch.link_faults, cut):
            self._say(words)

    def _pass_on(self, told: int) -> int:
        """What the daemon's log warns of; how many of its lines are told now."""
        lines = self._house.daemon.lines
        for line in lines[told:]:
            if line.get("level") in ALARMING and line.get("message") != "health":
                about = line.get("service", ""), line.get("reason", "")
                self._say(f"the gateway warns: {line.get('message')} {' '.join(map(str, about))}".rstrip())
        return len(lines)

    def _moment(self) -> Moment:
        at = self._at()
        return Moment(
            at,
            self._times.seconds,
            self._cut_at is None,
            0.0 if self._cut_at is None else at - self._cut_at,
            self._watch.link,
            self._watch.health,
            self._watch.gateway_size,
            min(self._watch.held[0], self._watch.gateway_size),
            len(self._market.paid),
            [
                self._row("lora", "US915, its concentrator", f"{self._watch.frames('lora')} frames"),
                self._row("village", "US915, packet forwarder", f"{self._watch.frames('village')} frames"),
                self._row("ble", "phones passing by", f"{self._watch.frames('ble')} messages"),
                self._row("gsm", "feature phones, by text", f"{self._watch.frames('gsm')} messages"),
                self._row("http", "phones on its Wi-Fi", "uploads"),
            ],
        )

    def _row(self, radio: str, how: str, heard: str) -> RadioRow:
        tally = self._tally(radio)
        refused = sum(tally.refused.values())
        wallets = len(self._market.carriers[radio])
        return RadioRow(radio, how, wallets, tally.sent, len(tally.promises), refused, heard)

    def _tally(self, radio: str) -> Tally:
        whole = Tally()
        for carrier in self._market.carriers[radio]:
            whole.add(carrier.tally())
        if radio == "http":
            whole.add(self._forger.tally())
        return whole

    async def _audit(self, seed: int, settled: bool, proofs: Sequence[bool | None]) -> Report:
        paid = self._market.paid
        held = Held(await self._watch.accepted(), paid.values())
        tallies = {radio: self._tally(radio) for radio in self._market.carriers}
        size, root = self._watch.held
        report = Report(
            seconds=round(self._at(), 1),
            seed=seed,
            settled=settled,
            radios=[
                radio_report(radio, len(self._market.carriers[radio]), tally, held)
                for radio, tally in tallies.items()
            ],
            payments=len(paid),
            payments_verified_by_coordinator=sum(
                held.transactions.get(identity.hex(), {}).get("state") == "verified" for identity in paid
            ),
            payments_stored_twice=sum(
                held.transactions.get(identity.hex(), {}).get("objects", 0) > 1 for identity in paid
            ),
            entries=self._watch.gateway_size,
            entries_at_coordinator=size,
            root=self._watch.gateway_root,
            roots_equal=(size, root) == (self._watch.gateway_size, self._watch.gateway_root),
            promises_verified=sum(len(tally.promises) for tally in tallies.values()),
            promises_failed=sum(tally.disbelieved for tally in tallies.values()),
            proofs_asked=len(proofs),
            proofs_verified=sum(one is True for one in proofs),
            proofs_failed=sum(one is False for one in proofs),
            double_spends_made=self._cheats,
            forgeries_refused=sum(self._forger.tally().refused.values()),
            conflicts_kept=self._watch.conflicts,
            checkpoints_by_text=self._texts_believed,
            backhaul_down_s=round(self._down_s, 2),
            backlog_most=self._backlog_most,
        )
        return replace(report, failures=failures(report))

    def _say(self, words: str) -> None:
        self._screen.event(self._at(), words)

    def _at(self) -> float:
        return time.monotonic() - self._began

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._at()))
