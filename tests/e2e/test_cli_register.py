"""``register`` against a real HTTP server: what is sent, what is pinned, and every way to be refused."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOKEN = "the-admins-token"
VKEY = "coordinator.example.org/w1+46598b25+BBnpAKfIyy3zPBncurw+Rq+jDEsb6qZqaWwrWvKaxifz"
OTHER = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw="


@dataclass
class Coordinator:
    """Answers each POST with ``status`` and ``body``, and remembers what was asked."""

    status: int = 201
    body: bytes = field(default_factory=lambda: json.dumps({"coordinatorKey": VKEY}).encode())
    headers: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[str, dict[str, str], Any]] = field(default_factory=list)

    def start(self, tls: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
        coordinator = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                coordinator.seen.append((self.path, dict(self.headers), json.loads(body)))
                self.send_response(coordinator.status)
                for name, value in coordinator.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(coordinator.body)

            def log_message(self, format: str, *args: object) -> None:
                """Quiet: the test reads ``seen``."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server


@dataclass(frozen=True)
class Gateway:
    """A gateway's folder with configuration and keys, and the coordinator it will meet."""

    folder: Path
    coordinator: Coordinator

    @property
    def pin(self) -> Path:
        return self.folder / "var/coordinator.vkey"

    def configure(self, address: str, network: str = "") -> None:
        (self.folder / "config.yml").write_text(
            f"""\
gateway: {{id: gw_1, location: {{lat: 40.5, lon: -74, name: Hill}}, type: mesh}}
network: {{api_url: '{address}', ws_url: wss://c.example{network}}}
security: {{private_key_path: gateway.key, certificate_path: gateway.crt}}
storage: {{path: var/gateway.db}}
"""
        )

    def run(self, *arguments: str | Path, stdin: str = TOKEN) -> tuple[int, str, str]:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", *map(str, arguments), "-c", str(self.folder / "config.yml")],
            cwd=ROOT,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from gateway.keys.generate import make_keys

    folder = tmp_path_factory.mktemp("identity")
    make_keys(folder / "gateway.key", folder / "gateway.crt", "gw_1")
    return folder


@pytest.fixture
def gateway(tmp_path: Path, identity: Path) -> Iterator[Gateway]:
    for path in identity.iterdir():
        os.link(path, tmp_path / path.name)
    coordinator = Coordinator()
    server = coordinator.start()
    made = Gateway(tmp_path, coordinator)
    made.configure(f"http://127.0.0.1:{server.server_port}/base/")
    yield made
    server.shutdown()
    server.server_close()


def test_the_request_is_the_deployment_guides_and_the_answers_key_is_pinned(gateway: Gateway) -> None:
    code, out, err = gateway.run("register")

    assert (code, err) == (0, "")
    assert out == f"gw_1: registered\ncoordinator's key pinned: {VKEY}\n"
    assert gateway.pin.read_text() == f"{VKEY}\n"
    [(path, headers, body)] = gateway.coordinator.seen
    assert path == "/base/v1/gateways"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Content-Type"] == "application/json"
    assert body.pop("publicKey") in gateway.run("keygen")[1]
    assert body == {
        "gatewayId": "gw_1",
        "location": {"lat": 40.5, "lon": -74.0, "name": "Hill"},
        "type": "mesh",
    }


def test_registering_again_changes_nothing(gateway: Gateway) -> None:
    gateway.run("register")
    before = gateway.pin.stat()
    gateway.coordinator.status = 200
    code, out, _ = gateway.run("register")

    assert code == 0
    assert out == f"gw_1: was registered already\ncoordinator's key was pinned already: {VKEY}\n"
    assert gateway.pin.stat().st_ino == before.st_ino


def test_the_token_may_come_from_a_file_that_nobody_else_can_read(gateway: Gateway) -> None:
    token = gateway.folder / "token"
    token.write_text(f"{TOKEN}\n")
    code, _, err = gateway.run("register", "--token-file", token, stdin="")
    assert code == 1
    assert err == f"error: {token}: others can read this token; run: chmod 600 {token}\n"
    assert gateway.coordinator.seen == []

    token.chmod(0o600)
    assert gateway.run("register", "--token-file", token, stdin="")[0] == 0
    assert gateway.coordinator.seen[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_an_absent_token_file_is_named(gateway: Gateway) -> None:
    code, _, err = gateway.run("register", "--token-file", gateway.folder / "absent")

    assert code == 1
    assert "absent: the token cannot be read: No such file or directory" in err


@pytest.mark.parametrize("token", ["", "\n", "two words", "line\nbreak", "caf\u00e9"])
def test_what_cannot_be_a_token_is_never_sent(gateway: Gateway, token: str) -> None:
    assert gateway.run("register", stdin=token)[::2] == (
        1,
        "error: no token: one line of ASCII text is expected, typed or by --token-file FILE\n",
    )
    assert gateway.coordinator.seen == []


def test_the_command_line_takes_no_token(gateway: Gateway) -> None:
    assert gateway.run("register", "--token", "x")[0] == 2
    assert gateway.run("register", "x")[0] == 2


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (401, b"", "refused the token (401)"),
        (403, b"", "refused the token (403)"),
        (409, b"", "another key is registered as 'gw_1'"),
        (400, b'{"error": "no such type"}', 'refused the registration (400): {"error": "no such type"}'),
        (404, b"\x1b[2Jnothing", "refused the registration (404): [2Jnothing"),
        (307, b"", "redirects elsewhere (307); put the final address into network.api_url"),
        (503, b"busy", "the coordinator failed (503); try again later: busy"),
        (200, b"<html>", "answered 200 without a coordinator's key; is it the coordinator? It said: <html>"),
        (200, b"[]", "without a coordinator's key"),
        (200, b"[" * 60_000, "without a coordinator's key"),
        (200, b'{"coordinatorKey": 5}', "without a coordinator's key"),
        (200, b'{"coordinatorKey": "abc"}', "without a coordinator's key"),
        (200, b"x" * 1_000_000, "without a coordinator's key"),
    ],
)
def test_every_refusal_has_its_words_and_nothing_is_pinned(
    gateway: Gateway, status: int, body: bytes, words: str
) -> None:
    gateway.coordinator.status, gateway.coordinator.body = status, body
    gateway.coordinator.headers = {"Location": "http://127.0.0.1:9/elsewhere"} if status == 307 else {}
    code, out, err = gateway.run("register")

    assert (code, out) == (1, "")
    assert err.startswith("error: ")
    assert words in err
    assert not gateway.pin.exists()
    assert len(gateway.coordinator.seen) == 1


