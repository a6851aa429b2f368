"""Retention asks for no more than it may, and for all of it when the disk runs full."""

from __future__ import annotations

import asyncio

from gateway.model import Freed, RetentionPolicy
from gateway.services import retention

POLICY = RetentionPolicy(max_snapshots=1000, received_before_ms=5)
FLOOR = 100 << 20


class Rounds:
    """A store with so many rounds of work, and a clock that hands control over at each pause."""

    def __init__(self, rounds: int) -> None:
        self.left = rounds
        self.asked: list[RetentionPolicy] = []
        self.pauses: list[float] = []
        self.idle = asyncio.Event()

    async def prune(self, policy: RetentionPolicy) -> Freed:
        self.asked.append(policy)
        self.left = max(0, self.left - 1)
        return Freed(entries=1024, body_bytes=1, file_bytes=1, more=self.left > 0)

    def monotonic(self) -> float:
        return 0.0

    def unix_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        if seconds:
            self.idle.set()
            await asyncio.Event().wait()


async def run_until_idle(rounds: Rounds, free: int) -> None:
    keeping = retention.keep(rounds, lambda: POLICY, free_bytes=lambda: free, disk_floor=FLOOR, clock=rounds)
    task = asyncio.create_task(keeping)
    await rounds.idle.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_with_room_on_the_disk_it_asks_for_what_is_out_of_the_policy_until_nothing_is_left() -> None:
    rounds = Rounds(3)
    await run_until_idle(rounds, free=2 * FLOOR)
    assert rounds.asked == [POLICY] * 3
    assert rounds.pauses == [0, 0, 0, retention.PERIOD_S]


async def test_under_twice_the_floor_every_acked_body_goes() -> None:
    rounds = Rounds(1)
    await run_until_idle(rounds, free=2 * FLOOR - 1)
    assert rounds.asked == [RetentionPolicy(max_snapshots=0, received_before_ms=5)]
