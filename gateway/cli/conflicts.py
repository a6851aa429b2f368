"""``conflicts``: double spends that the gateway has found; the daemon may run or not."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from gateway.cli.log import answer
from gateway.cli.options import config_option
from gateway.config import load
from gateway.core.evidence import EvidenceInvalid, Spent, verify_evidence
from gateway.errors import CommandError
from gateway.services.judged_conflicts import payments

Document = Mapping[str, Any]

json_option = click.option("--json", "as_json", is_flag=True, help="For programs.")


@click.group("conflicts")
def command() -> None:
    """Payments that cannot both be. The gateway keeps evidence; the coordinator decides."""


@command.command("list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """Every conflict, the newest first."""
    found = answer(load(config_path), "conflicts.list", {})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for one in found:
        click.echo(_line(one))
    pending = sum(one["state"] != "decided" for one in found)
    click.echo(f"{len(found)} conflicts, {pending} wait for the coordinator's decision")


@command.command("show")
@config_option
@json_option
@click.option("--save", type=click.Path(dir_okay=False, path_type=Path), help="Write the evidence to a file.")
@click.argument("device")
@click.argument("nonce", type=click.IntRange(0))
def show(config_path: Path, as_json: bool, save: Path | None, device: str, nonce: int) -> None:
    """The conflict of DEVICE (16 hexadecimal digits) at NONCE, with its evidence."""
    found = answer(load(config_path), "conflicts.show", {"device": device, "nonce": nonce})
    if save is not None:
        _save(found, save)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    for line in _screen(found):
        click.echo(line)


@command.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def verify(file: Path) -> None:
    """Verify evidence in FILE by itself: no gateway and no network is needed. Exits with 1 where it fails."""
    try:
        with file.open("rb") as opened:
            evidence = verify_evidence(opened.read(1 << 16))
    except EvidenceInvalid as error:
        raise CommandError(f"{file}: proves nothing: {error}") from None
    click.echo(f"{file}: holds: {evidence.kind.name}")
    if isinstance(evidence, Spent):
        click.echo(f"key {evidence.key.hex()} signed two payments under nonce {evidence.nonce}:")
    for payment in payments(file.read_bytes()):
        click.echo(_payment(payment))


def _save(found: Document, path: Path) -> None:
    if found["evidence"] is None:
        raise CommandError("a body was pruned: the evidence is made when the coordinator has sent it again")
    try:
        path.write_bytes(b64decode(found["evidence"]))
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror or error}") from None


def _line(one: Document) -> str:
    return f"{one['device']}  nonce {one['nonce']:<6} {one['kind']:<16} {one['texts']} texts  {one['state']}"


def _screen(found: Document) -> Iterator[str]:
    yield _line(found)
    decision = found["decision"]
    for payment in found["payments"]:
        marks = []
        if payment["identity"] == found["suggestedWinner"]:
            marks.append(f"suggested ({found['suggested']})")
        if decision is not None and payment["identity"] == decision["winner"]:
            marks.append("decided")
        yield _payment(payment) + ("  <- " + ", ".join(marks) if marks else "")
    if found["state"] == "awaiting body":
        yield "a body was pruned: the evidence is made when the coordinator has sent it again"
    elif decision is None:
        yield f"suggested: {found['suggested']}; the coordinator has not decided"
    elif decision["winner"] is None:
        yield "decided: none of them stands"


def _payment(payment: Document) -> str:
    return f"  {payment['id']}  {payment['amount']} to {payment['to']}  at {payment['timestamp']}"
