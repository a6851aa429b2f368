"""The machine's own figures, for metrics and status; and what its interfaces have carried, day by day.

Rule at the month's budget: sync goes on, for evidence is what the gateway is for. Whatever can wait asks
``over_budget`` and waits for the next month (backups to a store elsewhere do); health says it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.clock import Clock
from gateway.core import machine
from gateway.core.machine import MachineFigures
from gateway.core.traffic import Budget, Traffic, TrafficInvalid
from gateway.core.vitals import MachineVitals, TrafficVitals
from gateway.keys import durable
from gateway.model import Stamp

log = logging.getLogger(__name__)

LOOK_S = 60.0
KEEP_S = 3600.0
MAX_READ = 64 * 1024


@dataclass(frozen=True, slots=True)
class Kernel:
    """The files of ``root`` that the kernel makes up; ``folder`` is where the database stands."""

    folder: Path
    root: Path = Path("/")

    def figures(self) -> MachineFigures:
        """Some ten small reads of memory, 0.3 ms."""
        mount = machine.mount_of(self._read("proc/mounts"), str(self.folder.absolute()))
        disk = None if mount is None else machine.disk_of(self._device(mount[0]))
        meminfo = self._read("proc/meminfo")
        return MachineFigures(
            cpu_s=machine.cpu_seconds(self._read("proc/stat")),
            memory_total=machine.memory(meminfo, "MemTotal"),
            memory_available=machine.memory(meminfo, "MemAvailable"),
            temperature_c=machine.temperature(self._read("sys/class/thermal/thermal_zone0/temp")),
            throttled=machine.throttled(self._read("sys/devices/platform/soc/soc:firmware/get_throttled")),
            written=None if disk is None else machine.sectors_written(self._read(f"sys/block/{disk}/stat")),
            life_used=None
            if disk is None
            else machine.life_used(self._read(f"sys/block/{disk}/device/life_time")),
            read_only=None if mount is None else mount[1],
            interfaces=machine.interface_bytes(self._read("proc/net/dev")),
        )

    def _device(self, name: str) -> str:
        """``/dev/root`` and names by UUID lead to the partition."""
        path = self.root / name.lstrip("/")
        return path.resolve().name if path.is_symlink() else name

    def _read(self, name: str) -> str | None:
        try:
            with (self.root / name).open("rb") as file:
                return file.read(MAX_READ).decode("utf-8", "replace")
        except OSError:
            return None


class Machine:
    """Looks each minute, keeps the traffic each hour. Owned by the event loop."""

    def __init__(
        self,
        kernel: Kernel,
        path: Path,
        boot: str,
        budget: Budget | None,
        now: Callable[[], Stamp],
        clock: Clock,
    ) -> None:
        self._kernel, self._path, self._budget = kernel, path, budget
        self._now, self._clock = now, clock
        self._traffic = Traffic(boot)
        self._figures = MachineFigures()

    def vitals(self) -> MachineVitals:
        """As of the last look."""
        now_ms, budget = self._now().unix_ms, self._budget
        traffic = TrafficVitals(
            day_bytes=self._traffic.of_day(now_ms),
            month_bytes=None if budget is None else self._traffic.of_month(budget, now_ms),
            budget_bytes=None if budget is None else budget.month_bytes,
        )
        return MachineVitals(figures=self._figures, traffic=traffic)

    def over_budget(self) -> bool:
        """Whether what can wait waits for the next month."""
        return self.vitals().traffic.used >= 1.0

    async def run(self) -> None:
        """Look until cancelled; keep what was counted."""
        self._restore()
        keep_at = self._clock.monotonic() + KEEP_S
        try:
            while True:
                self._look()
                if self._clock.monotonic() >= keep_at:
                    await asyncio.to_thread(self._keep)
                    keep_at = self._clock.monotonic() + KEEP_S
                await self._clock.sleep(LOOK_S)
        finally:
            self._look()
            self._keep()

    def _look(self) -> None:
        self._figures = self._kernel.figures()
        self._traffic.observe(self._figures.interfaces, self._now().unix_ms)

    def _keep(self) -> None:
        try:
            durable.replace(self._path, json.dumps(self._traffic.kept()).encode(), mode=0o640)
        except OSError as error:  # the kernel still knows it, until the next boot
            log.warning("traffic cannot be kept", extra={"path": str(self._path), "reason": str(error)})

    def _restore(self) -> None:
        try:
            self._traffic.restore(json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return
        except (OSError, ValueError, TrafficInvalid) as error:
            log.warning("traffic is counted anew", extra={"path": str(self._path), "reason": str(error)})
