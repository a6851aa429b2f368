"""The certificate is rotated under 50 snapshots a second: none is lost, nothing restarts, promises verify.

python -m benchmarks rotation        3,000 snapshots, 10 rotations; with --quick 250 and 2
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.figure import Figure
from benchmarks.phones import Answers, at_rate, ledgers
from simulators.demo.carriers import session
from simulators.demo.children import command
from simulators.demo.house import House, house
from simulators.demo.watch import Watch

PER_SECOND = 50.0
LIMITS = {"peer": {"messages_per_minute": 100_000}, "radio": {"messages_per_minute": 100_000}}


@dataclass(frozen=True, slots=True)
class Result:
    """`restarts`: lives of the daemon beyond the first. `links`: how often the coordinator was reached."""

    promised: int
    refused: int
    delivered: int
    duplicated: int
    rotations: int
    restarts: int
    links: int
    roots_equal: bool
    slowest_s: float


async def measure(folder: Path, snapshots: int, rotations: int) -> Result:
    """So many snapshots in all, and a rotation in the middle of each lot of them.

    A lot has connections of its own: the gateway closes those that were idle for a while.
    """
    answers, each = Answers(), snapshots // rotations
    async with house(folder, Random(1), limits=LIMITS) as here, session() as http:
        watch = Watch(here, http)
        for lot in range(rotations):
            uploads = ledgers(each, 3, f"rotation {lot} ")
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(at_rate(here.http, uploads, PER_SECOND, answers))
                tasks.create_task(_rotate(here, each / PER_SECOND / 2))
        await watch.until(lambda: len(answers.promises) <= watch.gateway_size == watch.held[0])
        return await _audit(here, watch, answers)


async def _rotate(here: House, after_s: float) -> None:
    await asyncio.sleep(after_s)
    await command("rotate", ("gateway", "rotate", "certificate", "--config", str(here.config)), here.folder)


async def _audit(here: House, watch: Watch, answers: Answers) -> Result:
    promises = list(answers.verified(here.gateway_key))
    snapshots = (await watch.accepted())["snapshots"]
    places = {
        bytes.fromhex(one): [(each["origin"], each["index"]) for each in held["heard"]]
        for one, held in snapshots.items()
    }
    return Result(
        promised=len(promises),
        refused=len(answers.refused),
        delivered=sum((one.origin, one.index) in places.get(one.content, []) for one in promises),
        duplicated=sum(len(each) > 1 for each in places.values()),
        rotations=_said(here, "certificate in force"),
        restarts=_said(here, "listening for packet forwarders") - 1,
        links=_said(here, "coordinator connected"),
        roots_equal=watch.held == (watch.gateway_size, watch.gateway_root),
        slowest_s=max(answers.seconds),
    )


def _said(here: House, message: str) -> int:
    return sum(line.get("message") == message for line in here.daemon.lines)


def figures(quick: bool) -> Sequence[Figure]:
    """100 % delivered, by one daemon."""
    snapshots, rotations = (250, 2) if quick else (3000, 10)
    with tempfile.TemporaryDirectory(prefix="offgrid-rotation-") as folder:
        result = asyncio.run(measure(Path(folder), snapshots, rotations))
    return [
        Figure("rotations", "", result.rotations, rotations, "more"),
        Figure("promised", "", result.promised, snapshots, "more"),
        Figure("refused", "", result.refused, 0),
        Figure("delivered", "%", 100 * result.delivered / result.promised, 100, "more"),
        Figure("delivered twice", "", result.duplicated, 0),
        Figure("restarts of the daemon", "", result.restarts, 0),
        Figure("links opened", "", result.links, rotations + 1, "more"),
        Figure("roots equal", "", float(result.roots_equal), 1, "more"),
        Figure("slowest promise", "s", result.slowest_s),
    ]
