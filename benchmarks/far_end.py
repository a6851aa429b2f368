"""The reference coordinator as a process, on a core of its own where one is named."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

_START_S = 20.0


@dataclass(frozen=True, slots=True)
class FarEnd:
    """Where it listens, its key as a note verifier key, and whose process it is."""

    ws_url: str
    vkey: str
    pid: int

    def cpu_s(self) -> float:
        """CPU that the process has used so far, by proc(5): utime and stime in ticks."""
        fields = Path(f"/proc/{self.pid}/stat").read_text(encoding="ascii").rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def on(cores: Iterable[int]) -> Iterator[None]:
    """Threads and processes that are started inside stay on these cores; none named: wherever they like."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, set(cores) or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@asynccontextmanager
async def coordinator(
    folder: Path, gateway: str, key: bytes, *, acks_only: bool = False, cores: Iterable[int] = ()
) -> AsyncIterator[FarEnd]:
    """One that knows ``gateway`` by its key (32 bytes) and holds nothing of it yet; on ``cores``, if any."""
    token = folder / "token"
    token.write_text("bench", encoding="ascii")
    options = ["--db", str(folder / "coordinator.db"), "--token-file", str(token)]
    with on(cores):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulators", "coordinator", *options, *["--acks-only"] * acks_only),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    try:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        ready = json.loads(await asyncio.wait_for(process.stdout.readline(), _START_S))
        await _register(ready["api_url"], gateway, key)
        yield FarEnd(ready["ws_url"], ready["coordinator_key"], process.pid)
    finally:
        process.kill()
        await process.wait()


async def _register(api_url: str, gateway: str, key: bytes) -> None:
    body = {
        "gatewayId": gateway,
        "publicKey": b64encode(key).decode(),
        "type": "lora",
        "location": {"lat": 0.0, "lon": 0.0, "name": "benchmark"},
    }
    headers = {"Authorization": "Bearer bench"}
    async with aiohttp.ClientSession(headers=headers) as http:
        async with http.post(f"{api_url}/v1/gateways", json=body) as answer:
            answer.raise_for_status()