def test_a_coordinator_with_another_key_than_the_pinned_one_needs_a_person(gateway: Gateway) -> None:
    gateway.run("register")
    gateway.coordinator.body = json.dumps({"coordinatorKey": OTHER}).encode()
    code, _, err = gateway.run("register")

    assert code == 1
    assert f"but {VKEY} is pinned" in err
    assert gateway.pin.read_text() == f"{VKEY}\n"


def test_a_coordinator_with_another_key_than_the_configured_one_is_refused(gateway: Gateway) -> None:
    address = (gateway.folder / "config.yml").read_text().split("'")[1]
    gateway.configure(address, f", coordinator_key: '{OTHER}'")
    code, _, err = gateway.run("register")

    assert code == 1
    assert f"answered with key {VKEY}, but network.coordinator_key is {OTHER}" in err
    assert not gateway.pin.exists()


def test_without_keys_nothing_is_sent(gateway: Gateway) -> None:
    (gateway.folder / "gateway.key").unlink()
    code, _, err = gateway.run("register")

    assert code == 1
    assert "no key here; run: offgrid-gateway keygen" in err
    assert gateway.coordinator.seen == []


def test_a_pin_that_cannot_be_written_is_named(gateway: Gateway) -> None:
    (gateway.folder / "var").write_text("a file where the folder should be")
    code, _, err = gateway.run("register")

    assert code == 1
    assert "coordinator.vkey" in err


def test_a_coordinator_that_cannot_be_reached_is_named(gateway: Gateway) -> None:
    gateway.configure("http://127.0.0.1:1")
    code, _, err = gateway.run("register")

    assert code == 1
    assert err == "error: 127.0.0.1:1 cannot be reached: Connection refused\n"


@pytest.fixture
def secure(gateway: Gateway, identity: Path) -> Iterator[Callable[[str], None]]:
    """A coordinator behind TLS that asks for the gateway's certificate and takes no other."""
    server_certificate(gateway.folder)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(gateway.folder / "server.crt", gateway.folder / "server.key")
    tls.load_verify_locations(identity / "gateway.crt")
    tls.verify_mode = ssl.CERT_REQUIRED
    server = gateway.coordinator.start(tls)
    yield lambda options: gateway.configure(f"https://localhost:{server.server_port}", f", tls: {options}")
    server.shutdown()
    server.server_close()


def server_certificate(folder: Path) -> None:
    import datetime

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "server.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.key").write_bytes(private)


def test_mutual_tls_shows_the_gateways_certificate(gateway: Gateway, secure: Callable[[str], None]) -> None:
    secure("{ca_path: server.crt, client_certificate: true}")

    assert gateway.run("register")[::2] == (0, "")


def test_without_its_certificate_a_strict_coordinator_turns_it_away(
    gateway: Gateway, secure: Callable[[str], None]
) -> None:
    secure("{ca_path: server.crt}")
    code, _, err = gateway.run("register")

    assert code == 1
    assert "cannot be reached" in err
    assert gateway.coordinator.seen == []


def test_an_untrusted_coordinator_gets_no_token(gateway: Gateway, secure: Callable[[str], None]) -> None:
    secure("{client_certificate: true}")
    code, _, err = gateway.run("register")

    assert code == 1
    assert "its certificate is not trusted: self-signed certificate" in err
    assert "look at this machine's clock and at network.tls.ca_path" in err
    assert gateway.coordinator.seen == []


@pytest.mark.parametrize("content", [None, "garbage"])
def test_a_ca_file_that_is_none_is_named(
    gateway: Gateway, secure: Callable[[str], None], content: str | None
) -> None:
    secure("{ca_path: ca.pem}")
    if content is not None:
        (gateway.folder / "ca.pem").write_text(content)
    code, _, err = gateway.run("register")

    assert code == 1
    assert "network.tls.ca_path: no authority's certificate in" in err
