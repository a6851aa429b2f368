"""Three outcomes: restart, halt, stop; and neighbours that do not notice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from drivers.errors import DriverConfigError, DriverLost
from gateway.core.restart import LONGEST_DELAY_S, STABLE_S, Outcome, RestartDelay, gravest, outcome_of
from gateway.errors import FatalError, NeedsPerson
from gateway.services.supervision import State, Supervisor


class StillClock:
    """Time stands still; a sleep is recorded and returns when the test lets it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.gate = asyncio.Event()

    def monotonic(self) -> float:
        return self.now

    def unix_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self.gate.wait()


async def forever() -> None:
    await asyncio.Event().wait()


def failing(errors: list[Exception], running: asyncio.Event) -> Callable[[], Awaitable[None]]:
    async def run() -> None:
        if errors:
            raise errors.pop(0)
        running.set()
        await forever()

    return run


async def test_a_dead_radio_is_restarted_and_its_neighbour_is_not_disturbed() -> None:
    clock = StillClock()
    clock.gate.set()
    running, starts = asyncio.Event(), 0

    async def neighbour() -> None:
        nonlocal starts
        starts += 1
        await forever()

    supervisor = Supervisor(clock, rng=random.Random(1))
    supervisor.add("radio", failing([DriverLost("gone"), OSError("bus")], running))
    supervisor.add("neighbour", neighbour)
    task = asyncio.create_task(supervisor.run())
    await running.wait()
    assert supervisor.services["radio"].restarts == 2
    assert supervisor.services["radio"].state is State.RUNNING
    assert starts == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert supervisor.services["neighbour"].state is State.STOPPED


@pytest.mark.parametrize("error", [NeedsPerson("no region", "set it"), DriverConfigError("wrong pin")])
async def test_what_needs_a_person_stays_down_until_a_person_acts(error: Exception) -> None:
    clock = StillClock()
    running = asyncio.Event()
    supervisor = Supervisor(clock, rng=random.Random(1))
    supervisor.add("radio", failing([error], running))
    task = asyncio.create_task(supervisor.run())
    while supervisor.services["radio"].state is not State.HALTED:
        await asyncio.sleep(0)
    assert str(error) in supervisor.services["radio"].reason
    assert clock.slept == []
    supervisor.restart("radio")
    await running.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_running_service_is_run_again_on_request_and_that_is_no_failure() -> None:
    clock = StillClock()
    starts: asyncio.Queue[str] = asyncio.Queue()
    ended = asyncio.Event()

    async def service() -> None:
        starts.put_nowait("started")
        try:
            await forever()
        finally:
            ended.set()

    supervisor = Supervisor(clock, rng=random.Random(1))
    supervisor.add("link", service)
    task = asyncio.create_task(supervisor.run())
    await starts.get()
    supervisor.restart("link")
    await starts.get()
    assert ended.is_set()
    assert supervisor.services["link"].restarts == 0
    assert clock.slept == []
    with pytest.raises(KeyError):
        supervisor.restart("nothing")
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_fatal_failure_cancels_everything_and_comes_out() -> None:
    cancelled = asyncio.Event()

    async def neighbour() -> None:
        try:
            await forever()
        finally:
            cancelled.set()

    supervisor = Supervisor(StillClock(), rng=random.Random(1))
    supervisor.add("store", failing([FatalError("store corrupt")], asyncio.Event()))
    supervisor.add("neighbour", neighbour)
    with pytest.raises(FatalError, match="store corrupt"):
        await supervisor.run()
    assert cancelled.is_set()


async def returns() -> None:
    return None


async def cancels_itself() -> None:
    raise asyncio.CancelledError


@pytest.mark.parametrize(("odd", "word"), [(returns, "returned"), (cancels_itself, "cancelled itself")])
async def test_a_service_that_just_ends_is_a_bug_and_is_restarted(
    odd: Callable[[], Awaitable[None]], word: str
) -> None:
    clock = StillClock()
    supervisor = Supervisor(clock, rng=random.Random(1))
    supervisor.add("odd", odd)
    task = asyncio.create_task(supervisor.run())
    while not clock.slept:
        await asyncio.sleep(0)
    assert supervisor.services["odd"].state is State.WAITING
    assert word in supervisor.services["odd"].reason
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_the_delay_doubles_is_bounded_and_starts_over_after_a_stable_minute() -> None:
    delay, seen = RestartDelay(), []
    for _ in range(10):
        delay = delay.after_failure(ran_s=1)
        seen.append(delay.seconds(jitter=0.999))
    assert seen[0] < 1.0 < seen[1] < 2.0 < seen[2] < 4.0
    assert max(seen) <= LONGEST_DELAY_S
    assert delay.after_failure(ran_s=STABLE_S).failures == 1


async def test_a_fatal_failure_in_the_crowd_of_a_task_group_still_stops_everything() -> None:
    crowd = ExceptionGroup("", [DriverLost("gone"), ExceptionGroup("", [FatalError("store corrupt")])])
    supervisor = Supervisor(StillClock(), rng=random.Random(1))
    supervisor.add("radio", failing([crowd], asyncio.Event()))
    with pytest.raises(FatalError, match="store corrupt"):
        await supervisor.run()


def test_of_several_failures_the_gravest_decides() -> None:
    lost, person = DriverLost("gone"), NeedsPerson("wrong pin", "mend it")
    assert gravest(ExceptionGroup("", [lost, ValueError()])) is lost
    assert gravest(ExceptionGroup("", [ValueError(), ExceptionGroup("", [person]), lost])) is person


def test_a_bug_counts_as_transient() -> None:
    assert outcome_of(ValueError()) is Outcome.RESTART
    assert outcome_of(FatalError()) is Outcome.STOP


async def test_a_borrowed_service_lets_go_and_runs_again_when_it_is_given_back() -> None:
    supervisor = Supervisor(StillClock(), rng=random.Random(1))
    holds: list[bool] = []
    running = asyncio.Event()

    async def radio() -> None:
        holds.append(True)
        running.set()
        try:
            await asyncio.Event().wait()
        finally:
            holds.pop()
            running.clear()

    supervisor.add("lora", radio)
    task = asyncio.create_task(supervisor.run())
    await running.wait()
    async with supervisor.borrowed("lora", "is being tested"):
        assert holds == []
        assert supervisor.services["lora"].reason == "is being tested"
    await running.wait()
    assert supervisor.services["lora"].state == "running"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
