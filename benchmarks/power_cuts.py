"""Power cuts over the real store: nothing promised may be missing, whatever the disk kept of the rest.

    python -m benchmarks.power_cuts --cuts 10000 [--synchronous NORMAL] [--seed 1]

With ``--synchronous NORMAL`` this is the control that must lose: it shows that the test can see a loss.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from random import Random

from benchmarks.figure import Figure
from benchmarks.recording_disk import MODES, Disk, after_cut, connect_to
from gateway.core.judgement import Judgement, Prepared, judge, prepare
from gateway.core.message.uplink import decode_uplink
from gateway.core.refusal import Refused
from gateway.core.submission import Appended, HeldPlace
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.errors import FatalError
from gateway.model import Halt, RetentionPolicy, Stamp, TimeQuality
from gateway.store.ledger import Ledger
from gateway.store.limits import Limits
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor
from simulators.wallets.wallet import Wallet

PATH = Path("log.db")
GATEWAY = "power-cuts"
LIMITS = Limits(free_disk_floor=0, lookup_tail=60)
PLENTY = 1 << 40


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the store said at a moment: from then on it must hold."""

    after: int
    """Events on the disk until then."""
    size: int
    root: bytes
    promised: tuple[tuple[bytes, HeldPlace], ...]
    halted: bool = False


@dataclass
class Run:
    """A recorded run of the store, and what it acknowledged when."""

    disk: Disk
    acknowledged: list[Acknowledged] = field(default_factory=list)


def open_ledger(disk: Disk, synchronous: str = "FULL") -> Ledger:
    return Ledger.open(
        PATH,
        gateway_id=GATEWAY,
        free_bytes=lambda: PLENTY,
        limits=LIMITS,
        connect=connect_to(disk, synchronous=synchronous),
    )


def record_run(seed: int, payments: int, synchronous: str = "FULL") -> Run:
    """Wallets hand over, groups are committed, acks come, bodies are pruned, the daemon restarts.

    At last the log is halted, and goes on being acked.
    """
    random = Random(seed)
    run = Run(Disk())
    ledger = open_ledger(run.disk, synchronous)
    season = Season(6, seed=seed)
    waiting: list[bytes] = []
    held: dict[str, int] = {}  # payments of each wallet that a committed snapshot lists: a base
    coming: dict[str, int] = {}
    for wallet in season.play(payments, 4):
        message, listed = _message(wallet, season.now_ms, held.get(wallet.device_id, 0), random)
        waiting.append(message)
        coming[wallet.device_id] = listed or coming.get(wallet.device_id, 0)
        if len(waiting) >= random.randint(1, 5):
            commit(run, ledger, waiting)
            waiting.clear()
            held |= coming
        _between(ledger, random)
        if random.random() < 0.05:
            ledger.close()
            ledger = open_ledger(run.disk, synchronous)
    commit(run, ledger, waiting)
    ledger.halt(Halt(what="two heads", fix="ask the operator"))
    head = ledger.head()
    run.acknowledged.append(Acknowledged(len(run.disk.events), head.size, head.root, (), halted=True))
    for _ in range(8):
        _between(ledger, random)
    ledger.close()
    return run


def _message(wallet: Wallet, now_ms: int, held: int, random: Random) -> tuple[bytes, int]:
    """The whole ledger, or what came since ``held``, or some payments without one; how many it lists."""
    kind = random.random()
    if kind < 0.2:
        return transactions_cbor(wallet.key, wallet.ledger[-3:]), 0
    base = held if kind < 0.5 and held < len(wallet.ledger) else 0
    return snapshot_cbor(wallet.hand_over(now_ms), base), len(wallet.ledger)


def _between(ledger: Ledger, random: Random) -> None:
    """What the daemon does beside uploads."""
    if random.random() < 0.2:
        size = ledger.size
        ledger.record_signed(size, b"signed %d" % size)
        ledger.mark_acked(random.randint(ledger.head().acked_size, size), b"cosigned")
    while random.random() < 0.8 and ledger.rejudge():
        pass
    ledger.checkpoint(after=random.randint(2, 9))
    if random.random() < 0.1:
        ledger.prune(RetentionPolicy(max_snapshots=5))


