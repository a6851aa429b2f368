"""The log itself, synchronous: everything that runs on the store's thread, over its one connection."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

from gateway.core import merkle
from gateway.core.backup import Past
from gateway.core.conflict import KnownTexts
from gateway.core.entry import epoch_of
from gateway.core.evidence import EpochBegun, Evidence, Forked, opened
from gateway.core.merkle import Frontier
from gateway.core.notice import Notice, NoticeKind, read_decision, read_devices
from gateway.core.refusal import Refusal, Refused
from gateway.core.submission import Appended, Brought, Facts, Question, Submission
from gateway.core.sync.messages import MAX_EVIDENCE
from gateway.core.sync.pulled import Pulled
from gateway.core.wallet.objects import Kind
from gateway.errors import FatalError
from gateway.model import (
    Batch,
    Beginning,
    ContentPlace,
    EndedEpoch,
    Figures,
    Freed,
    Halt,
    Head,
    KnownConflict,
    LoggedEntry,
    RetentionPolicy,
)
from gateway.store import beginning, directory, retention
from gateway.store.admission import Admission
from gateway.store.adopting import Adopting, leads_to
from gateway.store.connection import (
    Connect,
    Connection,
    DiskRefused,
    checkpoint,
    connect_sqlite,
    fatal,
    prepare,
    transaction,
)
from gateway.store.entries import read_logged
from gateway.store.epochs import MAX_EPOCH
from gateway.store.evidence import EvidenceBook
from gateway.store.facts import gather_facts
from gateway.store.figures import Tally, checkpoints, read_figures
from gateway.store.group import Group
from gateway.store.keybook import KeyBook
from gateway.store.limits import Limits
from gateway.store.listbook import ListBook
from gateway.store.lookup import Lookup
from gateway.store.messages import read_brought
from gateway.store.migrations import migrate
from gateway.store.reading import Reading
from gateway.store.spends import Spends
from gateway.store.state import LogState
from gateway.store.tiles import StoredTiles
from gateway.store.waiting import Rejudge

FULL_RETRY_S = 60
"""When a device may come again after the disk was full."""

HELD_RETRY_S = 30
"""When a device may come again while the log is being made whole."""

DEFAULT_LIMITS = Limits()

CHECKPOINT_COMMITS = 100
"""Commits, of 5 to 15 pages each where uploads come one by one, that an idle moment is used to copy into the
database. What SQLite does by itself at 2,000 pages is a part of the commit that passes them; it stays for
loads without idle moments. A copy is three fsyncs: 1.03 an upload with its own, of a budget of 1.05."""

FreeBytes = Callable[[], int]


class Ledger:
    """Everything the store knows; used by one thread, the one that opened it.

    After a commit that failed, what memory holds is read from the database anew.
    """

    def __init__(
        self, connection: Connection, path: Path, free_bytes: FreeBytes, limits: Limits, state: LogState
    ) -> None:
        self._connection = connection
        self._path = path
        self._free_bytes = free_bytes
        self._limits = limits
        self._tally = Tally(checkpoints(path))
        self._checkpointed = 0  # of the tally's commits
        self._marks_pending = False
        self._held: set[str] = set()
        self._loads = 0
        self._keys = KeyBook(connection)
        self._begun: Halt | None
        self._load(state)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        gateway_id: str,
        free_bytes: FreeBytes,
        limits: Limits = DEFAULT_LIMITS,
        connect: Connect = connect_sqlite,
    ) -> Self:
        """Open or create. A start after a crash is this same path: SQLite recovers its WAL, no more.

        Raises FatalError where the database cannot be trusted, and when the disk is too full to open it.
        """
        with fatal(path):
            connection = connect(path)
        try:
            prepare(connection, path)
            with fatal(path):
                migrate(connection)
                state = _read_or_create(connection, gateway_id)
                _check_tree(state, connection)
                return cls(connection, path, free_bytes, limits, state)
        except DiskRefused as error:
            connection.close()
            raise FatalError(f"{path}: the disk refused while opening: {error}") from error
        except BaseException:
            connection.close()
            raise

    def close(self) -> None:
        """Commit what was waiting for company, and let go of the file."""
        try:
            if self._marks_pending:
                self._commit(self._group())
        except DiskRefused:
            self._tally.write_failures += 1  # the marks are told again by the next WELCOME
        finally:
            self._connection.close()

    # Uploads.

    def facts_for(self, question: Question) -> Facts:
        return self.facts_for_all([question])[0]

    def facts_for_all(self, questions: Sequence[Question]) -> list[Facts]:
        """To each question what is known, as of the same moment."""
        with fatal(self._path):
            books = self._lookup, self._keys, self._lists, self._evidence
            return gather_facts(questions, self._state, *books)

    def brought(self, entries: int) -> list[Brought]:
        """Of the newest ``entries`` of this epoch, the snapshots whose messages can be recognised."""
        with fatal(self._path):
            return read_brought(self._connection, self._state, entries)

    def append(self, submissions: Sequence[Submission]) -> list[Appended | Refused]:
        """One transaction for all; each is logged, found to be held, or refused by itself."""
        refusal = self._standing_refusal()
        if refusal is not None:
            return self._refuse_all(submissions, refusal)
        group = self._group()
        try:
            with self._undone_on_failure():
                outcomes = [self._admit(group, submission) for submission in submissions]
                self._evidence.stage(group)
                if not group.is_empty:
                    self._commit(group)
        except DiskRefused as error:
            return self._refuse_all(submissions, _storage_full(str(error)))
        self._spends.forget()
        self._keys.trim()
        return [self._told_conflicts(*pair) for pair in zip(submissions, outcomes, strict=True)]

    def rejudge(self) -> bool:
        """One round over what waited for keys proven lately; whether there was one to do."""
        if not self._rejudge.is_due or self._standing_refusal() is not None:
            return False
        try:
            with self._undone_on_failure():
                group = self._group()
                self._rejudge.plan(group)
                self._evidence.stage(group)
                if not group.is_empty:
                    self._commit(group)
        except DiskRefused:
            return False
        return True

    def add_candidate(self, key: bytes) -> None:
        self._keys.add_candidate(key)
        with fatal(self._path):
            self._rejudge.try_candidate(key)

    # The log.

    @property
    def size(self) -> int:
        return self._state.size

    @property
    def frontier(self) -> Frontier:
        """Of the present epoch."""
        return self._state.frontier

    def head(self) -> Head:
        return replace(self._state.head(), begun=self._begun)

    def read_batch(self, start: int, max_entries: int, max_bytes: int) -> Batch:
        with fatal(self._path):
            return Batch(start, tuple(self._logged(start, max_entries, max_bytes)))

    def _logged(self, start: int, max_entries: int, max_bytes: int) -> list[LoggedEntry]:
        return read_logged(self._connection, self._state.numbers, start, max_entries, max_bytes)

    def record_signed(self, size: int, note: bytes) -> None:
        self._require_within(size)
        if size >= self._state.signed_size:
            self._state.signed_size, self._state.signed_note = size, note
            self._marks_pending = True

    def mark_acked(self, size: int, note: bytes) -> None:
        self._require_within(size)
        if size >= self._state.acked_size:
            self._state.acked_size, self._state.cosigned_note = size, note
            self._marks_pending = True

    def halt(self, halt: Halt) -> None:
        """In force at once; on disk at once where the disk allows, else with the next commit."""
        self._state.halted_what, self._state.halted_fix = halt.what, halt.fix
        self._marks_pending = True
        try:
            with self._undone_on_failure():
                self._commit(self._group())
        except DiskRefused:
            return  # kept in memory as a mark: the next commit takes it along, at the latest when closing

    # Epochs.

    def begin_epoch(self, why: Beginning) -> Head:
        """All at once; the head is the old one where the disk refused."""
        evidence, number = self._beginning(why)
        try:
            with self._undone_on_failure():
                with self._transaction():
                    beginning.begin(self._connection, self._state, number, evidence, why)
                    self._state.write(self._connection)
                self._load(self._state)
        except DiskRefused:
            return self.head()
        return self.head()

    def _beginning(self, why: Beginning) -> tuple[tuple[Evidence, ...], int]:
        state, seen = self._state, None if why.seen is None else opened(why.key, why.seen)
        begun = EpochBegun(why.key, state.signed_note, state.size, state.frontier.root(), why.seen, why.why)
        later = 0 if seen is None else epoch_of(seen.origin)
        number = max(state.epoch, later) + 1
        if number > MAX_EPOCH:
            raise FatalError(f"epoch {number}: a log that began so often has a fault that no epoch mends")
        if seen is None or state.signed_note is None or seen.origin != state.origin:
            return (begun,), number
        if not 0 < seen.size <= state.signed_size or self.root_at(seen.size) == seen.root:
            return (begun,), number
        proof = self.consistency(seen.size, state.signed_size)
        fork = Forked(why.key, why.seen or b"", state.signed_note, self.root_at(seen.size), proof)
        return (begun, fork), number

    def adopt(self, pulled: Pulled, size: int, root: bytes) -> int | None:
        """The log's size with these entries; None where they do not lead from our log to that root."""
        state = self._state
        if pulled.start != state.size or not leads_to(state.frontier, pulled, size, root):
            return None
        try:
            with self._undone_on_failure():
                group = self._group()
                adopting = Adopting(self._connection, group, self._keys, self._lists, self._evidence)
                adopting.stage(pulled.entries)
                self._commit(group)
        except DiskRefused:
            return self._state.size
        for key in adopting.candidates:
            self._keys.add_candidate(key)
            self._rejudge.try_candidate(key)
        return self._state.size

    def hold(self, who: str, *, held: bool) -> None:
        """While anyone holds it nothing is logged but what is adopted; in memory only."""
        if held:
            self._held.add(who)
        else:
            self._held.discard(who)

    def repeat_epoch(self, past: Past, number: int, evidence: Sequence[Evidence], again: Beginning) -> None:
        """End the present epoch, as long as ``past`` says, and begin the next, as it was done before.

        For a log that is made anew of its entries.
        """
        state = self._state
        with self._undone_on_failure(), self._transaction():
            state.acked_size, state.cosigned_note = state.size, past.cosigned_note
            state.signed_size, state.signed_note = past.signed_size, past.signed_note
            beginning.begin(self._connection, state, number, evidence, again)
            if past.seen:
                self._connection.execute("UPDATE epochs SET seen = 1 WHERE epoch = ?", (past.epoch,))
            state.write(self._connection)
        self._load(state)

    def holders(self) -> frozenset[str]:
        """Who holds it now."""
        return frozenset(self._held)

    def past_epochs(self) -> list[dict[str, Any]]:
        """Everything there is to keep of epochs that are over, the oldest first."""
        with fatal(self._path):
            return beginning.past_epochs(self._connection)

    def ended_epochs(self) -> list[EndedEpoch]:
        with fatal(self._path):
            return beginning.ended(self._connection)

    def lost_promises(self, count: int) -> None:
        """So many contents were shown to have been promised and are gone."""
        self._state.lost += count
        self._marks_pending = True

    def resume(self) -> None:
        """A person has looked: no halt any more, and no epoch's end that waits to be noticed."""
        self._state.halted_what = self._state.halted_fix = None
        self._noted(lambda: self._connection.execute("UPDATE epochs SET seen = 1"))
        self._begun = beginning.unseen(self._connection)

    # Evidence.

    def evidence_to_tell(self) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """Evidence that goes ahead of the backlog, and hashes of bodies that evidence lacks."""
        with fatal(self._path):
            return tuple(self._evidence.to_tell(MAX_EVIDENCE)), tuple(self._evidence.awaited())

    def conflicts(self, most: int) -> list[KnownTexts]:
        with fatal(self._path):
            return self._evidence.conflicts(most)

    def evidence_told(self, hashes: Sequence[bytes]) -> None:
        self._noted(lambda: self._evidence.told(hashes))

    def take_notice(self, notice: Notice) -> None:
        """Kept, with what follows from it; any other than the next in order changes nothing."""
        if notice.number == self._state.notices + 1:
            self._noted(lambda: self._take(notice))

    def _take(self, notice: Notice) -> None:
        self._state.notices = notice.number
        if notice.kind == NoticeKind.EVIDENCE:
            self._evidence.hear(notice.body)
        elif notice.kind == NoticeKind.DECISION:
            self._state.resolved += self._evidence.decide(read_decision(notice.body), notice.to_bytes())
        elif notice.kind == NoticeKind.DEVICES:
            devices = read_devices(notice.body)
            directory.keep(self._connection, devices)
            self._keys.listed()
            for device in devices:
                self._rejudge.try_candidate(device.key)

    def blocked(self) -> frozenset[bytes]:
        """Keys of devices that the coordinator has blocked."""
        with fatal(self._path):
            return directory.blocked(self._connection)

    def supply(self, bodies: Sequence[bytes]) -> None:
        """Bodies that were awaited: the evidence they complete is logged."""
        if self._standing_refusal() is not None:
            return  # asked for again when the log goes on
        try:
            with self._undone_on_failure():
                group = self._group()
                self._evidence.supply(group, bodies)
                self._commit(group)
        except DiskRefused:
            return  # likewise

    def _noted(self, write: Callable[[], object]) -> None:
        """One commit beside the log; what the disk refuses is told again by the next link."""
        try:
            with self._undone_on_failure(), self._transaction():
                write()
                self._state.write(self._connection)
        except DiskRefused:
            return

    @property
    def evidence_version(self) -> int:
        """Grows when evidence or a decision came; also when memory was read anew."""
        return self._loads + self._evidence.version

    def body(self, object_hash: bytes) -> bytes | None:
        with fatal(self._path):
            return self._reading.body(object_hash)

    def content(self, content: bytes) -> ContentPlace | None:
        with fatal(self._path):
            place = self._reading.content(content)
            if place is None:
                return None
            place = replace(place, cosigned=self._cosigned(place.epoch))
            if not self._evidence.is_any:
                return place
            return replace(place, conflicts=self._conflicts_in(content))

    def _cosigned(self, epoch: int) -> tuple[int, bytes] | None:
        state = self._state
        if epoch == state.epoch:
            return None if state.cosigned_note is None else (state.acked_size, state.cosigned_note)
        return beginning.cosigned(self._connection, epoch)

    def _conflicts_in(self, content: bytes) -> tuple[KnownConflict, ...]:
        row = self._lookup.find((content,))[content][-1]
        if row[2] == Kind.SNAPSHOT:
            return self._evidence.about_places(self._lists.expanded(row[1]))
        return () if row[5] is None else self._evidence.about([row[5]])

    def proof(self, index: int, size: int, epoch: int | None) -> tuple[bytes, ...]:
        if epoch is None or epoch == self._state.epoch:
            self._require_within(size)
        with fatal(self._path):
            return self._reading.proof(index, size, epoch)

    def consistency(self, old_size: int, new_size: int) -> tuple[bytes, ...]:
        self._require_within(new_size)
        with fatal(self._path):
            return self._reading.consistency(old_size, new_size)

    def root_at(self, size: int) -> bytes:
        self._require_within(size)
        with fatal(self._path):
            return self._reading.root_at(size)

    def leaves(self, start: int, most: int) -> bytes:
        end = min(start + most, self._state.size)
        with fatal(self._path):
            return self._reading.leaves(start, end) if start < end else b""

    # Housekeeping.

    def prune(self, policy: RetentionPolicy) -> Freed:
        """Free one round; the ack that allows it is in the same commit, if it was not on disk before."""
        try:
            with self._undone_on_failure():
                begin, end = (
                    self._state.pruned_size,
                    retention.prunable(self._connection, self._state, policy),
                )
                freed = self._prune(begin, end) if end > begin else 0
                given_back = self._shrink()
        except DiskRefused:
            return Freed(0, 0, 0, more=False)
        more = end - begin == retention.ROUND or given_back == retention.LARGEST_SHRINK
        return Freed(end - begin, freed, given_back, more=more)

    def checkpoint(self, after: int = CHECKPOINT_COMMITS) -> None:
        """For an idle moment: the WAL goes into the database, where it has ``after`` commits or more."""
        if self._tally.commits - self._checkpointed >= after:
            self._checkpointed = self._tally.commits
            with fatal(self._path):
                self._tally.write_failures += not checkpoint(self._connection)

    def figures(self) -> Figures:
        with fatal(self._path):
            return read_figures(self._connection, self._path, self._state, self._tally)

    # Commits.

    def _admit(self, group: Group, submission: Submission) -> Appended | Refused:
        try:
            return self._admission.admit(group, submission)
        except Refused as refused:
            self._tally.refused[refused.code.word] += 1
            return refused

    def _told_conflicts(self, submission: Submission, outcome: Appended | Refused) -> Appended | Refused:
        if isinstance(outcome, Refused) or not self._evidence.is_any:
            return outcome
        items = [item.identity for item in submission.items if not isinstance(item, int)]
        return replace(outcome, conflicts=self._evidence.about(items))

    def _prune(self, begin: int, end: int) -> int:
        with self._transaction():
            freed, unproven = retention.prune_bodies(self._connection, begin, end)
            self._state.body_bytes -= freed
            self._state.unproven_bytes -= unproven
            self._state.pruned_size = end
            self._state.write(self._connection)
        return freed

    def _shrink(self) -> int:
        pages = retention.spare_pages(self._connection)
        if not pages:
            return 0
        with self._transaction():  # moving pages takes room in the WAL, which a full disk refuses
            given_back = retention.shrink(self._connection, pages)
            self._state.write(self._connection)
        return given_back

    def _commit(self, group: Group) -> None:
        """Before this returns nothing of the group is promised; after it, all of it survives a power cut."""
        with self._transaction():
            group.write(self._connection)
            self._state.resolved += self._evidence.write()
            self._rejudge.queue(group.keys)
            self._rejudge.queue_overtaken(group.overtaken)
            self._lookup.settle(self._state.next_ordinal)
            self._state.indexed_ordinal = self._lookup.indexed
            self._state.write(self._connection)
        self._lists.committed()
        self._evidence.committed()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """One commit, of which the row of the log is a part: it takes the marks along."""
        started = time.perf_counter()
        with fatal(self._path), transaction(self._connection):
            yield
        self._marks_pending = False
        self._tally.commits += 1
        self._tally.commit_seconds += time.perf_counter() - started

    def _group(self) -> Group:
        return Group(self._state, self._lookup, self._spends)

    @contextmanager
    def _undone_on_failure(self) -> Iterator[None]:
        """Whatever goes wrong, memory goes back to what the database has, and keeps only its marks.

        What a failed group had staged would else be found as held, be promised, and its sizes be written with
        the next commit: a log that no start opens again.
        """
        try:
            with fatal(self._path):
                yield
        except BaseException as error:
            self._tally.write_failures += isinstance(error, DiskRefused)
            self._read_anew()
            raise

    def _read_anew(self) -> None:
        marks = self._state
        try:
            with fatal(self._path):
                state = LogState.read(self._connection)
                if state is None:
                    raise FatalError(f"{self._path}: the row of the log is gone")
                state.keep_marks(marks)
                self._load(state)
        except BaseException:
            self._connection.close()  # who does not know where the log stands writes nothing more
            raise

    def _load(self, state: LogState) -> None:
        self._begun = beginning.unseen(self._connection)
        self._loads += 1 << 32  # beyond whatever the version of the book before was
        self._state = state
        self._keys = KeyBook(self._connection, self._keys.candidates)
        self._lists = ListBook(self._connection, state.numbers)
        self._lookup = Lookup(self._connection, state.indexed_ordinal, self._limits.lookup_tail)
        self._spends = Spends(self._connection)
        self._evidence = EvidenceBook(self._connection)
        self._rejudge = Rejudge(self._connection, self._keys)
        self._reading = Reading(self._connection, self._lookup, state)
        self._admission = Admission(self._connection, self._keys, self._lists, self._limits)

    # Refusals.

    def _standing_refusal(self) -> Refused | None:
        if self._state.halted is not None:
            return Refused(Refusal.HALTED, self._state.halted.what)
        if self._held:
            return Refused(Refusal.BUSY, "the log is being made whole", retry_after_s=HELD_RETRY_S)
        free = self._free_bytes()
        if free < self._limits.free_disk_floor:
            return _storage_full(f"{free >> 20} MiB free, {self._limits.free_disk_floor >> 20} MiB kept")
        return None

    def _refuse_all(self, submissions: Sequence[Submission], refused: Refused) -> list[Appended | Refused]:
        self._tally.refused[refused.code.word] += len(submissions)
        return [refused] * len(submissions)

    def _require_within(self, size: int) -> None:
        if size > self._state.size:
            raise ValueError(f"tree size {size}, the log has {self._state.size}")


