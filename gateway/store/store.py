"""The store as the rest of the gateway sees it: coroutines run on the one thread that owns it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from gateway.core.conflict import KnownTexts
from gateway.core.notice import Notice
from gateway.core.refusal import Refused
from gateway.core.submission import Appended, Brought, Facts, Question, Submission
from gateway.core.sync.pulled import Pulled
from gateway.model import (
    Batch,
    Beginning,
    ContentPlace,
    EndedEpoch,
    Figures,
    Freed,
    Halt,
    Head,
    RetentionPolicy,
)
from gateway.store.connection import Connect, connect_sqlite
from gateway.store.ledger import Ledger
from gateway.store.limits import Limits
from gateway.store.thread import StoreThread

Done = Callable[[Appended | Refused | BaseException], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """Where the database is and how far it may grow.

    ``free_bytes`` says how much the disk has left; below ``limits.free_disk_floor`` nothing new is accepted.
    """

    path: Path
    gateway_id: str
    free_bytes: Callable[[], int]
    limits: Limits = field(default_factory=Limits)
    connect: Connect = connect_sqlite


class Store:
    """The log. Open it with ``async with Store(settings)``.

    Every coroutine runs on the store's own thread and returns frozen values. What returned from
    :meth:`append` is on disk; an upload, a crash and a full disk leave all of a group or nothing of it.

    Raises :class:`gateway.errors.FatalError` at opening when the database is corrupt, held by another
    process, or cannot be set to be durable.
    """

    def __init__(self, settings: StoreSettings) -> None:
        self._settings = settings
        self._thread: StoreThread

    async def __aenter__(self) -> Self:
        settings = self._settings
        self._thread = await StoreThread.start(
            lambda: Ledger.open(
                settings.path,
                gateway_id=settings.gateway_id,
                connect=settings.connect,
                free_bytes=settings.free_bytes,
                limits=settings.limits,
            )
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._thread.stop()

    # What the recorder uses.

    async def facts_for(self, question: Question) -> Facts:
        """What is known already of an upload."""
        return await self._thread.run(lambda ledger: ledger.facts_for(question))

    async def brought(self, entries: int) -> list[Brought]:
        """Of the newest ``entries``, the snapshots that their messages' bytes alone tell; oldest first."""
        return await self._thread.run(lambda ledger: ledger.brought(entries))

    async def append(self, submissions: Sequence[Submission]) -> list[Appended | Refused]:
        """Log a group in one durable transaction; each stands or is refused by itself.

        Raises nothing for a full disk: then every one of the group is Refused with STORAGE_FULL.
        """
        return await self._thread.run(lambda ledger: ledger.append(submissions))

    async def add_candidate(self, key: bytes) -> None:
        """A device said its key (32 bytes): it is tried on what its id signed. In memory, at most 1024."""
        await self._thread.run(lambda ledger: ledger.add_candidate(key))

    # What the sync session uses.

    async def head(self) -> Head:
        """How far the log stands, is signed and is acked, as of the newest commit."""
        return await self._thread.run(lambda ledger: ledger.head())

    async def grown(self, beyond: int) -> Head:
        """The head, as soon as the log has more than ``beyond`` leaves."""
        return await self._thread.grown(beyond)

    async def read_batch(self, start: int, max_entries: int = 256, max_bytes: int = 1 << 20) -> Batch:
        """Entries from ``start`` with their objects: at least one, if any, else within both bounds."""
        return await self._thread.run(lambda ledger: ledger.read_batch(start, max_entries, max_bytes))

    async def record_signed(self, size: int, note: bytes) -> None:
        """Remember the newest checkpoint signed. Rides on the next commit; a crash before it forgets it."""
        await self._thread.run(lambda ledger: ledger.record_signed(size, note))

    async def mark_acked(self, size: int, note: bytes) -> None:
        """Remember that the coordinator cosigned ``size``. Rides on the next commit; WELCOME says it again.

        Raises ValueError above the log's own size.
        """
        await self._thread.run(lambda ledger: ledger.mark_acked(size, note))

    async def halt(self, halt: Halt) -> None:
        """Stop the log, durably: from here on everything new is refused as HALTED until a person lifts it."""
        await self._thread.run(lambda ledger: ledger.halt(halt))

    async def body(self, object_hash: bytes) -> bytes | None:
        """An object's bytes; None when it is not held, or pruned."""
        return await self._thread.run(lambda ledger: ledger.body(object_hash))

    # Epochs.

    async def begin_epoch(self, why: Beginning) -> Head:
        """End this epoch and go on under the next, in one durable transaction; the new head.

        What the coordinator has cosigned stays in the old one and stays provable; all else is the new one's,
        behind a first leaf that commits to both heads. A halt is lifted. On a full disk nothing changes, and
        the head says so. Whoever signs or offers must begin anew: sizes and the origin are others. Raises
        :class:`gateway.core.evidence.EvidenceInvalid` for a ``seen`` that ``key`` has not signed.
        """
        return await self._thread.run(lambda ledger: ledger.begin_epoch(why))

    async def hold(self, who: str, *, held: bool) -> None:
        """While anyone holds it nothing is logged but what :meth:`adopt` brings; uploads are refused as
        BUSY."""
        await self._thread.run(lambda ledger: ledger.hold(who, held=held))

    async def holders(self) -> frozenset[str]:
        """Who holds it now."""
        return await self._thread.run(lambda ledger: ledger.holders())

    async def past_epochs(self) -> list[dict[str, Any]]:
        """Epochs that are over, the oldest first, by the names of :class:`gateway.core.backup.Past`."""
        return await self._thread.run(lambda ledger: ledger.past_epochs())

    async def adopt(self, pulled: Pulled, size: int, root: bytes) -> int | None:
        """Log entries of our own again that an older disk lacks, durably; the log's size then.

        None, and nothing logged, where they do not lead from this log to the tree of ``size`` with ``root``.
        Raises :class:`gateway.store.adopting.NotOurs` for what our log could not have held.
        """
        return await self._thread.run(lambda ledger: ledger.adopt(pulled, size, root))

    async def ended_epochs(self) -> list[EndedEpoch]:
        """Epochs that are over, the oldest first, each with what was told of its end."""
        return await self._thread.run(lambda ledger: ledger.ended_epochs())

    async def lost_promises(self, count: int) -> None:
        """Count promises that wallets showed and whose contents are gone; rides on the next commit."""
        await self._thread.run(lambda ledger: ledger.lost_promises(count))

    async def resume(self) -> None:
        """A person has looked: lift a halt, and take ended epochs as noticed."""
        await self._thread.run(lambda ledger: ledger.resume())

    # Evidence.

    async def evidence_to_tell(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """At most 8 evidence objects that go ahead of the backlog, and at most 32 hashes of bodies that other
        evidence lacks."""
        return await self._thread.run(lambda ledger: ledger.evidence_to_tell())

    async def conflicts(self, most: int = 1000) -> list[KnownTexts]:
        """Conflicts as they stand, at most so many, the newest first."""
        return await self._thread.run(lambda ledger: ledger.conflicts(most))

    async def evidence_told(self, hashes: Sequence[bytes]) -> None:
        """The coordinator has these; on disk when this returned, where the disk allows."""
        await self._thread.run(lambda ledger: ledger.evidence_told(hashes))

    async def take_notice(self, notice: Notice) -> None:
        """Keep a notice that has verified, durably, with what follows from it. The number of the newest one
        stands in :meth:`head`: what a full disk refused is told again."""
        await self._thread.run(lambda ledger: ledger.take_notice(notice))

    async def blocked(self) -> frozenset[bytes]:
        """Keys (32 bytes) of devices that the coordinator has blocked, by its newest notices."""
        return await self._thread.run(lambda ledger: ledger.blocked())

    async def supply(self, bodies: Sequence[bytes]) -> None:
        """Bodies that evidence lacked: what they complete is logged."""
        await self._thread.run(lambda ledger: ledger.supply(bodies))

    # Proofs.

    async def content(self, content: bytes) -> ContentPlace | None:
        """Where the content H (32 bytes) stands; None when this log does not cover it."""
        return await self._thread.run(lambda ledger: ledger.content(content))

    async def proof(self, index: int, size: int, epoch: int | None = None) -> tuple[bytes, ...]:
        """RFC 9162 inclusion proof of leaf ``index`` in the tree of ``size``; ValueError out of range.

        Of an earlier epoch where one is named, at its newest cosigned size or below.
        """
        return await self._thread.run(lambda ledger: ledger.proof(index, size, epoch))

    async def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        """RFC 9162 consistency proof; ValueError unless 0 < ``old_size`` ≤ ``new_size`` ≤ the log's size."""
        return await self._thread.run(lambda ledger: ledger.consistency(old_size, new_size))

    async def root_at(self, size: int) -> bytes:
        """The root when the log had ``size`` leaves; ValueError above its size."""
        return await self._thread.run(lambda ledger: ledger.root_at(size))

    async def leaves(self, start: int, most: int) -> bytes:
        """Leaf hashes from leaf ``start``, 32 bytes each, at most so many; empty where the log ends."""
        return await self._thread.run(lambda ledger: ledger.leaves(start, most))

    # Housekeeping.

    async def prune(self, policy: RetentionPolicy) -> Freed:
        """Free the bodies of at most 1024 entries that are acked on disk and out of the policy."""
        return await self._thread.run(lambda ledger: ledger.prune(policy))

    async def figures(self) -> Figures:
        """Counts for metrics and status."""
        return await self._thread.run(lambda ledger: ledger.figures())

    def submit(
        self, submission: Submission, linger_s: float, on_their_way: Callable[[], int], done: Done
    ) -> None:
        """Queue one submission for the next group commit; callable from any thread.

        The commit waits for company up to ``linger_s``, and not at all once as many are in the group as
        ``on_their_way`` says there are. ``done`` is called on the event loop after the commit, all of a group
        in one call of the loop.
        """
        self._thread.submit(submission, linger_s, on_their_way, done)

    def ask(
        self, questions: Sequence[Question], answered: Callable[[list[Facts] | BaseException], None]
    ) -> None:
        """Queue questions; callable from any thread, ``answered`` is called on the store's thread."""
        self._thread.post(lambda ledger: ledger.facts_for_all(questions), answered)

    @property
    def evidence_version(self) -> int:
        """Grows when evidence or a decision came that an answer given before may lack; readable anywhere."""
        return self._thread.evidence_version

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        return self._thread.loop
