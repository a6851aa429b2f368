"""Debian's Prometheus scrapes a running gateway: the dashboard shows what it should, and alerts fire."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import time
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import pytest
import yaml
from daemon_rig import Daemon, house

from gateway.services.metrics.names import ROWS
from simulators.lora.device import LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import EU868
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

MONITORING = Path(__file__).parents[2] / "monitoring"
RULES = MONITORING / "alerts.yml"
LORA = {"frequency": 868, "region": "EU868", "options": {"host": "127.0.0.1", "port": 0}}
BUDGET = {"month_mb": 1000, "interfaces": ["*"]}

OF_A_PI = {"gateway_host_temperature_celsius", "gateway_host_supply_fault"}
"""Metrics that have no value on a machine without these sensors."""
OF_BACKUPS = {row.name for row in ROWS if row.name.startswith("gateway_backup_")}
ELSEWHERE = {"gateway_last_seen_seconds", "gateway_host_disk_life_used_ratio"} | OF_A_PI | OF_BACKUPS
"""Of the coordinator's own page, of cards that count their wear, and where backups are made."""


class Prometheus:
    """Its HTTP API."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self._url, self._session = f"http://{address}/api/v1", session

    async def ask(self, path: str, **parameters: str) -> Any:
        async with self._session.get(f"{self._url}/{path}", params=parameters) as answer:
            told = await answer.json()
        assert told["status"] == "success", told
        return told["data"]

    async def series(self, expression: str) -> list[Any]:
        """The result now. Raises AssertionError, with Prometheus' words, for what is no expression."""
        return list((await self.ask("query", query=expression))["result"])

    async def until_known(self, expression: str) -> None:
        while not await self.series(expression):
            await asyncio.sleep(0.05)

    async def rules(self) -> list[Any]:
        return [rule for group in (await self.ask("rules"))["groups"] for rule in group["rules"]]

    async def until_judged(self) -> list[Any]:
        """The rules, after each was evaluated once."""
        while any(rule["health"] == "unknown" for rule in await self.rules()):
            await asyncio.sleep(0.05)
        return await self.rules()

    async def until_fires(self, alert: str) -> dict[str, str]:
        """The labels of an alert, as soon as it fires."""
        while True:
            for one in (await self.ask("alerts"))["alerts"]:
                if one["labels"]["alertname"] == alert and one["state"] == "firing":
                    return dict(one["labels"])
            await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def prometheus_binary() -> str:
    found = shutil.which("prometheus")
    if found is None:
        message = "prometheus is not on PATH (Debian package prometheus); ./scripts/test.sh fetches it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return found


@asynccontextmanager
async def prometheus(binary: str, folder: Path, scraped: str) -> AsyncIterator[Prometheus]:
    """It scrapes ten times a second, and the rules wait for nothing."""
    (folder / "alerts.yml").write_text(re.sub(r"^(\s+for:) \w+$", r"\1 0s", RULES.read_text(), flags=re.M))
    often = {"scrape_interval": "100ms", "scrape_timeout": "100ms", "evaluation_interval": "100ms"}
    job = {"job_name": "gateways", "static_configs": [{"targets": [scraped]}]}
    settings = {"global": often, "rule_files": ["alerts.yml"], "scrape_configs": [job]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(settings))
    process = await asyncio.create_subprocess_exec(
        *(binary, f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}"),
        "--web.listen-address=127.0.0.1:0",
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        address, ready = None, False
        while not (address and ready):
            line = (await process.stderr.readline()).decode()
            assert line, "prometheus ended at once"
            if found := re.search(r'msg="Listening on" address=(\S+)', line):
                address = found[1]
            ready = ready or "Server is ready" in line
        draining = asyncio.create_task(process.stderr.read())
        async with aiohttp.ClientSession() as session:
            yield Prometheus(address, session)
        process.terminate()
        await draining
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def dashboard_expressions() -> Iterator[str]:
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"].replace("$instance", ".*")


def names_in(expression: str) -> set[str]:
    """Metrics that an expression reads."""
    bare = re.sub(r"\{[^}]*\}|\b(?:by|on|without|ignoring) \([^)]*\)", "", expression)
    return set(re.findall(r"\b(?:gateway|process|http|merkle|conflicts|transactions)_\w+", bare)) | (
        {"up"} & set(re.findall(r"\bup\b", bare))
    )


async def hand_over_by_lora(daemon: Daemon) -> None:
    """One ledger over the air, and its promise back."""
    listening = await daemon.said("listening for packet forwarders", radio="lora")
    address = "127.0.0.1", int(listening["address"].rpartition(":")[2])
    ether = Ether(EU868, Random(1), airtime_scale=0.01)
    now_ms = time.time_ns() // 1_000_000
    wallet = Wallet(bytes(32))
    wallet.pay("00112233aabbccdd", 1.5, now_ms)
    messages = [snapshot_cbor(wallet.hand_over(now_ms))]

    class Once:
        def next_message(self) -> bytes | None:
            return messages.pop() if messages else None

        def on_answer(self, answer: bytes) -> bool:
            return True

    async with SimForwarder(bytes.fromhex("b827ebfffe000001"), address, ether, Random(2)) as forwarder:
        await forwarder.pulled.wait()
        await LoraDevice(Once(), ether, Random(3), pause_scale=0.01).run()


async def empty_ones(prometheus: Prometheus, expressions: Collection[str]) -> set[str]:
    return {one for one in expressions if not await prometheus.series(one)}


async def test_every_expression_works_on_a_real_gateway_and_two_alerts_fire(
    tmp_path: Path, prometheus_binary: str
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        roof = {"driver": "lora_gwmp", "options": {"port": taken.getsockname()[1]}}
        network = {"budget": BUDGET}
        async with (
            house(tmp_path) as here,
            here.daemon(lora=LORA, radios={"roof": roof}, network=network) as daemon,
            prometheus(prometheus_binary, tmp_path, await daemon.address("metrics")) as watching,
        ):
            await watching.until_known("gateway_info")
            await hand_over_by_lora(daemon)
            await daemon.said("acked")
            for begins_with_a_frame in ("gateway_radio_snr_db_count", "gateway_radio_frames_total"):
                await watching.until_known(f"rate({begins_with_a_frame}[5m])")

            expressions = set(dashboard_expressions())
            empty = await empty_ones(watching, expressions)
            assert {name for one in empty for name in names_in(one)} <= OF_A_PI

            rules = await watching.until_judged()
            assert [rule["lastError"] for rule in rules if rule["health"] != "ok"] == []
            read = {name for rule in rules for name in names_in(rule["query"])}
            known = set(await watching.ask("label/__name__/values"))
            assert read - known <= ELSEWHERE

            assert (await watching.until_fires("RadioDown"))["radio"] == "roof"
            await daemon.end()
            assert (await watching.until_fires("GatewayNotScraped"))["severity"] == "critical"
