"""``register``: make the gateway known to the coordinator, and pin the coordinator's key."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from gateway.cli.hints import completed
from gateway.cli.options import config_option
from gateway.cli.running import NotRunning, ask
from gateway.config import Config, Network, load
from gateway.core.pin import CoordinatorKey
from gateway.errors import CommandError
from gateway.keys import Identity, load_identity, store_pin

TIMEOUT_S = 30.0
_MAX_TOKEN = 8192
_MAX_ANSWER = 64 * 1024


@click.command("register")
@config_option
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Where the administrator's token stands; without it, it is read from standard input.",
)
def command(config_path: Path, token_file: Path | None) -> None:
    """Register this gateway's id, place and public key with the coordinator; pin the key it answers with.

    Run again, it changes nothing. The token is never taken from the command line, where others can see it.
    """
    config = load(config_path)
    load_identity(
        config.security.private_key_path, config.security.certificate_path
    )  # before anybody is asked
    enrol(config, _typed_token() if token_file is None else stored_token(token_file))


def enrol(config: Config, token: str) -> None:
    """Register and pin, and say so. Raises GatewayError with what is to be done."""
    identity = load_identity(config.security.private_key_path, config.security.certificate_path)
    answer = _post(config, identity, registration(config, identity), _sound(token))
    key = coordinator_key(answer, config)
    new = _pin(config.storage.pin_path, key)
    click.echo(f"{config.gateway.id}: {'registered' if answer.status == 201 else 'was registered already'}")
    click.echo(f"coordinator's key {'pinned' if new else 'was pinned already'}: {key}")
    _tell_the_gateway(config)


def _tell_the_gateway(config: Config) -> None:
    """A link without a key waits for a person, one that was turned away for its backoff."""
    try:
        ask(config.control_socket, "sync")
    except NotRunning:
        return
    except CommandError as error:
        click.echo(
            completed(f"the running gateway was not told ({error}); run: offgrid-gateway sync"), err=True
        )
        return
    click.echo("the running gateway tries the coordinator now")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the coordinator said: status, and its body as text."""

    status: int
    body: str


def registration(config: Config, identity: Identity) -> dict[str, Any]:
    """The request's body, as the deployment guide has it."""
    gateway = config.gateway
    return {
        "gatewayId": gateway.id,
        "publicKey": identity.registration_key_base64,
        "location": gateway.location.model_dump(),
        "type": gateway.type,
    }


def coordinator_key(answer: Answer, config: Config) -> CoordinatorKey:
    """The key in a good answer. Raises :class:`CommandError` for any other, in words for a technician."""
    if answer.status not in (200, 201):
        raise CommandError(_refusal(answer, config))
    try:
        key = CoordinatorKey.parse(str(json.loads(answer.body)["coordinatorKey"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        raise CommandError(
            f"{config.network.api_url} answered {answer.status} without a coordinator's key; "
            f"is it the coordinator? It said: {_printable(answer.body)}"
        ) from None
    configured = config.network.coordinator_key
    if configured is not None and configured.public_key != key.public_key:
        raise CommandError(
            f"the coordinator answered with key {key}, but network.coordinator_key is {configured}; "
            "find out which is right before going on"
        )
    return key


def _refusal(answer: Answer, config: Config) -> str:
    gateway_id, address = config.gateway.id, config.network.api_url
    said = _printable(answer.body)
    if answer.status in (401, 403):
        return f"the coordinator refused the token ({answer.status}); ask its administrator for a new one"
    if answer.status == 409:
        return (
            f"another key is registered as {gateway_id!r}; restore that gateway's key, choose another "
            "gateway.id, or have the administrator remove the old registration"
        )
    if 300 <= answer.status < 400:
        return f"{address} redirects elsewhere ({answer.status}); put the final address into network.api_url"
    if answer.status >= 500:
        return f"the coordinator failed ({answer.status}); try again later: {said}"
    return f"the coordinator refused the registration ({answer.status}): {said}"


def _printable(text: str) -> str:
    """The beginning of what a stranger said, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else " " for letter in text[:200]).strip()


def _sound(text: str) -> str:
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise CommandError("no token: one line of ASCII text is expected, typed or by --token-file FILE")
    return token


def _typed_token() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Administrator's token", hide_input=True, err=True))
    return sys.stdin.buffer.read(_MAX_TOKEN).decode("utf-8", "replace")


def stored_token(path: Path) -> str:
    """Raises CommandError also where others can read it."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise CommandError(f"{path}: others can read this token; run: chmod 600 {path}")
            return file.read(_MAX_TOKEN)
    except OSError as error:
        raise CommandError(f"{path}: the token cannot be read: {error.strerror}") from error


def _pin(path: Path, key: CoordinatorKey) -> bool:
    try:
        return store_pin(path, key)
    except OSError as error:
        raise CommandError(f"{path}: the coordinator's key cannot be written: {error.strerror}") from error


def _post(config: Config, identity: Identity, body: dict[str, Any], token: str) -> Answer:
    """One request; redirects are not followed, for the token would go with them."""
    address = urlsplit(config.network.api_url)
    connection = _connection(config.network, identity)
    try:
        connection.request(
            "POST",
            f"{address.path}/v1/gateways",
            json.dumps(body),
            {"Authorization": f"Bearer {token}", "Content-Type": "application/json"},
        )
        response = connection.getresponse()
        return Answer(response.status, response.read(_MAX_ANSWER).decode("utf-8", "replace"))
    except ssl.SSLCertVerificationError as error:
        raise CommandError(
            f"{address.netloc}: its certificate is not trusted: {error.verify_message}; look at this "
            "machine's clock and at network.tls.ca_path"
        ) from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise CommandError(f"{address.netloc} cannot be reached: {reason}") from None
    finally:
        connection.close()


def _connection(network: Network, identity: Identity) -> http.client.HTTPConnection:
    address = urlsplit(network.api_url)
    host = address.hostname or ""
    if address.scheme == "http":
        return http.client.HTTPConnection(host, address.port, timeout=TIMEOUT_S)
    try:
        context = ssl.create_default_context(cafile=network.tls.ca_path)
    except OSError as error:
        path = network.tls.ca_path
        raise CommandError(f"network.tls.ca_path: no authority's certificate in {path}: {error}") from None
    if network.tls.client_certificate:
        context.load_cert_chain(identity.certificate_path, identity.private_key_path)
    return http.client.HTTPSConnection(host, address.port, timeout=TIMEOUT_S, context=context)
