"""Three gateways in a line, only the last with a backhaul; the middle cut out and back; what arrives.

All three are real daemons over TCP; a proxy on each of the two links counts the bytes and cuts.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import yaml

from simulators.demo.children import Child, Failed, child, command
from simulators.demo.house import LONGEST_SOCKET
from simulators.demo.sockets import room_for
from simulators.faults import TcpProxy
from simulators.textbook.cbor import decode
from simulators.wallets import HandOver, Wallet
from simulators.wallets.uploads import snapshot_json

NAMES = ("a", "b", "c")
NOWHERE = "ws://127.0.0.1:9"
WALLETS = 20
LOOK_S = 0.2
PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class MeshReport:
    """Bytes: ``objects`` those of the snapshots themselves, the links' both ways."""

    snapshots: int
    arrived: int
    twice: int
    included: int
    object_bytes: int
    a_b_bytes: int
    b_c_bytes: int
    seconds: float

    @property
    def failures(self) -> list[str]:
        found = []
        if self.arrived != self.snapshots:
            found.append(f"{self.snapshots - self.arrived} snapshots are not at the coordinator")
        if self.twice:
            found.append(f"{self.twice} objects came twice")
        if self.included != self.snapshots:
            found.append(f"{self.snapshots - self.included} have no cosigned receipt at A")
        return found

    def lines(self) -> list[str]:
        def by(passed: int) -> str:
            return f"{passed} bytes, {passed / max(1, self.object_bytes):.2f} of the objects' own"

        return [
            f"snapshots accepted by A         {self.snapshots}",
            f"at the coordinator, under A's   {self.arrived}, {self.twice} objects twice",
            f"with a cosigned receipt at A    {self.included}",
            f"objects                         {self.object_bytes} bytes",
            f"link A - B                      {by(self.a_b_bytes)}",
            f"link B - C                      {by(self.b_c_bytes)}",
            f"took                            {self.seconds:.1f} s",
        ]

    def document(self) -> dict[str, object]:
        return asdict(self)


