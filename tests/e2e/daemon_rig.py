"""The daemon as a process, on a folder of its own, and a client for what it serves."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gateway.keys.generate import make_keys
from simulators.coordinator import Coordinator

GATEWAY = "gw_e2e"
REPOSITORY = Path(__file__).parents[2]
VECTORS = REPOSITORY / "tests" / "vectors" / "wallet" / "wallet.jsonl"

Row = dict[str, Any]


def wallet_rows() -> list[Row]:
    """Uploads by the wallet's own libraries, with what is to be made of each.

    Number literals are kept in marks, for JavaScript prints numbers in its own way and they are signed so.
    """

    def marked(literal: str) -> str:
        return f"<{literal}>"

    lines = VECTORS.read_text().splitlines()
    return [json.loads(line, parse_float=marked, parse_int=marked) for line in lines][1:]


def upload_of(row: Row) -> bytes:
    """The body of POST /v1/snapshots."""
    key = b64encode(bytes.fromhex(row["device"]["public_key_hex"])).decode()
    upload = {"publicKey": key, "snapshot": row["snapshot"], "transactions": row["transactions"]}
    return re.sub(r'"<([-+.0-9eE]+)>"', r"\1", json.dumps(upload)).encode()


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    address: str, method: str, path: str, body: bytes = b"", content_type: str = "", accept: str = "*/*"
) -> Answer:
    """One request on a connection of its own."""
    host, port = address.rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    head = f"{method} {path} HTTP/1.1\r\nHost: {address}\r\nAccept: {accept}\r\nConnection: close\r\n"
    if body:
        head += f"Content-Type: {content_type}\r\nContent-Length: {len(body)}\r\n"
    writer.write(head.encode() + b"\r\n" + body)
    raw = await reader.read()
    writer.close()
    first, *lines = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines)
    return Answer(int(first.split()[1]), fields, raw.partition(b"\r\n\r\n")[2])


class Daemon:
    """A running ``offgrid-gateway run``; its log lines are read as they come."""

    def __init__(self, process: asyncio.subprocess.Process, config: Path) -> None:
        self.process = process
        self.config = config
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._news = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def said(self, message: str, *, after: int = 0, **fields: object) -> dict[str, Any]:
        """The first log line with this message and these fields, among those after the first ``after``."""
        async with self._news:
            while True:
                for line in self.lines[after:]:
                    if line["message"] == message and fields.items() <= line.items():
                        return line
                if self._reading.done():
                    raise AssertionError(f"the daemon ended without saying {message!r}: {self.errors}")
                await self._news.wait()

    async def address(self, server: str) -> str:
        return str((await self.said("listening", server=server))["address"])

    async def get(self, path: str, server: str = "http") -> Answer:
        return await ask(await self.address(server), "GET", path)

    async def post(self, upload: bytes, path: str = "/v1/snapshots") -> Answer:
        return await ask(await self.address("http"), "POST", path, upload, "application/json")

    async def status(self) -> Any:
        """``/status`` as read after this call: a reading is kept a while, on a busy machine for seconds."""
        kept = (await self.get("/status")).json["time"]
        while (told := (await self.get("/status")).json)["time"] == kept:
            await asyncio.sleep(0.01)
        return told

    async def receipt(self, content: bytes) -> bytes:
        """The proof or the promise of a content, in CBOR."""
        path = f"/v1/receipts/{content.hex()}"
        return (await ask(await self.address("http"), "GET", path, accept="application/cbor")).body

    async def metrics(self) -> dict[str, float]:
        page = (await self.get("/metrics", "metrics")).body.decode()
        samples = [line.rsplit(" ", 1) for line in page.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in samples}

    async def figures(self, **wanted: float) -> dict[str, float]:
        """The metrics, as soon as these are as wanted (a reading is kept for a moment)."""
        while not wanted.items() <= (figures := await self.metrics()).items():
            await asyncio.sleep(0.01)
        return figures

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    async def end(self, with_signal: signal.Signals = signal.SIGTERM) -> int:
        if self.process.returncode is None:
            self.process.send_signal(with_signal)
        return await self.ended()

    async def ended(self) -> int:
        code = await self.process.wait()
        await self._reading
        return code

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            async with self._news:
                try:
                    self.lines.append(json.loads(raw))
                except ValueError:
                    self.errors.append(raw.decode())
                self._news.notify_all()
        async with self._news:
            self._news.notify_all()


async def command(*arguments: str) -> tuple[int, str, str]:
    """``offgrid-gateway`` with these arguments: exit code, standard output, standard error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *arguments),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return await process.wait(), out.decode(), error.decode()


class House:
    """A gateway's folder, and the coordinator that it is registered with."""

    def __init__(self, root: Path, coordinator: Coordinator, public_key: bytes) -> None:
        self.root = root
        self.coordinator = coordinator
        self.public_key = public_key
        self.config = root / "config.yml"
        self.environment: dict[str, str] = {}
        self.settings: dict[str, Any] = {
            "gateway": {"id": GATEWAY, "location": {"lat": 1.0, "lon": 2.0, "name": "here"}, "type": "mesh"},
            "network": {
                "api_url": coordinator.api_url,
                "ws_url": coordinator.ws_url,
                "reconnect_interval": 300,
                "coordinator_key": coordinator.vkey,
            },
            "storage": {"path": "gateway.db", "min_free_mb": 1},
            "security": {"private_key_path": "gateway.key", "certificate_path": "gateway.crt"},
            "http": {"host": "127.0.0.1", "port": 0},
            "metrics": {"host": "127.0.0.1", "port": 0},
            "logging": {"level": "debug"},
            "runtime_dir": "run",
        }

    def configure(self, **sections: Any) -> None:
        """Write the configuration, with these sections over the usual ones; None leaves a key out."""
        for name, section in sections.items():
            known = self.settings.get(name)
            merged = {**known, **section} if isinstance(known, dict) else section
            if isinstance(merged, dict):
                merged = {key: value for key, value in merged.items() if value is not None}
            self.settings[name] = merged
        self.config.write_text(yaml.safe_dump(self.settings))

    @asynccontextmanager
    async def daemon(self, **sections: Any) -> AsyncIterator[Daemon]:
        """The daemon, running; killed at the end if it still does."""
        self.configure(**sections)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway", "run", "--config", str(self.config)),
            cwd=REPOSITORY,
            env={**os.environ, "PYTHONWARNINGS": "error", **self.environment},
            stderr=asyncio.subprocess.PIPE,
        )
        daemon = Daemon(process, self.config)
        try:
            yield daemon
        finally:
            if process.returncode is None:
                process.kill()
            await daemon.ended()

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        return await command(*arguments, "--config", str(self.config))


@asynccontextmanager
async def house(
    root: Path, *, registered: bool = True, tls: ssl.SSLContext | None = None
) -> AsyncIterator[House]:
    made = make_keys(root / "gateway.key", root / "gateway.crt", GATEWAY)
    async with Coordinator(db=root / "coordinator.db", token="a-token", tls=tls) as coordinator:
        if registered:
            await coordinator.register(GATEWAY, made.identity.public_key)
        yield House(root, coordinator, made.identity.public_key)


def origin_of(counts: dict[str, Any]) -> dict[str, Any]:
    """Size and root of our log at the coordinator."""
    origins: dict[str, dict[str, Any]] = counts["gateways"][GATEWAY]["origins"]
    return origins.get(f"offgrid/{GATEWAY}/1", {"size": 0, "root": ""})
