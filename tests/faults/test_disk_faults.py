"""A disk that is full or broken at any one write or sync: a refusal, nothing lost, and then on as before."""

from __future__ import annotations

from functools import cache
from random import Random

import apsw
import pytest

from benchmarks.power_cuts import Run, check, commit, open_ledger
from benchmarks.recording_disk import MODES, Disk, after_cut
from gateway.core.refusal import Refusal, Refused
from gateway.core.submission import Appended
from gateway.errors import FatalError
from gateway.model import Halt, RetentionPolicy
from gateway.store.ledger import Ledger
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor

GROUPS = 5


class Fault:
    """Raises at writes and syncs number ``first`` to ``last``, counted from now."""

    def __init__(self, code: int, first: int, last: int) -> None:
        self._code = code
        self._span = range(first, last + 1)
        self.seen = 0

    def __call__(self, kind: str) -> None:
        if kind in ("write", "sync"):
            self.seen += 1
            if self.seen in self._span:
                raise apsw.exception_for(self._code)


@cache
def messages() -> list[list[bytes]]:
    season = Season(3, seed=5)
    handed = [snapshot_cbor(wallet.hand_over(season.now_ms)) for wallet in season.play(20, 4)]
    return [handed[n::GROUPS] for n in range(GROUPS)]


def new_store(disk: Disk) -> tuple[Run, Ledger, list[object]]:
    """A new store on this disk."""
    return Run(disk), open_ledger(disk), []


@cache
def faults_in_a_whole_run() -> int:
    disk = Disk()
    run, ledger, _ = new_store(disk)
    fault = Fault(apsw.SQLITE_FULL, 0, -1)
    disk.fault = fault
    for group in messages():
        commit(run, ledger, group)
    return fault.seen


@pytest.mark.parametrize("code", [apsw.SQLITE_FULL, apsw.SQLITE_IOERR], ids=["ENOSPC", "EIO"])
@pytest.mark.parametrize("length", [1, 5])
def test_a_fault_at_any_write_or_sync_refuses_and_loses_nothing(code: int, length: int) -> None:
    random = Random(1)
    refused = 0
    for at in range(1, faults_in_a_whole_run() + 1):
        disk = Disk()
        run, ledger, outcomes = new_store(disk)
        disk.fault = Fault(code, at, at + length - 1)
        for group in messages():
            outcomes += commit(run, ledger, group)
        disk.fault = lambda kind: None
        for group in messages():  # there is room again, and the devices come again
            again = commit(run, ledger, group)
            assert all(isinstance(outcome, Appended) for outcome in again)
        refusals = [outcome for outcome in outcomes if not isinstance(outcome, Appended)]
        assert {outcome.code for outcome in refusals if isinstance(outcome, Refused)} <= {
            Refusal.STORAGE_FULL
        }
        refused += len(refusals)
        mode = MODES[at % len(MODES)]
        assert check(after_cut(disk.events, len(disk.events), mode, random), run.acknowledged) is None
        ledger.close()
        assert check(disk.synced(), run.acknowledged) is None
    assert refused > 0


def test_a_disk_too_full_to_open_the_database_is_fatal_with_a_word_about_the_disk() -> None:
    disk = Disk()
    disk.fault = Fault(apsw.SQLITE_FULL, 1, 1 << 30)
    with pytest.raises(FatalError, match="disk refused"):
        open_ledger(disk)


def test_a_disk_that_filled_up_meanwhile_opens_refuses_and_goes_on_when_there_is_room() -> None:
    disk = Disk()
    run, ledger, _ = new_store(disk)
    groups = messages()
    commit(run, ledger, groups[0])
    ledger.close()
    disk.fault = Fault(apsw.SQLITE_FULL, 1, 1 << 30)
    ledger = open_ledger(disk)
    assert all(isinstance(outcome, Refused) for outcome in commit(run, ledger, groups[1]))
    disk.fault = lambda kind: None
    assert all(isinstance(outcome, Appended) for outcome in commit(run, ledger, groups[1]))
    ledger.close()