def _storage_full(detail: str) -> Refused:
    return Refused(Refusal.STORAGE_FULL, detail, retry_after_s=FULL_RETRY_S)


def _read_or_create(connection: Connection, gateway_id: str) -> LogState:
    state = LogState.read(connection)
    if state is None:
        state = LogState(gateway_id=gateway_id)
        with transaction(connection):
            state.create(connection)
    if state.gateway_id != gateway_id:
        raise FatalError(f"this database is of gateway {state.gateway_id!r}, configured is {gateway_id!r}")
    return state


def _check_tree(state: LogState, connection: Connection) -> None:
    """That entries, tiles and frontier are of one tree, and that it is not shorter than what was signed."""
    highest: int = connection.execute("SELECT MAX(COALESCE(MAX(leaf), -1), -1) FROM entries").fetchone()[0]
    leaves = highest + 1 - state.first_leaf
    try:
        root = merkle.root_at(state.size, StoredTiles(connection, state.numbers))
    except LookupError as error:
        raise FatalError(f"the log has lost hashes: {error}") from error
    if root != state.frontier.root() or leaves != state.size:
        raise FatalError(f"the log of {state.size} leaves has {leaves} entries and another root: restore")
    if state.size < max(state.signed_size, state.acked_size):
        state.halted_what = f"the log has {state.size} leaves, signed were {state.signed_size}"
        state.halted_fix = (
            "put the newest copy of the database back; if there is none, run: offgrid-gateway log resume, "
            "and what the coordinator holds is fetched"
        )
