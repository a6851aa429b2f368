"""What a daemon costs that has nothing to do: start, memory, processor, wake-ups, bytes to disk.

    python -m benchmarks idle

The daemon is the real one, with LoRa, HTTP and metrics, connected to the reference coordinator, in the
environment that its systemd unit gives it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figure import Figure
from gateway.keys.generate import make_keys
from simulators.coordinator import Coordinator

GATEWAY = "gw_idle"
SETTLE_S = 5.0
STARTS = 3
"""Before the one that is looked at; the quickest counts, for a busy machine slows some of them."""
MIB = 1 << 20
UNIT = Path(__file__).parent.parent / "systemd" / "offgrid-gateway.service"

CONFIG = """
gateway: {{id: {gateway}, location: {{lat: 0.0, lon: 0.0, name: bench}}, type: lora}}
network: {{api_url: "{api}", ws_url: "{ws}", coordinator_key: "{vkey}"}}
lora: {{frequency: 868, region: EU868, options: {{host: 127.0.0.1, port: 0}}}}
storage: {{path: gateway.db, min_free_mb: 1}}
security: {{private_key_path: gateway.key, certificate_path: gateway.crt}}
http: {{host: 127.0.0.1, port: 0}}
metrics: {{host: 127.0.0.1, port: 0}}
runtime_dir: run
"""


@dataclass(frozen=True, slots=True)
class Usage:
    """What the kernel has counted of a process, proc(5)."""

    at_s: float
    cpu_s: float
    wakeups: int
    written: int

    @classmethod
    def of(cls, pid: int) -> Usage:
        folder = Path(f"/proc/{pid}")
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        switches = sum(_named(task / "status", "voluntary_ctxt_switches") for task in folder.glob("task/*"))
        return cls(time.monotonic(), cpu_s, switches, _named(folder / "io", "write_bytes"))


def rss_bytes(pid: int) -> int:
    """What of a process is in memory now."""
    return _named(Path(f"/proc/{pid}/status"), "VmRSS") * 1024


def _named(path: Path, name: str) -> int:
    lines = (line.split() for line in path.read_text().splitlines())
    return next(int(words[1]) for words in lines if words[0] == f"{name}:")


async def measure(seconds: float) -> list[Figure]:
    """Run a daemon that has nothing to do for ``seconds`` and look at it from outside."""
    with tempfile.TemporaryDirectory(prefix="offgrid-idle-") as folder:
        root = Path(folder)
        made = make_keys(root / "gateway.key", root / "gateway.crt", GATEWAY)
        async with Coordinator(db=root / "coordinator.db", token="unused") as coordinator:  # noqa: S106 - nobody else
            await coordinator.register(GATEWAY, made.identity.public_key)
            config = root / "config.yml"
            config.write_text(
                CONFIG.format(
                    gateway=GATEWAY, api=coordinator.api_url, ws=coordinator.ws_url, vkey=coordinator.vkey
                )
            )
            starts = []
            for _ in range(STARTS):  # the first one compiles bytecode and makes the database
                async with daemon(config) as (_, ready_s):
                    starts.append(ready_s)
            async with daemon(config) as (process, ready_s):
                await coordinator.until(lambda counts: bool(counts["gateways"][GATEWAY]["connected"]))
                await asyncio.sleep(SETTLE_S)
                before = Usage.of(process.pid)
                await asyncio.sleep(seconds)
                ready_s = min(*starts, ready_s)
                return _figures(process.pid, ready_s, before, Usage.of(process.pid))


def _figures(pid: int, ready_s: float, before: Usage, after: Usage) -> list[Figure]:
    took = after.at_s - before.at_s
    return [
        Figure("ready", "s", ready_s, 1.0),
        Figure("idle memory (RSS)", "MiB", rss_bytes(pid) / MIB, 55.0),
        Figure("idle processor", "%", 100 * (after.cpu_s - before.cpu_s) / took, 0.5),
        Figure("idle wake-ups", "1/s", (after.wakeups - before.wakeups) / took, 20.0),
        Figure("idle writes", "MB/day", (after.written - before.written) / took * 86_400 / 1e6, 10.0),
    ]


def unit_environment() -> dict[str, str]:
    """The unit's ``Environment=`` lines, of one variable each."""
    lines = (line.partition("Environment=") for line in UNIT.read_text().splitlines())
    settings = (value.partition("=") for before, found, value in lines if found and not before)
    return {name: value for name, _, value in settings}


@asynccontextmanager
async def daemon(config: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, float]]:
    """The daemon and the seconds until it said that it listens everywhere."""
    began = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "run", "--config", str(config)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **unit_environment()},
    )
    assert process.stderr is not None  # noqa: S101 - asked for
    listening: set[str] = set()
    async for line in process.stderr:
        said = json.loads(line)
        if said["message"] == "listening":
            listening.add(said["server"])
        if listening == {"http", "metrics"}:
            break
    ready_s = time.monotonic() - began
    reading = asyncio.create_task(process.stderr.read())
    try:
        yield process, ready_s
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
        await reading


def figures(quick: bool) -> list[Figure]:
    """Half a minute of nothing to do, or a few seconds."""
    return asyncio.run(measure(5.0 if quick else 30.0))
