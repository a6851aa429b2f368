"""``kill -9`` of the daemon under load: nothing promised is lost, nothing is logged twice.

    python -m benchmarks kill_nine        20 kills; with --quick 3

Phones send as fast as they are answered. What had no answer when the daemon died is sent again after the next
start, as a wallet does: it may have been stored, and must then get the place that it has.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from benchmarks.figure import Figure
from benchmarks.phones import Answers, Ledger, ledgers, phone
from simulators.demo.carriers import session
from simulators.demo.house import House, inhabited, site
from simulators.demo.watch import Watch

CONNECTIONS = 8
LIMITS = {"peer": {"messages_per_minute": 1_000_000}, "radio": {"messages_per_minute": 1_000_000}}


@dataclass(frozen=True, slots=True)
class Result:
    """Counts over all kills. `resent`: sent in two lives of the daemon."""

    kills: int
    promised: int
    resent: int
    lost: int
    duplicated: int
    contradicted: int
    entries: int
    roots_equal: bool
    slowest_start_s: float


class Load:
    """Uploads that wait, and the answers so far."""

    def __init__(self, uploads: Sequence[Ledger]) -> None:
        self.answers = Answers()
        self.resent = 0
        self._waiting = deque(uploads)
        self._more = asyncio.Event()

    async def until(self, promised: int, url: str) -> asyncio.Task[None]:
        """Phones are sending, and so many promises have come; they go on until the daemon is gone."""
        sending = asyncio.create_task(self._send_all(url))
        while len(self.answers.promises) < promised and not sending.done():
            self._more.clear()
            waiting = asyncio.ensure_future(self._more.wait())
            await asyncio.wait({waiting, sending}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
        return sending

    async def _send_all(self, url: str) -> None:
        async with asyncio.TaskGroup() as phones:
            for _ in range(CONNECTIONS):
                phones.create_task(self._send(url))

    async def _send(self, url: str) -> None:
        with suppress(OSError, EOFError):  # the daemon was killed
            async with phone(url) as one:
                while self._waiting:
                    ledger = self._waiting.popleft()
                    try:
                        began = time.perf_counter()
                        status, body = await one.post(ledger.body)
                    except (OSError, EOFError):
                        self.resent += 1
                        self._waiting.appendleft(ledger)
                        raise
                    self.answers.take(ledger, status, body, time.perf_counter() - began)
                    self._more.set()


async def kill_often(folder: Path, kills: int, seed: int = 1, every: tuple[int, int] = (10, 60)) -> Result:
    """Kill after so many further promises, drawn between the two of ``every``; then let it come to rest."""
    random = Random(seed)
    load = Load(ledgers(kills * every[1] + 20, payments=4, salt=f"kill {seed} "))
    starts = []
    async with site(folder, random, limits=LIMITS) as here:
        for _ in range(kills):
            began = time.monotonic()
            async with inhabited(here) as home:
                starts.append(time.monotonic() - began)
                sending = await load.until(len(load.answers.promises) + random.randint(*every), home.http)
                await home.daemon.kill()
                await sending
        async with inhabited(here) as home:
            await (await load.until(1 << 40, home.http))
            return await _audit(home, load, kills, max(starts))


async def _audit(home: House, load: Load, kills: int, slowest_start_s: float) -> Result:
    async with session() as http:
        watch = Watch(home, http)
        promised = len(load.answers.promises)
        await watch.until(lambda: promised <= watch.gateway_size == watch.held[0])
        snapshots = (await watch.accepted())["snapshots"]
        promises = list(load.answers.verified(home.gateway_key))
        places = {
            bytes.fromhex(one): [(heard["origin"], heard["index"]) for heard in held["heard"]]
            for one, held in snapshots.items()
        }
        return Result(
            kills=kills,
            promised=len(promises),
            resent=load.resent,
            lost=sum((one.origin, one.index) not in places.get(one.content, []) for one in promises),
            duplicated=sum(len(heard) > 1 for heard in places.values()),
            contradicted=load.answers.contradicted,
            entries=watch.gateway_size,
            roots_equal=watch.held == (watch.gateway_size, watch.gateway_root),
            slowest_start_s=slowest_start_s,
        )


def figures(quick: bool) -> list[Figure]:
    """What must be nothing, and how soon the daemon is back."""
    with tempfile.TemporaryDirectory(prefix="offgrid-kill-") as folder:
        result = asyncio.run(kill_often(Path(folder), 3 if quick else 20))
    return [
        Figure("kills", "", result.kills),
        Figure("promised", "", result.promised),
        Figure("sent again after a kill", "", result.resent),
        Figure("promised and lost", "", result.lost, 0),
        Figure("logged twice", "", result.duplicated, 0),
        Figure("promised at two places", "", result.contradicted, 0),
        Figure("roots equal", "", float(result.roots_equal), 1, "more"),
        Figure("slowest start after a kill", "s", result.slowest_start_s),
    ]
