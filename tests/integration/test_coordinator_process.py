"""The coordinator as a process: its command line, TLS, and a kill in the middle."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from websockets.exceptions import ConnectionClosed, InvalidMessage

from simulators.__main__ import main
from simulators.rawgateway import ACK, HEARTBEAT, WELCOME, RawGateway, RawLink
from simulators.wallets import Wallet

NOW = 1_790_000_000_000
TOKEN = "a token"


@dataclass
class Running:
    process: asyncio.subprocess.Process
    ready: dict[str, str]

    async def register(self, gateway: RawGateway, tls: ssl.SSLContext | None = None) -> None:
        body = {
            "gatewayId": gateway.id,
            "publicKey": b64encode(gateway.key).decode(),
            "location": {"lat": 0, "lon": 0, "name": "here"},
            "type": "lora",
        }
        url, headers = f"{self.ready['api_url']}/v1/gateways", {"Authorization": f"Bearer {TOKEN}"}
        async with (
            aiohttp.ClientSession(headers=headers) as http,
            http.post(url, json=body, ssl=tls or True) as answer,
        ):
            assert answer.status in (200, 201)
            assert (await answer.json())["coordinatorKey"] == self.ready["coordinator_key"]


@asynccontextmanager
async def _running(folder: Path, *options: str) -> AsyncIterator[Running]:
    (folder / "token").write_text(f"{TOKEN}\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", "coordinator", "--db", str(folder / "c.db")),
        *("--token-file", str(folder / "token"), *options),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        yield Running(process, json.loads(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.terminate()
            assert await process.wait() == 0


def _gateway(snapshots: int) -> RawGateway:
    gateway, wallet = RawGateway("gw-1", b"1" * 32), Wallet(b"a" * 32)
    for i in range(snapshots):
        wallet.pay("00" * 8, i + 1, NOW)
        gateway.record(wallet.hand_over(NOW))
    return gateway


async def test_it_says_where_it_listens_and_stops_when_it_is_told(tmp_path: Path) -> None:
    gateway = _gateway(2)
    async with _running(tmp_path) as running:
        await running.register(gateway)
        async with RawLink(running.ready["ws_url"], gateway) as link:
            assert (await link.open())[:2] == [WELCOME, 0]
            assert (await link.push(0))[:2] == [ACK, 2]


async def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    gateway = _gateway(6)
    async with _running(tmp_path) as running:
        await running.register(gateway)
    acked = 0
    for end in range(1, 6):
        async with _running(tmp_path) as running:
            async with RawLink(running.ready["ws_url"], gateway) as link:
                assert (await link.open(gateway.checkpoint()))[:2] == [WELCOME, acked]
                assert (await link.push(acked, end))[:2] == [ACK, end]
                acked = end
                running.process.kill()
                with pytest.raises(ConnectionClosed):
                    await link.receive()
            await running.process.wait()


async def test_faults_of_the_command_line_strike_from_the_start(tmp_path: Path) -> None:
    gateway = _gateway(1)
    async with _running(tmp_path, "--fault", "close:1") as running:
        await running.register(gateway)
        async with RawLink(running.ready["ws_url"], gateway) as link:
            with pytest.raises(ConnectionClosed):
                await link.receive()
        async with RawLink(running.ready["ws_url"], gateway) as link:
            assert (await link.open())[:2] == [WELCOME, 0]


async def test_with_a_client_ca_only_a_certified_gateway_gets_in(tmp_path: Path) -> None:
    authority = _certify("authority", None)
    server, client = _certify("localhost", authority), _certify("gw-1", authority)
    files = {name: tmp_path / name for name in ("ca.pem", "server.pem", "server.key", "gw.pem", "gw.key")}
    for name, one in (("server", server), ("gw", client)):
        files[f"{name}.pem"].write_bytes(one.certificate_pem())
        files[f"{name}.key"].write_bytes(one.key_pem())
    files["ca.pem"].write_bytes(authority.certificate_pem())
    options = ("--tls-cert", files["server.pem"], "--tls-key", files["server.key"])
    gateway = _gateway(1)
    async with _running(tmp_path, *map(str, (*options, "--tls-client-ca", files["ca.pem"]))) as running:
        trusting = ssl.create_default_context(cafile=str(files["ca.pem"]))
        await running.register(gateway, trusting)
        url = running.ready["ws_url"]
        # In TLS 1.3 the server refuses after the client's side of the handshake: the first read tells.
        with pytest.raises((InvalidMessage, OSError)):
            async with RawLink(url, gateway, ssl=trusting) as link:
                await link.open()
        trusting.load_cert_chain(files["gw.pem"], files["gw.key"])
        async with RawLink(url, gateway, ssl=trusting) as link:
            assert (await link.open())[:2] == [WELCOME, 0]
            assert (await link.ask([HEARTBEAT, {}]))[0] == 31


def test_commands_are_listed_from_their_files() -> None:
    told = CliRunner().invoke(main, ["--help"])
    assert told.exit_code == 0 and "coordinator" in told.output
    wrong = CliRunner().invoke(main, ["coordinator", "--listen", "nowhere"])
    assert wrong.exit_code == 2 and "host:port expected" in wrong.output
    assert CliRunner().invoke(main, ["nothing"]).exit_code == 2


@dataclass
class _Certified:
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def certificate_pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def _certify(name: str, by: _Certified | None) -> _Certified:
    key, subject = ec.generate_private_key(ec.SECP256R1()), _name(name)
    issuer: Any = by.certificate.subject if by else subject
    now = datetime.now(UTC)
    alternatives = x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))])
    certificate = (
        x509.CertificateBuilder(issuer, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=by is None, path_length=None), critical=True)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(by.key if by else key, hashes.SHA256())
    )
    return _Certified(certificate, key)


def _name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
