"""A folder with a coordinator, a daemon and the line between them, started as a technician would."""

from __future__ import annotations

import secrets
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

import yaml

from simulators.demo.children import Child, child, command
from simulators.demo.sockets import room_for
from simulators.faults import TcpProxy
from simulators.textbook.notes import NoteKey, parse_vkey

GATEWAY = "gw_demo"
ORIGIN = f"offgrid/{GATEWAY}/1"
LONGEST_SOCKET = "run/control.4194304"
"""Of the daemon's, with the largest process id: proc(5), pid_max."""


@dataclass(frozen=True, slots=True)
class Site:
    """A registered gateway that does not run yet, and its coordinator. `gateway_key` is raw (32 bytes)."""

    folder: Path
    config: Path
    coordinator: Child
    backhaul: TcpProxy
    api_url: str
    token: str
    coordinator_key: NoteKey
    gateway_key: bytes


@dataclass(frozen=True, slots=True)
class House(Site):
    """The same with its daemon: `http` is an URL, `gwmp` where it waits for packet forwarders (UDP)."""

    daemon: Child
    http: str
    gwmp: tuple[str, int]


@asynccontextmanager
async def site(
    folder: Path, random: Random, coordinator_database: Path | None = None, **sections: Mapping[str, object]
) -> AsyncIterator[Site]:
    """Coordinator, keys, registration; `sections` go over those of the configuration. Raises `Failed`."""
    token = secrets.token_urlsafe(24)
    token_file = folder / "token"
    token_file.touch(mode=0o600)
    token_file.write_text(token)
    database = coordinator_database or folder / "coordinator.db"
    arguments = ("simulators", "coordinator", "--db", str(database), "--token-file", str(token_file))
    async with AsyncExitStack() as stack:
        sockets = stack.enter_context(room_for(LONGEST_SOCKET, folder))
        coordinator = await stack.enter_async_context(child("coordinator", arguments, folder))
        ready = await coordinator.said(ws_url=None)
        at = urlsplit(ready["ws_url"])
        backhaul = await stack.enter_async_context(TcpProxy((at.hostname or "", at.port or 0), random))
        written = settings(ready["api_url"], backhaul.url, sockets / "run")
        for name, section in sections.items():
            written[name] = {**written.get(name, {}), **section}
        config = folder / "config.yml"
        config.write_text(yaml.safe_dump(written, sort_keys=False))
        await _installed(folder, config, token_file)
        yield Site(
            folder=folder,
            config=config,
            coordinator=coordinator,
            backhaul=backhaul,
            api_url=ready["api_url"],
            token=token,
            coordinator_key=parse_vkey(ready["coordinator_key"]),
            gateway_key=public_key(folder / "keygen.log"),
        )


async def _installed(folder: Path, config: Path, token_file: Path) -> None:
    """The technician's three commands."""
    on_file = ("--config", str(config))
    await command("check-config", ("gateway", "check-config", str(config)), folder)
    await command("keygen", ("gateway", "keygen", *on_file), folder)
    await command("register", ("gateway", "register", *on_file, "--token-file", str(token_file)), folder)


@asynccontextmanager
async def inhabited(site: Site) -> AsyncIterator[House]:
    """The daemon, from its first line to its end."""
    arguments = ("gateway", "run", "--config", str(site.config))
    async with child("gateway", arguments, site.folder) as daemon:
        http = await daemon.said(message="listening", server="http")
        gwmp = await daemon.said(message="listening for packet forwarders")
        host, _, port = str(gwmp["address"]).rpartition(":")
        yield House(
            folder=site.folder,
            config=site.config,
            coordinator=site.coordinator,
            backhaul=site.backhaul,
            api_url=site.api_url,
            token=site.token,
            coordinator_key=site.coordinator_key,
            gateway_key=site.gateway_key,
            daemon=daemon,
            http=f"http://{http['address']}",
            gwmp=(host, int(port)),
        )


@asynccontextmanager
async def house(
    folder: Path, random: Random, coordinator_database: Path | None = None, **sections: Mapping[str, object]
) -> AsyncIterator[House]:
    """All of it, ready for wallets. Raises `Failed`."""
    async with (
        site(folder, random, coordinator_database, **sections) as prepared,
        inhabited(prepared) as here,
    ):
        yield here


def settings(api_url: str, ws_url: str, runtime_dir: Path) -> dict[str, Any]:
    """The daemon's configuration: ports are any free ones, and it tries again sooner than in the field."""
    return {
        "gateway": {
            "id": GATEWAY,
            "location": {"lat": 40.7128, "lon": -74.006, "name": "The demo's hill"},
            "type": "lora",
        },
        "network": {"api_url": api_url, "ws_url": ws_url, "reconnect_interval": 250},
        "lora": {"frequency": 915, "region": "US915", "driver": "lora_gwmp", "options": {"port": 0}},
        "storage": {"path": "gateway.db", "min_free_mb": 20},
        "security": {"private_key_path": "gateway.key", "certificate_path": "gateway.crt"},
        "http": {"host": "127.0.0.1", "port": 0},
        "metrics": {"host": "127.0.0.1", "port": 0},
        "sync": {"heartbeat_seconds": 5},
        "runtime_dir": str(runtime_dir),
    }


def public_key(keygen_said: Path) -> bytes:
    """As the technician reads it off the terminal."""
    last = keygen_said.read_text().strip().splitlines()[-1]
    return b64decode(last.rpartition(" ")[2], validate=True)