def commit(run: Run, ledger: Ledger, messages: list[bytes]) -> list[Appended | Refused]:
    """Judge and append a group as the recorder does; what comes back is acknowledged."""
    judged = [_judged(ledger, message) for message in messages]
    outcomes = iter(ledger.append([item.submission for item in judged if item.submission is not None]))
    answers = [Appended(item.held, None) if item.submission is None else next(outcomes) for item in judged]
    promised = [
        promise
        for item, answer in zip(judged, answers, strict=True)
        if isinstance(answer, Appended)
        for promise in zip(item.contents, answer.contents, strict=True)
    ]
    head = ledger.head()
    if promised:
        run.acknowledged.append(Acknowledged(len(run.disk.events), head.size, head.root, tuple(promised)))
    return answers


def _judged(ledger: Ledger, message: bytes) -> Judgement:
    prepared = _prepared(message)
    stamp = Stamp(1_790_000_000_000 + ledger.size, TimeQuality.AGREED)
    judgement = judge(prepared, ledger.facts_for(prepared.question), "lora", stamp, sha256(message).digest())
    assert isinstance(judgement, Judgement)  # noqa: S101 - whole ledgers, so no base is asked for
    return judgement


@lru_cache(maxsize=256)  # the same few messages meet fault after fault
def _prepared(message: bytes) -> Prepared:
    decoded = decode_uplink(message, max_bytes=1 << 20)
    assert isinstance(decoded, SnapshotUpload | TransactionsUpload)  # noqa: S101 - our own
    return prepare(decoded)


def check(disk: Disk, acknowledged: list[Acknowledged]) -> str | None:
    """Start as after any stop; the first thing found wrong, or None."""
    try:
        ledger = open_ledger(disk)
    except FatalError as error:
        return f"corrupt: {error}"
    try:
        return _missing(ledger, acknowledged)
    finally:
        ledger.close()


def _missing(ledger: Ledger, acknowledged: list[Acknowledged]) -> str | None:
    for moment in acknowledged[-8:]:
        if ledger.size < moment.size:
            return f"lost: {ledger.size} leaves, {moment.size} were acknowledged"
        if ledger.root_at(moment.size) != moment.root:
            return f"rewritten: another root at {moment.size}"
        if moment.halted and ledger.head().halted is None:
            return "lost: the halt"
    promised = [item for moment in acknowledged for item in moment.promised]
    for content, place in promised[-24:]:
        found = ledger.content(content)
        if found is None or (found.index, found.received_at_ms) != (place.index, place.received_at_ms):
            return f"lost: content {content.hex()[:16]} promised at {place.index}"
    head = ledger.head()
    for entry in ledger.read_batch(head.acked_size, 256, 1 << 20).entries:
        for item in entry.objects:
            if item.body is None or sha256(b"\x02" + item.body).digest() != item.hash:
                return f"lost: a body of entry {entry.index}, not acked"
    return None


def cut_many(cuts: int, seed: int, synchronous: str = "FULL", payments: int = 120) -> Counter[str]:
    """Cut at random moments, in every mode; counts what was found, ``fine`` among it."""
    random = Random(seed)
    found: Counter[str] = Counter()
    run = record_run(seed, payments, synchronous)
    for n in range(cuts):
        at = random.randint(0, len(run.disk.events))
        disk = after_cut(run.disk.events, at, MODES[n % len(MODES)], random)
        acknowledged = [moment for moment in run.acknowledged if moment.after <= at]
        wrong = check(disk, acknowledged)
        found["fine" if wrong is None else wrong.partition(":")[0]] += 1
    return found


def figures(quick: bool) -> list[Figure]:
    """Cuts over the store as it is, and the control with a weaker setting, which must lose."""
    cuts = 1000 if quick else 10_000
    found: Counter[str] = Counter()
    for part in range(0, cuts, 1000):
        found += cut_many(1000, 1 + part)
    control = cut_many(500, 1, "NORMAL")
    return [
        Figure("power cuts", "", cuts),
        Figure("promised and lost, or an invariant broken", "", cuts - found["fine"], 0),
        Figure("lost with synchronous=NORMAL, of 500", "", 500 - control["fine"], 1, "more"),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cuts", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--synchronous", choices=("FULL", "NORMAL"), default="FULL")
    arguments = parser.parse_args()
    found: Counter[str] = Counter()
    for part in range(0, arguments.cuts, 1000):
        cuts = min(1000, arguments.cuts - part)
        found += cut_many(cuts, arguments.seed + part, arguments.synchronous)
    sys.stdout.write(
        json.dumps({"synchronous": arguments.synchronous, "cuts": arguments.cuts, **found}) + "\n"
    )
    lost = arguments.cuts - found["fine"]
    return int(lost > 0) if arguments.synchronous == "FULL" else int(lost == 0)


if __name__ == "__main__":
    sys.exit(main())
