"""``doctor``: everything that can be examined, with what was seen, why it matters and what mends it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gateway.app.examine import patient_at, radios_tested
from gateway.cli.colours import BOLD, DIM, GREEN, RED, YELLOW, painted
from gateway.cli.hints import completed
from gateway.cli.options import config_option, socket_option
from gateway.cli.running import NotRunning, ask, socket_at
from gateway.errors import CommandError
from gateway.services.doctor import CHECKS, Finding, document, examine, exit_code

MARKS = {"pass": ("ok  ", GREEN), "warn": ("WARN", YELLOW), "fail": ("FAIL", RED), "skip": ("-   ", DIM)}
WITHIN_S = 60.0
"""Names that do not resolve take their time."""
WIDTH = max(len(check.name) for check in CHECKS)


def _known(context: click.Context, option: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    unknown = set(names) - {check.name for check in CHECKS}
    if unknown:
        raise click.BadParameter(f"no check {sorted(unknown)[0]!r}; see: offgrid-gateway doctor --list")
    return names


@click.command("doctor")
@config_option
@socket_option
@click.option("--only", multiple=True, metavar="NAME", callback=_known, help="This check; may be repeated.")
@click.option("--radios", is_flag=True, help="Each radio's own test too, of those that no gateway holds.")
@click.option("--within", is_flag=True, help="Let the running gateway look, with its own rights.")
@click.option("--list", "listed", is_flag=True, help="Name the checks, and why each matters.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def command(
    config_path: Path,
    socket_path: Path | None,
    only: tuple[str, ...],
    radios: bool,
    within: bool,
    listed: bool,
    as_json: bool,
) -> None:
    """Examine machine, radios, disk, keys and network; say what is wrong and what mends it.

    The gateway may run or not, its configuration may be broken. Nothing is changed and nothing is sent by
    radio. Exits with 0 when all is well, 1 with warnings, 2 when something failed.
    """
    if listed:
        for check in CHECKS:
            click.echo(f"{check.name:<{WIDTH}}  {check.why}")
        return
    told = (lambda finding: None) if as_json else tell
    path = socket_at(config_path, socket_path)
    if within:
        findings = _from_within(path, only, told)
    else:
        patient = patient_at(config_path, status_or_none(path))
        findings = examine(patient, only, told)
        findings += asyncio.run(radios_tested(patient, told)) if radios else []
    click.echo(json.dumps(document(findings), indent=2) if as_json else summary(findings))
    if code := exit_code(findings):
        raise SystemExit(code)


def _from_within(path: Path, only: tuple[str, ...], told: Callable[[Finding], None]) -> list[Finding]:
    found = [Finding(**one) for one in ask(path, "doctor", timeout_s=WITHIN_S)["checks"]]
    findings = [one for one in found if not only or one.name in only]
    for finding in findings:
        told(finding)
    return findings


def status_or_none(path: Path) -> dict[str, Any] | None:
    """What the running gateway says of itself; None where none runs, or it does not answer us."""
    try:
        status: dict[str, Any] = ask(path, "status")
    except NotRunning:
        return None
    except CommandError as error:
        click.echo(f"note: {error}; examined as if it did not run", err=True)
        return None
    return status


def tell(finding: Finding) -> None:
    """A line; what is wrong gets three."""
    mark, colour = MARKS[finding.verdict]
    seen = finding.seen if finding.verdict != "skip" else painted(finding.seen, DIM)
    click.echo(f"{painted(mark, colour)}  {finding.name:<{WIDTH}}  {completed(seen)}")
    if finding.fix:
        space = " " * (WIDTH + 8)
        click.echo(f"{space}{painted(finding.why, DIM)}")
        click.echo(f"{space}-> {completed(finding.fix)}")


def summary(findings: list[Finding]) -> str:
    """A line."""
    words = {"pass": "fine", "warn": "warnings", "fail": "failures", "skip": "skipped"}
    counts = [(sum(one.verdict == verdict for one in findings), word) for verdict, word in words.items()]
    return painted(", ".join(f"{count} {word}" for count, word in counts if count), BOLD)
