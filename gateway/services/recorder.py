"""The one way into the log, for every radio: judge an upload, have it committed, promise it.

record() → hashes, of many transactions on a verify thread → store: what is known → verify thread: signatures
         → store: group commit → event loop: the promise is signed, the answer goes back
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Self

from gateway.core.judgement import Judgement, Prepared, judge, prepare
from gateway.core.message.answer_json import Tally
from gateway.core.message.downlink import Downlink, Loose, Nack, Promise, PromisedEntry, Resume
from gateway.core.receipt import promise_leaf, promise_text
from gateway.core.refusal import Refusal, Refused
from gateway.core.submission import Appended, Brought, Facts, HeldPlace, Upload
from gateway.errors import FatalError
from gateway.model import KnownConflict, Stamp
from gateway.store import Store

log = logging.getLogger(__name__)

MAX_IN_FLIGHT = 256
"""Uploads between :meth:`Recorder.record` and their commit; one more is answered ``busy``."""

BUSY_RETRY_S = 5

MANY = 256
"""Transactions; so many or more are hashed on a verify thread: at 1 to 2 µs each they would hold the loop."""

MAX_REMEMBERED = 4096
"""Contents promised lately whose answers are kept by fingerprint, about 1 kB each, 4 MB in all. A message of
many loose payments takes the room of as many; the answers longest not asked for make it."""

MAX_RESUMING = 1024
"""Keys whose RESUMEs are counted; the one that was answered longest ago makes room."""

RESUMES = 3
RESUMES_WITHIN_S = 3600.0

MAX_LINGER_S = 0.25
"""The deeper the queue, the longer a group may wait for company: who stands in it waits anyway."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """The answer to an upload. ``contents`` are its H (32 bytes each), empty where nothing was promised."""

    answer: Downlink
    contents: tuple[bytes, ...] = ()
    tally: Tally = field(default_factory=Tally)
    duplicate: bool = False
    conflicts: tuple[KnownConflict, ...] = ()


@dataclass(slots=True)
class _Flight:
    """One upload on its way; handed from thread to thread, never in two hands at once."""

    upload: Upload
    stamp: Stamp
    future: asyncio.Future[Recorded]
    judgement: Judgement | None = None


class Recorder:
    """``async with Recorder(...)`` while the store is open; :meth:`record` from the event loop only."""

    def __init__(
        self,
        store: Store,
        *,
        sign: Callable[[bytes], bytes],
        now: Callable[[], Stamp],
        monotonic: Callable[[], float],
        verify_threads: int = 1,
    ) -> None:
        self._store = store
        self._sign = sign
        self._now = now
        self._monotonic = monotonic
        self._asking: list[tuple[_Flight, Prepared]] = []
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [
            threading.Thread(target=self._verify, name=f"verify-{number}", daemon=True)
            for number in range(verify_threads)
        ]
        self._base = ""
        self._in_flight = 0
        self._remembered: OrderedDict[bytes, Recorded] = OrderedDict()
        self._contents_remembered = 0
        self._evidence_version = 0
        self._brought: dict[bytes, Brought] = {}  # promised before the start, by fingerprint
        self._resumes: OrderedDict[bytes, list[float]] = OrderedDict()
        self._broken: asyncio.Future[None]

    async def __aenter__(self) -> Self:
        self._base = (await self._store.head()).origin.rpartition("/")[0]
        self._evidence_version = self._store.evidence_version
        self._brought = {item.fingerprint: item for item in await self._store.brought(MAX_REMEMBERED)}
        self._broken = asyncio.get_running_loop().create_future()
        for thread in self._threads:
            thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            await asyncio.to_thread(thread.join)
        self._broken.cancel()

    async def run(self) -> None:
        """Runs until cancelled; raises the FatalError that the store ended with."""
        await asyncio.shield(self._broken)

    @property
    def in_flight(self) -> int:
        """Uploads that wait for their commit."""
        return self._in_flight

    def remembered(self, fingerprint: bytes) -> Recorded | None:
        """The answer to these very bytes, where they were promised lately; cheap, to ask before decoding."""
        if self._evidence_version != self._store.evidence_version:  # an answer may lack what was found since
            self._evidence_version = self._store.evidence_version
            self._remembered.clear()
            self._contents_remembered = 0
            self._brought.clear()
        recorded = self._remembered.get(fingerprint)
        if recorded is not None:
            self._remembered.move_to_end(fingerprint)
            return recorded
        brought = self._brought.pop(fingerprint, None)
        return None if brought is None else self._promise_again(brought)

    async def record(self, upload: Upload) -> Recorded:
        """Judge and log an upload. After this returned a Promise, a power cut cannot lose what it promises.

        Every refusal is an answer (Nack, Resume, Loose). Raises FatalError when the store is broken. A caller
        that is cancelled leaves the upload on its way: its next sending is then a duplicate.
        """
        recorded = self.remembered(upload.fingerprint)
        if recorded is not None:
            return recorded
        if self._in_flight >= MAX_IN_FLIGHT:
            return Recorded(answer=Nack(Refusal.BUSY, BUSY_RETRY_S, "too many uploads at once"))
        flight = _Flight(upload, self._now(), asyncio.get_running_loop().create_future())
        if len(upload.message.items) < MANY:
            self._join(flight, prepare(upload.message))
        else:
            self._jobs.put(partial(self._hash, flight))
        self._in_flight += 1
        return await flight.future

    def _join(self, flight: _Flight, prepared: Prepared) -> None:
        """For everybody who came in this turn of the loop: one call into the store's thread."""
        if not self._asking:
            self._store.loop.call_soon(self._ask_for_all)
        self._asking.append((flight, prepared))

    def _ask_for_all(self) -> None:
        flights, self._asking = self._asking, []
        self._ask(flights)

    # On any thread.

    def _ask(self, flights: list[tuple[_Flight, Prepared]]) -> None:
        questions = [prepared.question for _, prepared in flights]
        self._store.ask(questions, lambda answer: self._asked(flights, answer))

    # On the store's thread.

    def _asked(self, flights: list[tuple[_Flight, Prepared]], answer: list[Facts] | BaseException) -> None:
        if isinstance(answer, BaseException):
            for flight, _ in flights:
                self._land(flight, answer)
        else:
            for (flight, prepared), facts in zip(flights, answer, strict=True):
                self._jobs.put(partial(self._judge, flight, prepared, facts))

    # On a verify thread.

    def _verify(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _hash(self, flight: _Flight) -> None:
        try:
            prepared = prepare(flight.upload.message)
        except Exception as error:  # a bug on one upload
            self._land(flight, error)
            return
        self._ask([(flight, prepared)])

    def _judge(self, flight: _Flight, prepared: Prepared, facts: Facts) -> None:
        try:
            upload = flight.upload
            outcome = judge(prepared, facts, upload.source.radio, flight.stamp, upload.fingerprint)
        except Exception as error:  # Refused, or a bug on one upload
            self._land(flight, error)
            return
        if not isinstance(outcome, Judgement):
            self._land(flight, outcome)
            return
        flight.judgement = outcome
        if outcome.submission is None:
            self._land(flight, Appended(outcome.held, None, outcome.conflicts))
        else:
            linger = self._linger(flight.upload.source.linger_s)
            self._store.submit(
                outcome.submission, linger, lambda: self._in_flight, lambda end: self._landed(flight, end)
            )

    def _linger(self, per_upload_s: float) -> float:
        others = self._in_flight - 1
        return min(per_upload_s * others, MAX_LINGER_S)

    def _land(self, flight: _Flight, outcome: Appended | Resume | BaseException) -> None:
        self._store.loop.call_soon_threadsafe(self._landed, flight, outcome)

    # On the event loop.

    def _landed(self, flight: _Flight, outcome: Appended | Resume | BaseException) -> None:
        self._in_flight -= 1
        try:
            self._answer(flight, outcome)
        except (
            Exception
        ) as error:  # a bug on one upload: those that land in the same call are told all the same
            self._fail(flight, error)

    def _answer(self, flight: _Flight, outcome: Appended | Resume | BaseException) -> None:
        match outcome:
            case Appended():
                self._settle(flight, self._promise(flight, outcome))
            case Resume():
                self._settle(flight, Recorded(answer=self._resume(flight, outcome)))
            case Refused():
                self._settle(flight, Recorded(answer=Nack.of(outcome)))
            case _:
                self._fail(flight, outcome)

    def _settle(self, flight: _Flight, recorded: Recorded) -> None:
        if log.isEnabledFor(logging.DEBUG):
            source = flight.upload.source
            fields = {"correlation": source.correlation_id, "radio": source.radio}
            answer = {"answer": _word(recorded.answer), "duplicate": recorded.duplicate}
            log.debug("recorded", extra=fields | answer)
        if not flight.future.done():
            flight.future.set_result(recorded)

    def _fail(self, flight: _Flight, error: BaseException) -> None:
        if isinstance(error, FatalError) and not self._broken.done():
            self._broken.set_exception(error)
        if not flight.future.done():
            flight.future.set_exception(error)

    def _promise(self, flight: _Flight, appended: Appended) -> Recorded:
        judgement = flight.judgement
        assert judgement is not None  # noqa: S101 - only a judged upload is appended
        epochs = {place.epoch for place in appended.contents}
        if len(epochs) > 1:
            return Recorded(
                answer=Nack(Refusal.TOO_LARGE, 0, "some stand in an earlier epoch: send one by one")
            )
        origin = f"{self._base}/{epochs.pop()}"
        leaves = [
            promise_leaf(origin, place, content)
            for place, content in zip(appended.contents, judgement.contents, strict=True)
        ]
        answer = Promise(origin, self._sign(promise_text(leaves)), _entries(appended.contents))
        recorded = Recorded(
            answer=answer,
            contents=judgement.contents,
            tally=judgement.tally,
            duplicate=appended.entry is None,
            conflicts=tuple(dict.fromkeys((*appended.conflicts, *judgement.conflicts))),
        )
        key = flight.upload.message.key
        if key is not None:
            self._resumes.pop(key, None)
        # A HELLO in between may verify what came without a key: it is judged anew when it comes again.
        if key is not None or not judgement.tally.unverified:
            self._remember(flight.upload.fingerprint, recorded)
        return recorded

    def _promise_again(self, brought: Brought) -> Recorded:
        """What was promised before the start: the same leaf, hence the same signature."""
        leaf = promise_leaf(brought.origin, brought.place, brought.content)
        recorded = Recorded(
            answer=Promise(brought.origin, self._sign(promise_text([leaf])), _entries((brought.place,))),
            contents=(brought.content,),
            tally=Tally(known=brought.transactions),
            duplicate=True,
        )
        self._remember(brought.fingerprint, recorded)
        return recorded

    def _remember(self, fingerprint: bytes, recorded: Recorded) -> None:
        again = Recorded(
            answer=recorded.answer,
            contents=recorded.contents,
            tally=recorded.tally,
            duplicate=True,
            conflicts=recorded.conflicts,
        )
        if fingerprint not in self._remembered:  # a copy of it may have been on its way beside it
            self._contents_remembered += len(recorded.contents)
        self._remembered[fingerprint] = again
        while self._contents_remembered > MAX_REMEMBERED:
            self._contents_remembered -= len(self._remembered.popitem(last=False)[1].contents)

    def _resume(self, flight: _Flight, resume: Resume) -> Resume | Loose:
        """RESUME, and LOOSE where three of them in a row within an hour did not help this key."""
        key, now = flight.upload.message.key, self._monotonic()
        assert key is not None  # noqa: S101 - only a snapshot has a base
        recent = [at for at in self._resumes.pop(key, []) if now - at < RESUMES_WITHIN_S]
        if len(recent) >= RESUMES:
            return Loose()
        if len(self._resumes) >= MAX_RESUMING:
            self._resumes.popitem(last=False)
        self._resumes[key] = [*recent, now]
        return resume


def _entries(places: tuple[HeldPlace, ...]) -> tuple[PromisedEntry, ...]:
    """Places in order, neighbours in one entry as one item."""
    items: list[PromisedEntry] = []
    for place in places:
        leaves = 1
        if items and items[-1].index == place.index:
            leaves += items.pop().leaves
        items.append(PromisedEntry(place.index, place.received_at_ms, place.quality, None, leaves))
    return tuple(items)


def _word(answer: Downlink) -> str:
    return answer.code.word if isinstance(answer, Nack) else type(answer).__name__.lower()