async def play_mesh(folder: Path, snapshots: int, tell: Callable[[str], None]) -> MeshReport:
    """All of it; raises `Failed`."""
    began = time.monotonic()
    async with AsyncExitStack() as stack:
        line = await stack.enter_async_context(_line(folder))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        async with _daemon(line, "b", peers=[line.a_b.address, line.b_c.address]):
            tell("A - B - C are linked; only C reaches the coordinator")
            first = await _uploaded(http, line.http, 0, snapshots // 2)
            await _until(lambda: _size(http, line), len(first), "the first half at the coordinator")
            tell(f"{len(first)} snapshots of A are at the coordinator")
        tell("B is gone")
        rest = await _uploaded(http, line.http, snapshots // 2, snapshots)
        async with _daemon(line, "b", peers=[line.a_b.address, line.b_c.address]):
            tell("B is back")
            await _until(lambda: _size(http, line), snapshots, "all at the coordinator")
            everything = [*first, *rest]
            await _until(lambda: _included(http, line, everything), snapshots, "all acked at A")
        counts = (await _asked(http, line, "/sim/counts"))["gateways"]["a"]
        return MeshReport(
            snapshots=snapshots,
            arrived=await _size(http, line),
            twice=counts["duplicates"] + counts["repeated"],
            included=await _included(http, line, everything),
            object_bytes=counts["object_bytes_received"],
            a_b_bytes=line.a_b.counts["bytes_up"] + line.a_b.counts["bytes_down"],
            b_c_bytes=line.b_c.counts["bytes_up"] + line.b_c.counts["bytes_down"],
            seconds=time.monotonic() - began,
        )


@dataclass(frozen=True, slots=True)
class _Line:
    """A and C run; ``http`` is A's. B is to come."""

    folder: Path
    sockets: Path
    api_url: str
    ws_url: str
    token: str
    http: str
    a_b: TcpProxy
    b_c: TcpProxy


@asynccontextmanager
async def _line(folder: Path) -> AsyncIterator[_Line]:
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text("the-demos-own")
    arguments = ("simulators", "coordinator", "--db", str(folder / "coordinator.db"))
    async with AsyncExitStack() as stack:
        sockets = stack.enter_context(room_for(f"a/{LONGEST_SOCKET}", folder))
        coordinator = await stack.enter_async_context(
            child("coordinator", (*arguments, "--token-file", str(token_file)), folder)
        )
        ready = await coordinator.said(ws_url=None)
        urls = ready["api_url"], ready["ws_url"]
        for name in NAMES:
            await _installed(folder, name, token_file, _settings(name, *urls, sockets))
        a = await stack.enter_async_context(_running(folder, "a"))
        c = await stack.enter_async_context(_running(folder, "c"))
        http = await a.said(message="listening", server="http")
        proxies = [
            await stack.enter_async_context(TcpProxy(await _mesh_of(one), Random(1))) for one in (a, c)
        ]
        yield _Line(folder, sockets, *urls, token_file.read_text(), f"http://{http['address']}", *proxies)


async def _mesh_of(daemon: Child) -> tuple[str, int]:
    told = await daemon.said(message="listening", server="mesh")
    host, _, port = str(told["address"]).rpartition(":")
    return host, int(port)


def _settings(name: str, api_url: str, ws_url: str, sockets: Path) -> dict[str, Any]:
    plenty = {"messages_per_minute": 1_000_000}
    return {
        "gateway": {"id": name, "location": {"lat": 0.0, "lon": 0.0, "name": name}, "type": "mesh"},
        "network": {"api_url": api_url, "ws_url": ws_url, "reconnect_interval": 250},
        "storage": {"path": "gateway.db", "min_free_mb": 20},
        "security": {"private_key_path": "gateway.key", "certificate_path": "gateway.crt"},
        "http": {"host": "127.0.0.1", "port": 0},
        "metrics": {"host": "127.0.0.1", "port": 0},
        "limits": {"radio": plenty, "peer": plenty, "device": plenty},
        "mesh": {"listen": "127.0.0.1:0", "after_seconds": 1, "gather_seconds": 1},
        "runtime_dir": str(sockets / name / "run"),
    }


async def _installed(folder: Path, name: str, token_file: Path, settings: dict[str, Any]) -> None:
    """Registered over the network once; then, but for C, the network is gone."""
    (folder / name).mkdir()
    config = folder / name / "config.yml"
    config.write_text(yaml.safe_dump(settings))
    on_file = ("--config", str(config))
    await command("keygen", ("gateway", "keygen", *on_file), folder / name)
    registering = ("gateway", "register", *on_file, "--token-file", str(token_file))
    await command("register", registering, folder / name)
    if name != "c":
        settings["network"]["ws_url"] = NOWHERE
        config.write_text(yaml.safe_dump(settings))


@asynccontextmanager
async def _running(folder: Path, name: str) -> AsyncIterator[Child]:
    config = folder / name / "config.yml"
    async with child(name, ("gateway", "run", "--config", str(config)), folder / name) as daemon:
        await daemon.said(message="listening", server="http")
        yield daemon


@asynccontextmanager
async def _daemon(line: _Line, name: str, peers: list[tuple[str, int]]) -> AsyncIterator[Child]:
    config = line.folder / name / "config.yml"
    settings = yaml.safe_load(config.read_text())
    settings["mesh"]["peers"] = [f"{host}:{port}" for host, port in peers]
    config.write_text(yaml.safe_dump(settings))
    async with _running(line.folder, name) as daemon:
        yield daemon


async def _uploaded(http: aiohttp.ClientSession, url: str, first: int, last: int) -> list[HandOver]:
    """Snapshots by wallets that pay each other, each with one payment more."""
    wallets = [Wallet(sha256(f"mesh {first} {number}".encode()).digest()) for number in range(WALLETS)]
    handed = []
    for number in range(first, last):
        wallet, other = wallets[number % WALLETS], wallets[(number + 1) % WALLETS]
        now_ms = 1_790_000_000_000 + number
        wallet.pay(other.device_id, 1.0, now_ms)
        over = wallet.hand_over(now_ms)
        fields = {"Content-Type": "application/json"}
        async with http.post(f"{url}/v1/snapshots", data=snapshot_json(over), headers=fields) as answer:
            if answer.status != 200:
                raise Failed(f"A refused a snapshot: {await answer.text()}")
        handed.append(over)
    return handed


async def _asked(http: aiohttp.ClientSession, line: _Line, path: str) -> Mapping[str, Any]:
    fields = {"Authorization": f"Bearer {line.token}"}
    async with http.get(line.api_url + path, headers=fields) as answer:
        told: Mapping[str, Any] = json.loads(await answer.text())
        return told


async def _size(http: aiohttp.ClientSession, line: _Line) -> int:
    origins = (await _asked(http, line, "/sim/counts"))["gateways"]["a"]["origins"]
    return int(origins.get("offgrid/a/1", {"size": 0})["size"])


async def _included(http: aiohttp.ClientSession, line: _Line, handed: list[HandOver]) -> int:
    """Of how many A has a proof under a cosigned checkpoint; asks no further than the first that has none."""
    for number, over in enumerate(reversed(handed)):
        url = f"{line.http}/v1/receipts/{over.content.hex()}"
        async with http.get(url, headers={"Accept": "application/cbor"}) as answer:
            told = decode(await answer.read())
        if not isinstance(told, list) or told[0] != 20:  # INCLUSION
            return number
    return len(handed)


async def _until(look: Callable[[], Any], wanted: int, what: str) -> None:
    """Raises `Failed` where it does not come about."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if await look() >= wanted:
                    return
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise Failed(f"{what}: not within {PATIENCE_S:.0f} s; the logs of a, b and c say more") from None
