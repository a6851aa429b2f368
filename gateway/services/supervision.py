"""Runs the services, one task each, and restarts, halts or stops by the kind of failure.

A service is an async callable that runs until it is cancelled. What a failure means is decided by
``gateway.core.restart``; this module only waits, restarts and remembers for ``/status``.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from drivers.errors import DriverError
from gateway.clock import Clock
from gateway.core.restart import Outcome, RestartDelay, gravest, outcome_of
from gateway.errors import FatalError, GatewayError

log = logging.getLogger(__name__)

Service = Callable[[], Awaitable[None]]


class State(StrEnum):
    """Where a service stands; the words of ``/status``."""

    RUNNING = "running"
    WAITING = "waiting"  # failed, will run again after its delay
    HALTED = "halted"  # waits for a person
    STOPPED = "stopped"


@dataclass(slots=True)
class Supervised:
    """One service and how it fares. Owned by its own task; others only read."""

    name: str
    run: Service
    state: State = State.STOPPED
    restarts: int = 0
    reason: str = ""
    since: float = 0.0  # monotonic seconds of the last change of state
    delay: RestartDelay = field(default_factory=RestartDelay)
    again: asyncio.Event = field(default_factory=asyncio.Event)
    free: asyncio.Lock = field(default_factory=asyncio.Lock)  # held while it runs, or is borrowed


class Supervisor:
    """Holds the services of the daemon; ``run()`` returns only by cancellation or a FatalError."""

    def __init__(self, clock: Clock, *, rng: random.Random) -> None:
        self._clock = clock
        self._rng = rng
        self._services: dict[str, Supervised] = {}

    @property
    def services(self) -> dict[str, Supervised]:
        """All services by name, for status and health."""
        return dict(self._services)

    def add(self, name: str, run: Service) -> None:
        """Register a service before :meth:`run`; names are unique."""
        if name in self._services:
            raise ValueError(f"two services named {name!r}")
        self._services[name] = Supervised(name, run, since=self._clock.monotonic())

    def restart(self, name: str) -> None:
        """End the service if it runs, and run it (again) at once: a person acted. Raises KeyError."""
        self._services[name].again.set()

    @asynccontextmanager
    async def borrowed(self, name: str, reason: str) -> AsyncIterator[None]:
        """While inside, the service does not run, and what it held is free. Raises KeyError."""
        service = self._services[name]
        service.again.set()
        async with service.free:
            self._enter(service, State.WAITING, reason)
            yield

    async def run(self) -> None:
        """Run all services until cancelled. Raises FatalError when one of them says the daemon must stop."""
        try:
            async with asyncio.TaskGroup() as group:
                for service in self._services.values():
                    group.create_task(self._keep_running(service), name=service.name)
        except* FatalError as fatal:
            raise _first(fatal) from None

    async def _keep_running(self, service: Supervised) -> None:
        try:
            while True:
                async with service.free:
                    started = self._clock.monotonic()
                    self._enter(service, State.RUNNING, "")
                    error = await _failure_of(service)
                if error is None:
                    log.info("service restarts on request", extra={"service": service.name})
                else:
                    await self._wait_after(service, error, started)
                service.again.clear()
        finally:
            self._enter(service, State.STOPPED, service.reason)

    async def _wait_after(self, service: Supervised, error: Exception, started: float) -> None:
        outcome = outcome_of(error)
        if outcome is Outcome.STOP:
            raise error
        if outcome is Outcome.HALT:
            self._enter(service, State.HALTED, str(error))
            log.error("service halted", extra={"service": service.name, "reason": str(error)})
            await service.again.wait()
            return
        service.delay = service.delay.after_failure(self._clock.monotonic() - started)
        service.restarts += 1
        delay = service.delay.seconds(self._rng.random())
        self._enter(service, State.WAITING, f"{type(error).__name__}: {error}")
        log.warning(
            "service failed, will restart",
            extra={"service": service.name, "reason": service.reason, "delay_s": round(delay, 2)},
            # A failure we raise on purpose is told in one line; anything else is a bug and shows where.
            exc_info=None if isinstance(error, GatewayError | DriverError | OSError) else error,
        )
        await self._sleep_or_again(service, delay)

    async def _sleep_or_again(self, service: Supervised, delay: float) -> None:
        again = asyncio.ensure_future(service.again.wait())
        sleep = asyncio.ensure_future(self._clock.sleep(delay))
        try:
            await asyncio.wait({again, sleep}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            again.cancel()
            sleep.cancel()

    def _enter(self, service: Supervised, state: State, reason: str) -> None:
        service.state, service.reason, service.since = state, reason, self._clock.monotonic()


async def _failure_of(service: Supervised) -> Exception | None:
    """Run the service until it fails; None where a person wants it run again instead."""
    running = asyncio.ensure_future(service.run())
    again = asyncio.ensure_future(service.again.wait())
    try:
        await asyncio.wait({running, again}, return_when=asyncio.FIRST_COMPLETED)
        if not running.done():
            return None
    finally:
        await _end(again, running)
    try:
        await running
    except asyncio.CancelledError:  # not by us, who were waiting for it
        return RuntimeError(f"service {service.name} cancelled itself")
    except Exception as error:  # the one place where any failure of a service is caught
        return gravest(error)
    return RuntimeError(f"service {service.name} returned, but a service runs until it is cancelled")


async def _end(*tasks: asyncio.Future[Any]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _first(group: BaseExceptionGroup[FatalError]) -> FatalError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, FatalError)  # noqa: S101 - except* only hands over FatalErrors
    return error
