"""Reads how every part fares, scores it, and says so when the score changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from drivers.base import DriverStats
from gateway.clock import Clock
from gateway.core.health import Health
from gateway.core.vitals import (
    BackupVitals,
    Circumstances,
    GpsVitals,
    LinkVitals,
    LoraVitals,
    MachineVitals,
    Part,
    RadioVitals,
    StoreVitals,
    Vitals,
    fault_of,
    judge,
    works,
)
from gateway.model import Figures, Stamp
from gateway.store import Store

log = logging.getLogger(__name__)

KEPT_FOR = 50
"""A reading is kept so many times as long as it took, so asking often takes a fiftieth of the store at most.
With a long backlog it takes longer: the store counts what is not acked."""
LONGEST_KEPT_S = 10.0
PERIOD_S = 10.0
CALM = {("time_untrusted", 5), ("link_down", 5), ("region_unset", 5)}
"""Deductions, with their points, that mend themselves or are so by choice: every start has some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """Where the figures come from; each is asked anew for every reading, from the event loop."""

    gateway_id: str
    version: str
    store: Store
    free_bytes: Callable[[], int]
    disk_floor: int
    now: Callable[[], Stamp]
    parts: Callable[[], Mapping[str, Part]]
    radios: Callable[[], Mapping[str, DriverStats]]
    """Of every configured radio, by the name of its service."""
    lora: Callable[[], Mapping[str, LoraVitals]]
    link: Callable[[], LinkVitals]
    circumstances: Callable[[], Circumstances]
    gps: Callable[[], GpsVitals | None] = lambda: None
    machine: Callable[[], MachineVitals | None] = lambda: None
    backup: Callable[[], BackupVitals | None] = lambda: None
    slow: Callable[[], Mapping[str, int]] = dict


class Monitor:
    """The newest reading, for pages, metrics, heartbeats and the control socket."""

    def __init__(self, sources: Sources, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._started = clock.monotonic()
        self._reading = asyncio.Lock()
        self._read_again_at = float("-inf")
        self._before: Figures | None = None
        self._disk_fails = False
        self.latest: Vitals | None = None

    async def read(self) -> Vitals:
        """A few milliseconds old at most while the backlog is short, ten seconds in any case."""
        async with self._reading:
            now = self._clock.monotonic()
            if self.latest is None or now >= self._read_again_at:
                self.latest = await self._read(now)
                took = self._clock.monotonic() - now
                self._read_again_at = now + min(KEPT_FOR * took, LONGEST_KEPT_S)
            return self.latest

    async def watch(self, changed: Callable[[Vitals], None]) -> None:
        """Read every ten seconds until cancelled; tell the log and ``changed`` when health is another."""
        codes: frozenset[str] | None = None
        while True:
            vitals = await self.read()
            now = frozenset(deduction.code for deduction in vitals.health.deductions)
            if now != codes:
                say(vitals.health)
                changed(vitals)
                codes = now
            await self._clock.sleep(PERIOD_S)

    async def _read(self, now: float) -> Vitals:
        sources = self._sources
        store = await self._store(now)
        parts, stamp = sources.parts(), sources.now()
        machine = sources.machine()
        link = _halted(sources.link(), parts)
        lora = sources.lora()
        radios = {
            name: RadioVitals(works=works(parts[name], stats), stats=stats, lora=lora.get(name))
            for name, stats in sources.radios().items()
        }
        heard = {name: radio.works for name, radio in radios.items()} or _http_alone(parts)
        faults = {
            name: fault_of(parts[name], radio.stats) for name, radio in radios.items() if not radio.works
        }
        return Vitals(
            gateway_id=sources.gateway_id,
            version=sources.version,
            uptime_s=now - self._started,
            stamp=stamp,
            parts=parts,
            store=store,
            link=link,
            radios=radios,
            gps=sources.gps(),
            machine=machine,
            backup=sources.backup(),
            slow=sources.slow(),
            health=judge(
                parts,
                store,
                link,
                heard,
                faults,
                stamp.quality,
                _with_traffic(sources.circumstances(), machine),
            ),
        )

    async def _store(self, now: float) -> StoreVitals:
        sources = self._sources
        head = await sources.store.head()
        latency_s = self._clock.monotonic() - now
        figures = await sources.store.figures()
        free = sources.free_bytes()
        return StoreVitals(
            head=head,
            figures=figures,
            latency_s=latency_s,
            free_disk=free,
            disk_floor=sources.disk_floor,
            refuses=self._refusal(figures, free),
        )

    def _refusal(self, figures: Figures, free: int) -> str | None:
        """Why the store takes nothing new: the floor, or a disk that failed and has taken nothing since."""
        before, self._before = self._before, figures
        if before is not None and figures.write_failures_since_opening > before.write_failures_since_opening:
            self._disk_fails = True
        elif before is not None and figures.commits_since_opening > before.commits_since_opening:
            self._disk_fails = False
        floor = self._sources.disk_floor
        if free < floor:
            return f"{free >> 20} MiB of disk free, {floor >> 20} must stay"
        return "the disk does not take what is written" if self._disk_fails else None


def _halted(link: LinkVitals, parts: Mapping[str, Part]) -> LinkVitals:
    """A link that could not even be built, for want of a key, waits for a person as one that was told off."""
    part = parts.get("link")
    if part is None or part.state != "halted" or link.halted is not None:
        return link
    return replace(link, halted=part.reason)


def _http_alone(parts: Mapping[str, Part]) -> dict[str, bool]:
    """HTTP is no radio and does not stand in for a dead one; without any radio it is the one way in."""
    return {"http": parts["http"].state == "running"} if "http" in parts else {}


def _with_traffic(known: Circumstances, machine: MachineVitals | None) -> Circumstances:
    return known if machine is None else replace(known, traffic_used=machine.traffic.used)


def say(health: Health) -> None:
    """To the log: a warning, unless all that there is to tell is calm."""
    warns = any((one.code, one.points) not in CALM for one in health.deductions)
    log.log(
        logging.WARNING if warns else logging.INFO,
        "health",
        extra={"score": health.score, "reasons": "; ".join(health.reasons)},
    )