@pytest.mark.parametrize("code", [apsw.SQLITE_FULL, apsw.SQLITE_IOERR], ids=["ENOSPC", "EIO"])
def test_a_wal_that_the_disk_will_not_copy_loses_nothing_and_is_copied_later(code: int) -> None:
    for at in range(1, 12):
        disk = Disk()
        run, ledger, _ = new_store(disk)
        commit(run, ledger, messages()[0])
        before, disk.fault = len(disk.events), Fault(code, at, at)
        ledger.checkpoint(after=1)
        disk.fault = lambda kind: None
        assert (
            check(
                after_cut(disk.events, len(disk.events), MODES[at % len(MODES)], Random(at)), run.acknowledged
            )
            is None
        )
        if not ledger.figures().write_failures_since_opening:
            break  # a copy takes no more than this
        commit(run, ledger, messages()[1])
        ledger.checkpoint(after=1)
        assert ("sync", "log.db") in [(event.kind, event.file) for event in disk.events[before:]]
        ledger.close()
        assert check(disk.synced(), run.acknowledged) is None
    assert at > 3


def test_a_halt_holds_although_the_disk_is_full_and_is_written_when_there_is_room() -> None:
    disk = Disk()
    run, ledger, _ = new_store(disk)
    commit(run, ledger, messages()[0])
    disk.fault = Fault(apsw.SQLITE_FULL, 1, 1 << 30)
    ledger.halt(Halt(what="two heads", fix="ask the operator"))
    assert ledger.head().halted is not None
    disk.fault = lambda kind: None
    assert {o.code for o in commit(run, ledger, messages()[1]) if isinstance(o, Refused)} == {Refusal.HALTED}
    ledger.close()
    ledger = open_ledger(disk)
    assert ledger.head().halted is not None
    ledger.close()


@pytest.mark.parametrize("code", [apsw.SQLITE_CORRUPT, apsw.SQLITE_NOMEM], ids=["CORRUPT", "NOMEM"])
def test_a_fatal_error_at_any_write_leaves_nothing_of_its_group_to_be_promised_or_written(code: int) -> None:
    """The daemon ends by it, but not at once: what comes meanwhile, and closing, meets the same ledger."""
    first, second, *_ = messages()
    for at in range(1, faults_in_a_whole_run()):
        disk = Disk()
        run, ledger, _ = new_store(disk)
        commit(run, ledger, first)
        ledger.mark_acked(1, b"cosigned")
        fault = disk.fault = Fault(code, at, at)
        try:
            commit(run, ledger, second)
        except FatalError:
            commit(run, ledger, second)
        disk.fault = lambda kind: None
        ledger.close()
        assert check(disk.synced(), run.acknowledged) is None
        if fault.seen < at:
            return
    raise AssertionError("the second group never got through")


def test_a_disk_that_is_full_at_any_write_of_pruning_puts_it_off_and_ends_nothing() -> None:
    frees_all = RetentionPolicy(max_snapshots=0)
    for at in range(1, 1000):
        disk = Disk()
        run, ledger, _ = new_store(disk)
        for group in messages():
            commit(run, ledger, group)
        ledger.mark_acked(ledger.size, b"cosigned")
        fault = disk.fault = Fault(apsw.SQLITE_FULL, at, 1 << 30)
        freed = ledger.prune(frees_all)
        disk.fault = lambda kind: None
        if fault.seen < at:
            assert freed.file_bytes > 0
            ledger.close()
            return
        assert freed.file_bytes == 0
        assert ledger.prune(frees_all).file_bytes > 0
        assert ledger.figures().body_bytes == 0
        ledger.close()
        assert check(disk.synced(), run.acknowledged) is None
    raise AssertionError("pruning never got through")


def test_an_error_that_is_not_the_disks_size_is_fatal() -> None:
    disk = Disk()
    run, ledger, _ = new_store(disk)
    disk.fault = Fault(apsw.SQLITE_CORRUPT, 1, 1 << 30)
    with pytest.raises(FatalError):
        commit(run, ledger, messages()[0])
    disk.fault = lambda kind: None
    ledger.close()
