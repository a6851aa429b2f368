"""The thread that owns the database: runs what it is asked, gathers submissions into groups."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Generic, NamedTuple, Self, TypeVar

from gateway.core.refusal import Refused
from gateway.core.submission import Appended, Submission
from gateway.errors import FatalError
from gateway.model import Head
from gateway.store.ledger import Ledger

log = logging.getLogger(__name__)

T = TypeVar("T")

MAX_GROUP = 64
"""Submissions in one commit."""

Outcome = Appended | Refused | BaseException
Done = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Call(Generic[T]):
    """Something to run; ``answer`` is called on the store's thread with the result or the exception."""

    function: Callable[[Ledger], T]
    answer: Callable[[T | BaseException], None]


class _Submitted(NamedTuple):
    submission: Submission
    deadline: float  # time.monotonic() until when company may be waited for
    on_their_way: Callable[[], int]
    done: Done


class _Wake(Enum):
    """What else may stand in the queue."""

    STOP = auto()
    SUBMITTED = auto()  # somebody waits for a commit, or all that are awaited do


class StoreThread:
    """Started and stopped by the event loop; the queue into it is bounded by whoever submits.

    Who submits joins those that wait for the next commit. The thread is woken by the first of them and by the
    one that makes the group whole, not by those between: a wake costs as much as a row.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._jobs: queue.SimpleQueue[_Call[object] | _Wake] = queue.SimpleQueue()
        self._joining = threading.Lock()
        self._group: list[_Submitted] = []  # under the lock: every thread joins, this one takes
        self._thread: threading.Thread
        self._ledger: Ledger
        self._size = 0
        self._broken: FatalError | None = None  # set once, by the thread: every call ends with it then
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []

    @classmethod
    async def start(cls, opening: Callable[[], Ledger]) -> Self:
        """Open the ledger on a new thread; what ``opening`` raises comes out here."""
        self = cls(asyncio.get_running_loop())
        opened: asyncio.Future[None] = self.loop.create_future()
        self._thread = threading.Thread(target=self._main, args=(opening, opened), name="store", daemon=True)
        self._thread.start()
        await opened
        return self

    async def stop(self) -> None:
        """Run what is queued, commit, close. Whoever waits in :meth:`grown` is cancelled."""
        self._jobs.put(_Wake.STOP)
        await asyncio.to_thread(self._thread.join)
        for _, waiter in self._waiters:
            waiter.cancel()

    @property
    def evidence_version(self) -> int:
        return self._ledger.evidence_version

    async def run(self, function: Callable[[Ledger], T]) -> T:
        """The result of ``function``, run on the store's thread. A cancelled caller does not stop it."""
        future: asyncio.Future[T] = self.loop.create_future()
        self.post(function, lambda result: self._to_loop(_resolve, future, result))
        return await future

    def post(self, function: Callable[[Ledger], T], answer: Callable[[T | BaseException], None]) -> None:
        """Queue a call from any thread."""
        self._jobs.put(_Call(function, answer))  # type: ignore[arg-type] # one queue for every T

    def submit(
        self, submission: Submission, linger_s: float, on_their_way: Callable[[], int], done: Done
    ) -> None:
        """Join the next group from any thread; ``done`` runs on the loop."""
        submitted = _Submitted(submission, time.monotonic() + linger_s, on_their_way, done)
        with self._joining:
            self._group.append(submitted)
            waiting = len(self._group)
        if waiting == 1 or waiting >= min(MAX_GROUP, on_their_way()):
            self._jobs.put(_Wake.SUBMITTED)

    async def grown(self, beyond: int) -> Head:
        if self._size <= beyond and self._broken is None:
            waiter: asyncio.Future[None] = self.loop.create_future()
            self._waiters.append((beyond, waiter))
            try:
                await waiter
            finally:
                self._waiters = [item for item in self._waiters if item[1] is not waiter]
        return await self.run(Ledger.head)

    # On the store's thread.

    def _main(self, opening: Callable[[], Ledger], opened: asyncio.Future[None]) -> None:
        try:
            self._ledger = opening()
        except BaseException as error:  # it is raised in start()
            self._to_loop(_resolve, opened, error)
            return
        self._size = self._ledger.size
        self._to_loop(_resolve, opened, None)
        stopping = False
        while not stopping:
            self._tidy_while_idle()
            stopping = self._take(self._jobs.get())
            while self._group:
                stopping = self._gather() or stopping
                self._commit()
        self._close()

    def _take(self, job: _Call[object] | _Wake) -> bool:
        """Whether it is the word to stop."""
        if isinstance(job, _Call):
            self._answer(job)
        return job is _Wake.STOP

    def _close(self) -> None:
        try:
            self._ledger.close()
        except FatalError:
            # Whatever was promised is committed; only marks that WELCOME tells again can be missing.
            log.exception("the store failed while closing")

    def _tidy_while_idle(self) -> None:
        try:
            while self._is_idle and self._ledger.rejudge():
                pass
            if self._is_idle:
                self._ledger.checkpoint()
        except Exception as error:  # a bug too: it would end this thread, and every call would wait for ever
            log.exception("the store failed while nobody was asking")
            self._broken = error if isinstance(error, FatalError) else _fatal(error)
            self._to_loop(self._tell_broken, self._broken)

    @property
    def _is_idle(self) -> bool:
        return self._broken is None and self._jobs.empty()

    def _gather(self) -> bool:
        """Wait for the company of who waits; calls that come between run at once, before the commit.

        Returns whether the word to stop came.
        """
        while len(self._group) < min(MAX_GROUP, self._group[0].on_their_way()):
            rest = min(item.deadline for item in self._group) - time.monotonic()
            try:
                if self._take(self._jobs.get(timeout=max(rest, 0))):
                    return True
            except queue.Empty:
                return False
        return False

    def _answer(self, call: _Call[object]) -> None:
        try:
            self._require_whole()
            result: object = call.function(self._ledger)
        except Exception as error:  # it is the caller's, whatever it is
            result = error
        call.answer(result)
        self._tell_growth()

    def _commit(self) -> None:
        with self._joining:
            group, self._group = self._group[:MAX_GROUP], self._group[MAX_GROUP:]
        outcomes: list[Outcome]
        try:
            self._require_whole()
            outcomes = [*self._ledger.append([item.submission for item in group])]
        except Exception as error:  # every one of the group is told
            outcomes = [error] * len(group)
        self._to_loop(_deliver, [item.done for item in group], outcomes)
        self._tell_growth()

    def _require_whole(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _tell_growth(self) -> None:
        if self._ledger.size != self._size:  # an epoch that begins is shorter
            self._to_loop(self._grow, self._ledger.size)

    def _to_loop(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The loop was closed under us: nobody is left to be told, and what is committed stays committed.
            return

    # On the loop.

    def _grow(self, size: int) -> None:
        self._size = size
        for beyond, waiter in self._waiters:
            if size > beyond and not waiter.done():
                waiter.set_result(None)

    def _tell_broken(self, error: FatalError) -> None:
        for _, waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(error)


def _fatal(error: Exception) -> FatalError:
    fatal = FatalError(f"the store failed while nobody was asking: {type(error).__name__}: {error}")
    fatal.__cause__ = error
    return fatal


def _resolve(future: asyncio.Future[T], result: T | BaseException) -> None:
    if future.done():
        return
    if isinstance(result, BaseException):
        future.set_exception(result)
    else:
        future.set_result(result)


def _deliver(callbacks: list[Done], outcomes: list[Outcome]) -> None:
    for done, outcome in zip(callbacks, outcomes, strict=True):
        done(outcome)
