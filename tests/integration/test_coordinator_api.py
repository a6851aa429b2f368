"""The coordinator's HTTP side: registration, accounts, faults, metrics."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from simulators.coordinator import Coordinator
from simulators.rawgateway import BODIES, HEARTBEAT, RawGateway, RawLink
from simulators.textbook.objects import object_hash
from simulators.wallets import Season

NOW = 1_790_000_000_000
AUTHORIZED = {"Authorization": "Bearer token"}
ASKED: dict[str, Any] = {
    "gatewayId": "gw-1",
    "publicKey": b64encode(b"k" * 32).decode(),
    "location": {"lat": 9.5, "lon": -13.7, "name": "market"},
    "type": "lora",
}


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    async with Coordinator(db=tmp_path / "coordinator.db", token="token", now_ms=lambda: NOW) as one:
        yield one


@pytest.fixture
async def http(coordinator: Coordinator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(coordinator.api_url, headers=AUTHORIZED) as session:
        yield session


async def _post(http: aiohttp.ClientSession, path: str, body: object) -> tuple[int, Any]:
    async with http.post(path, json=body) as answer:
        return answer.status, await answer.json()


async def _get(http: aiohttp.ClientSession, path: str) -> Any:
    async with http.get(path) as answer:
        assert answer.status == 200
        return await answer.json()


async def test_registering_again_changes_nothing_and_another_key_is_refused(
    coordinator: Coordinator, http: aiohttp.ClientSession
) -> None:
    told = {"gatewayId": "gw-1", "coordinatorKey": coordinator.vkey}
    assert await _post(http, "/v1/gateways", ASKED) == (201, told)
    assert await _post(http, "/v1/gateways", ASKED | {"unknown": 1}) == (200, told)
    other = ASKED | {"publicKey": b64encode(b"o" * 32).decode()}
    assert (await _post(http, "/v1/gateways", other))[0] == 409


@pytest.mark.parametrize(
    "wrong",
    [
        {"gatewayId": "GW 1"},
        {"gatewayId": 5},
        {"publicKey": "AAAA"},
        {"publicKey": "?"},
        {"type": "wifi"},
        {"location": {"lat": 91, "lon": 0, "name": ""}},
        {"location": {"lat": "x", "lon": 0, "name": ""}},
        {"location": []},
    ],
)
async def test_a_registration_that_does_not_fit_is_refused_with_its_reason(
    http: aiohttp.ClientSession, wrong: dict[str, object]
) -> None:
    status, body = await _post(http, "/v1/gateways", ASKED | wrong)
    assert status == 400 and body["error"]


async def test_nothing_but_metrics_is_told_without_the_token(coordinator: Coordinator) -> None:
    async with aiohttp.ClientSession(coordinator.api_url, headers={"Authorization": "Bearer t"}) as http:
        assert (await _post(http, "/v1/gateways", ASKED))[0] == 401
        for path, status in (("/sim/counts", 401), ("/sim/accepted", 401), ("/metrics", 200)):
            async with http.get(path) as answer:
                assert answer.status == status


async def test_accounts_and_metrics_tell_what_a_gateway_sent_and_told(
    coordinator: Coordinator, http: aiohttp.ClientSession
) -> None:
    gateway = RawGateway("gw-1", b"1" * 32)
    await coordinator.register("gw-1", gateway.key)
    season = Season(2)
    for wallet in season.play(10, 10):
        gateway.record(wallet.hand_over(season.now_ms), season.now_ms)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0)
        await link.ask([HEARTBEAT, {"health": 70, "backlog": 3, "radios": {"lora0": "open"}, "time": 1}])
        samples = await _samples(http)
        counts = await _get(http, "/sim/counts")
    assert samples["gateway_health"] == 70
    assert samples["gateway_connected"] == 1
    assert samples["gateway_last_seen_seconds"] == 0
    assert samples["gateway_backlog_entries"] == 3
    assert samples["gateway_radio_state"] == 1
    assert samples["gateway_link_received_bytes_total"] == counts["gateways"]["gw-1"]["received_bytes"] > 0
    assert counts["objects"]["transaction"] == 10
    accepted = await _get(http, "/sim/accepted")
    assert len(accepted["transactions"]) == 10
    assert {one["state"] for one in accepted["transactions"].values()} == {"verified"}
    heard = [one["heard"][0]["gateway"] for one in accepted["snapshots"].values()]
    assert heard == ["gw-1"] * len(gateway.log)


async def _samples(http: aiohttp.ClientSession) -> dict[str, float]:
    async with http.get("/metrics") as answer:
        families = text_string_to_metric_families(await answer.text())
    samples = [sample for family in families for sample in family.samples]
    assert {sample.labels["gateway_id"] for sample in samples} == {"gw-1"}
    return {sample.name: sample.value for sample in samples}


async def test_faults_are_set_listed_and_cleared_while_it_runs(http: aiohttp.ClientSession) -> None:
    fault = {"name": "slow", "value": 0.5, "times": 2, "gateway": "gw-1"}
    assert await _post(http, "/sim/faults", fault) == (200, [fault])
    assert (await _post(http, "/sim/faults", {"name": "unheard of"}))[0] == 400
    assert (await _post(http, "/sim/faults", {"name": "slow", "more": 1}))[0] == 400
    async with http.delete("/sim/faults", params={"name": "mute"}) as answer:
        assert await answer.json() == [fault]
    async with http.delete("/sim/faults") as answer:
        assert await answer.json() == []


async def test_a_quarantine_is_lifted_and_forks_are_told(
    coordinator: Coordinator, http: aiohttp.ClientSession
) -> None:
    gateway = RawGateway("gw-1", b"1" * 32)
    await coordinator.register("gw-1", gateway.key)
    for instance in (b"1" * 16, b"2" * 16, b"1" * 16):
        async with RawLink(coordinator.ws_url, gateway, instance) as link:
            await link.open()
    assert (await _get(http, "/sim/counts"))["gateways"]["gw-1"]["quarantined"]
    assert (await _post(http, "/sim/gateways/gw-1/lift", {}))[0] == 200
    assert not (await _get(http, "/sim/counts"))["gateways"]["gw-1"]["quarantined"]
    assert await _get(http, "/sim/forks") == []


async def test_a_body_is_fetched_from_a_connected_gateway(
    coordinator: Coordinator, http: aiohttp.ClientSession
) -> None:
    gateway = RawGateway("gw-1", b"1" * 32)
    await coordinator.register("gw-1", gateway.key)
    body = b"\x82\x05\x58\x20" + gateway.key
    asked = {"hashes": [object_hash(body).hex(), "00" * 32]}
    assert (await _post(http, "/sim/gateways/gw-1/fetch", asked))[0] == 400
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        asking = asyncio.create_task(_post(http, "/sim/gateways/gw-1/fetch", asked))
        _, number, _ = await link.receive()
        await link.send([BODIES, number, [body, None]])
        assert await asking == (200, {"bodies": [body.hex(), None]})


async def test_whoever_waits_is_told_when_the_counts_have_come_true(coordinator: Coordinator) -> None:
    gateway = RawGateway("gw-1", b"1" * 32)
    await coordinator.register("gw-1", gateway.key)
    waiting = asyncio.create_task(coordinator.until(lambda one: bool(one["gateways"]["gw-1"]["sessions"])))
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        assert (await waiting)["gateways"]["gw-1"]["connected"]
    gone = await coordinator.until(lambda one: not one["gateways"]["gw-1"]["connected"])
    assert gone["gateways"]["gw-1"]["sessions"] == 1
