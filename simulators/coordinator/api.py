"""The HTTP side: registration, and what a simulation asks and does (/sim/…).

    POST   /v1/gateways                  docs/protocol/sync.md, Registration
    GET    /metrics                      Prometheus
    GET    /sim/counts                   totals, and per gateway
    GET    /sim/accepted                 snapshots and transactions, who heard each and when
    GET    /sim/forks                    evidence
    GET    /sim/conflicts                every conflict, with its decision
    POST   /sim/decisions                {"key", "nonce"}: decide by the network's rules
    POST   /sim/devices                  [{"key", "blocked"}…]: the directory, and who is blocked
    GET    /sim/faults                   what is wrong just now
    POST   /sim/faults                   {"name", "value"?, "times"?, "gateway"?}
    DELETE /sim/faults[?name=]           sets it right
    POST   /sim/texts                    {"text"}: what the coordinator's telephone received
    POST   /sim/gateways/{id}/lift       a person has looked at it: no more quarantine, fence and fork
    POST   /sim/gateways/{id}/order      {"name", "arguments"} → {"number", "refused" | "result" | "file"}
    POST   /sim/gateways/{id}/fetch      {"hashes": [hex…]} → {"bodies": [hex or null…]} from the gateway

All but /metrics want the bearer token.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
from base64 import b64decode, b64encode
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aiohttp import web

from simulators.coordinator import accounts, metrics, orders
from simulators.coordinator.court import Conflict
from simulators.coordinator.faults import Fault
from simulators.coordinator.orders import Outcome
from simulators.coordinator.records import Registration

if TYPE_CHECKING:
    from simulators.coordinator.server import Coordinator

FETCH_TIMEOUT_S = 30.0
ORDER_TIMEOUT_S = 600.0
MAX_BODY = 64 * 1024
_STATUS = {Registration.NEW: 201, Registration.SAME: 200}


def application(coordinator: Coordinator, token: str) -> web.Application:
    """Everything above, for this coordinator."""
    api = _Api(coordinator, token)
    app = web.Application(middlewares=[api.authorize], client_max_size=MAX_BODY)
    app.add_routes(
        [
            web.post("/v1/gateways", api.register),
            web.get("/metrics", api.metrics),
            web.get("/sim/counts", api.counts),
            web.get("/sim/accepted", api.accepted),
            web.get("/sim/forks", api.forks),
            web.get("/sim/conflicts", api.conflicts),
            web.post("/sim/decisions", api.decide),
            web.post("/sim/devices", api.devices),
            web.get("/sim/faults", api.faults),
            web.post("/sim/faults", api.set_fault),
            web.delete("/sim/faults", api.clear_faults),
            web.post("/sim/texts", api.text),
            web.post("/sim/gateways/{id}/lift", api.lift),
            web.post("/sim/gateways/{id}/fetch", api.fetch),
            web.post("/sim/gateways/{id}/order", api.order),
        ]
    )
    return app


class _Api:
    def __init__(self, coordinator: Coordinator, token: str) -> None:
        self._coordinator = coordinator
        self._token = token

    @web.middleware
    async def authorize(self, request: web.Request, handler: Any) -> web.StreamResponse:
        sent = request.headers.get("Authorization", "").removeprefix("Bearer ")
        right = hmac.compare_digest(sent.encode(), self._token.encode())
        if request.path != "/metrics" and not right:
            return web.json_response({"error": "the bearer token is missing or wrong"}, status=401)
        try:
            response: web.StreamResponse = await handler(request)
        except (ValueError, KeyError, TypeError) as error:
            # Every field is read strictly; what does not fit is the asker's fault.
            return web.json_response({"error": f"{type(error).__name__}: {error}"}, status=400)
        return response

    async def register(self, request: web.Request) -> web.Response:
        asked = _object(json.loads(await request.text()))
        key = b64decode(_text(asked, "publicKey"), validate=True)
        kind, gateway = _text(asked, "type"), _text(asked, "gatewayId")
        location = _location(_object(asked["location"]))
        if not re.fullmatch(r"[a-z0-9_-]{1,20}", gateway):
            raise ValueError("gatewayId has 1 to 20 of the characters a-z, 0-9, _ and -")
        if len(key) != 32 or kind not in ("lora", "mesh", "sms"):
            raise ValueError("publicKey has 32 bytes, type is lora, mesh or sms")
        outcome = await self._coordinator.register(gateway, key, kind, location)
        if outcome is Registration.OTHER_KEY:
            return web.json_response({"error": "this id is registered with another key"}, status=409)
        told = {"gatewayId": gateway, "coordinatorKey": self._coordinator.vkey}
        return web.json_response(told, status=_STATUS[outcome])

    async def metrics(self, _: web.Request) -> web.Response:
        body = await self._coordinator.work(metrics.text, self._coordinator.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})

    async def counts(self, _: web.Request) -> web.Response:
        return web.json_response(await self._coordinator.counts())

    async def accepted(self, _: web.Request) -> web.Response:
        return web.json_response(await self._coordinator.accepted())

    async def forks(self, _: web.Request) -> web.Response:
        return web.json_response(
            await self._coordinator.work(accounts.forks, self._coordinator.authority.store)
        )

    async def conflicts(self, _: web.Request) -> web.Response:
        return web.json_response([_conflict(one) for one in await self._coordinator.conflicts()])

    async def decide(self, request: web.Request) -> web.Response:
        asked = _object(json.loads(await request.text()))
        key, nonce = bytes.fromhex(_text(asked, "key")), int(asked["nonce"])
        return web.json_response(_conflict(await self._coordinator.decide(key, nonce)))

    async def devices(self, request: web.Request) -> web.Response:
        rows = [_object(one) for one in json.loads(await request.text())]
        known = [(bytes.fromhex(_text(one, "key")), bool(one.get("blocked"))) for one in rows]
        if any(len(key) != 32 for key, _ in known):
            raise ValueError("a key has 32 bytes, in hexadecimal digits")
        await self._coordinator.devices(known)
        return web.json_response({})

    async def faults(self, _: web.Request) -> web.Response:
        return web.json_response([asdict(fault) for fault in self._coordinator.faults.active()])

    async def set_fault(self, request: web.Request) -> web.Response:
        self._coordinator.faults.set(Fault(**_object(json.loads(await request.text()))))
        return await self.faults(request)

    async def clear_faults(self, request: web.Request) -> web.Response:
        self._coordinator.faults.clear(request.query.get("name"))
        return await self.faults(request)

    async def lift(self, request: web.Request) -> web.Response:
        await self._coordinator.lift(request.match_info["id"])
        return web.json_response({})

    async def text(self, request: web.Request) -> web.Response:
        asked = _object(json.loads(await request.text()))
        head = await self._coordinator.text(_text(asked, "text"))
        return web.json_response({"origin": head.origin, "size": head.size, "root": head.root.hex()})

    async def fetch(self, request: web.Request) -> web.Response:
        asked = _object(json.loads(await request.text()))
        hashes = [bytes.fromhex(one) for one in asked["hashes"]]
        async with asyncio.timeout(FETCH_TIMEOUT_S):
            bodies = await self._coordinator.fetch(request.match_info["id"], hashes)
        return web.json_response({"bodies": [body and body.hex() for body in bodies]})

    async def order(self, request: web.Request) -> web.Response:
        asked = _object(json.loads(await request.text()))
        arguments = _object(asked.get("arguments", {}))
        async with asyncio.timeout(ORDER_TIMEOUT_S):
            outcome = await self._coordinator.order(request.match_info["id"], _text(asked, "name"), arguments)
        return web.json_response({"number": outcome.number} | _told(outcome))


def _told(outcome: Outcome) -> dict[str, Any]:
    match outcome.kind:
        case orders.JSON:
            return {"result": outcome.result}
        case orders.FILE:
            return {"file": b64encode(outcome.data).decode()}
        case _:
            return {"refused": outcome.words}


def _conflict(one: Conflict) -> dict[str, Any]:
    return {
        "key": one.key.hex(),
        "nonce": one.nonce,
        "texts": [text.hex() for text in one.texts],
        "rule": one.rule,
        "winner": one.winner and one.winner.hex(),
    }


def _object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("a JSON object expected")
    return value


def _text(asked: dict[str, Any], name: str) -> str:
    value = asked[name]
    if not isinstance(value, str):
        raise ValueError(f"{name} is a text")
    return value


def _location(asked: dict[str, Any]) -> str:
    lat, lon, name = float(asked["lat"]), float(asked["lon"]), _text(asked, "name")
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise ValueError("location is out of range")
    return json.dumps({"lat": lat, "lon": lon, "name": name})
