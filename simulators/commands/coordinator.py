"""``coordinator``: the reference coordinator as a process; prints where it listens as one JSON line."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import ssl
from base64 import b64decode
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import click

from simulators.coordinator import Coordinator, Fault, parse_fault
from simulators.coordinator.bundles import Refused

EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


class _Address(click.ParamType[tuple[str, int]]):
    name = "host:port"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        host, colon, port = str(value).rpartition(":")
        if not colon or not port.isdigit():
            self.fail("host:port expected, such as 127.0.0.1:0", param, ctx)
        return host, int(port)


class _FaultType(click.ParamType[Fault]):
    name = "name[=value][:times][@gateway]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fault:
        try:
            return parse_fault(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.group(invoke_without_command=True)
@click.option("--listen", type=_Address(), default="127.0.0.1:0", show_default=True, help="The WebSocket.")
@click.option("--api", type=_Address(), default="127.0.0.1:0", show_default=True, help="HTTP and /sim.")
@click.option(
    "--db", type=click.Path(dir_okay=False, path_type=Path), help="The store's file; to run it, or to import."
)
@click.option("--token-file", type=EXISTING, help="The admin token, on one line; to run it.")
@click.option("--name", default="offgrid-coordinator", show_default=True, help="Name of the cosigning key.")
@click.option("--tls-cert", type=EXISTING, help="Certificate chain, PEM; both listeners then speak TLS.")
@click.option("--tls-key", type=EXISTING, help="Its private key, PEM.")
@click.option("--tls-client-ca", type=EXISTING, help="The WebSocket wants a certificate from this CA.")
@click.option(
    "--fault", "faults", type=_FaultType(), multiple=True, help="See simulators/coordinator/faults.py."
)
@click.option("--decides", is_flag=True, help="Decides every conflict at once, by the network's rules.")
@click.option("--acks-only", is_flag=True, help="Verifies and keeps nothing; for benchmarks.")
@click.pass_context
def command(
    context: click.Context,
    *,
    listen: tuple[str, int],
    api: tuple[str, int],
    db: Path | None,
    token_file: Path | None,
    name: str,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    faults: tuple[Fault, ...],
    decides: bool,
    acks_only: bool,
) -> None:
    """Takes, verifies and cosigns the logs of gateways until it is told to stop."""
    if context.invoked_subcommand == "command":
        return
    if db is None:
        raise click.UsageError("--db is needed: the store's file")
    if context.invoked_subcommand is not None:
        context.obj = db, name
        return
    if token_file is None:
        raise click.UsageError("--token-file is needed to run it")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    coordinator = Coordinator(
        db=db,
        token=token_file.read_text().strip(),
        listen=listen,
        api=api,
        name=name,
        verify=not acks_only,
        faults=faults,
        decides=decides,
        tls=_tls(tls_cert, tls_key, tls_client_ca),
        api_tls=_tls(tls_cert, tls_key, None),
    )
    asyncio.run(_serve(coordinator))


@command.command("import")
@click.option(
    "--acks", type=click.Path(file_okay=False, path_type=Path), help="Where acks go; else beside each."
)
@click.argument("files", nargs=-1, required=True, type=EXISTING)
@click.pass_obj
def import_bundles(store: tuple[Path, str], acks: Path | None, files: tuple[Path, ...]) -> None:
    """Takes bundles from FILES and writes an ack for each log, GATEWAY-EPOCH.ack.

    Of a coordinator that does not run just now.
    """
    db, name = store
    coordinator = Coordinator(db=db, token="", name=name)
    refused = asyncio.run(_import(coordinator, sorted(files), acks))
    if refused:
        raise click.ClickException(f"{refused} of {len(files)} refused")


@command.command("command")
@click.option("--api", "url", required=True, help="Where the running coordinator serves HTTP.")
@click.option("--token-file", type=EXISTING, required=True, help="The admin token, on one line.")
@click.option("--output", "-o", type=click.Path(path_type=Path), help="Where a file that comes back goes.")
@click.option("--arguments", default="{}", show_default=True, help="A JSON object.")
@click.argument("gateway")
@click.argument("name")
def order(url: str, token_file: Path, output: Path | None, arguments: str, gateway: str, name: str) -> None:
    """Has GATEWAY do NAME (status, doctor, support-bundle, sync, restart, log-level, …), prints its answer.

    Through the API of a coordinator that runs; see docs/protocol/remote.md.
    """
    body = json.dumps({"name": name, "arguments": json.loads(arguments)}).encode()
    headers = {"Authorization": f"Bearer {token_file.read_text().strip()}"}
    request = Request(f"{url}/sim/gateways/{gateway}/order", body, headers)  # noqa: S310 - the asker's own
    try:
        with urlopen(request) as response:  # noqa: S310 - likewise
            answer = json.load(response)
    except HTTPError as error:
        raise click.ClickException(error.read().decode(errors="replace")) from error
    except URLError as error:
        raise click.ClickException(f"{url}: {error.reason}") from error
    if "refused" in answer:
        raise click.ClickException(answer["refused"])
    if "file" not in answer:
        click.echo(json.dumps(answer["result"], indent=2))
        return
    target = output or Path(f"{gateway}-{answer['number']}.tar.gz")
    target.write_bytes(b64decode(answer["file"]))
    click.echo(f"{target}: {target.stat().st_size} bytes")


async def _import(coordinator: Coordinator, files: list[Path], acks: Path | None) -> int:
    """How many were refused; what came too early is tried again behind the others."""
    waiting, refusals, left = files, 0, len(files) + 1
    async with coordinator:
        while waiting and len(waiting) < left:
            left = len(waiting)
            told = [(path, await _take(coordinator, path, acks)) for path in waiting]
            waiting = [path for path, code in told if code == "early"]
            refusals += sum(code not in (None, "early") for _, code in told)
    for path in waiting:
        click.echo(f"{path}: refused: the bundle before it is not here", err=True)
    return refusals + len(waiting)


async def _take(coordinator: Coordinator, path: Path, acks: Path | None) -> str | None:
    """The code of its refusal."""
    try:
        note = await coordinator.bundle(path.read_bytes())  # noqa: ASYNC240 -- nobody else is served
    except Refused as refused:
        if refused.code != "early":
            click.echo(f"{path}: refused: {refused.code}: {refused}", err=True)
        return refused.code
    origin, size = note.decode().splitlines()[:2]
    _, gateway, epoch = origin.split("/")
    target = (acks or path.parent) / f"{gateway}-{epoch}.ack"
    target.write_bytes(note)
    click.echo(f"{path}: taken; {target}: {size} leaves cosigned")
    return None


async def _serve(coordinator: Coordinator) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(coordinator)
        ready = {
            "ws_url": coordinator.ws_url,
            "api_url": coordinator.api_url,
            "coordinator_key": coordinator.vkey,
        }
        click.echo(json.dumps(ready))
        await stop.wait()


def _tls(cert: Path | None, key: Path | None, client_ca: Path | None) -> ssl.SSLContext | None:
    if cert is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    if client_ca:
        context.load_verify_locations(client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
