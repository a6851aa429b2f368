"""A database made anew of entries logged before: beside its place, and put there once it is whole."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from gateway.core.backup import Past, leaf_hashes
from gateway.core.evidence import read_evidence
from gateway.core.merkle import Frontier
from gateway.core.sync.pulled import Pulled, PulledEntry
from gateway.errors import FatalError
from gateway.model import Beginning, Halt, Head, Stamp
from gateway.store.ledger import FreeBytes, Ledger

GROUP = 256
"""Entries in one commit."""

_SUFFIXES = ("", "-wal", "-shm")


class Rebuilding:
    """Synchronous; open it with ``with``. What a crash leaves is a file ``.rebuilding`` that the next one
    deletes: at its place there is a whole database or none."""

    def __init__(self, path: Path, *, gateway_id: str, free_bytes: FreeBytes) -> None:
        self._path = path
        self._part = path.with_name(path.name + ".rebuilding")
        self._gateway_id = gateway_id
        self._free_bytes = free_bytes
        self._ledger: Ledger | None = None

    def __enter__(self) -> Self:
        self._delete_part()
        self._ledger = Ledger.open(self._part, gateway_id=self._gateway_id, free_bytes=self._free_bytes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
            self._delete_part()

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            raise FatalError(f"{self._part}: put in place already")
        return self._ledger

    @property
    def head(self) -> Head:
        return self.ledger.head()

    @property
    def frontier(self) -> Frontier:
        return self.ledger.frontier

    def adopt(self, entries: Sequence[PulledEntry]) -> None:
        """Entries from the log's end on, whose root the caller has proven. Raises FatalError for a disk that
        refuses."""
        for start in range(0, len(entries), GROUP):
            lot = tuple(entries[start : start + GROUP])
            grown = self.frontier.extend(leaf_hashes(lot))
            if self.ledger.adopt(Pulled(self.ledger.size, lot, ()), grown.size, grown.root()) != grown.size:
                raise FatalError(f"{self._part}: the disk refused; free space on it, or replace it")

    def begin(self, past: Past, number: int, entry: PulledEntry, key: bytes) -> None:
        """The next epoch, by its first entry, once all that stays in the present one is here."""
        evidence = [read_evidence(body) for body in entry.objects]
        at, told = Stamp(entry.received_at_ms, entry.quality), Halt(what=past.why, fix=past.fix)
        self.ledger.repeat_epoch(past, number, evidence, Beginning(key=key, why="", told=told, at=at))

    def place(self, *, signed: tuple[int, bytes | None], acked: tuple[int, bytes | None]) -> Head:
        """With what was signed and acked of it, at its place and on disk. Its head."""
        ledger = self.ledger
        if signed[1] is not None and signed[0] <= ledger.size:
            ledger.record_signed(signed[0], signed[1])
        if acked[1] is not None and acked[0] <= ledger.size:
            ledger.mark_acked(acked[0], acked[1])
        head = ledger.head()
        ledger.close()  # commits the marks; SQLite copies the WAL into the file and removes it
        self._ledger = None
        with self._part.open("rb") as file:
            os.fsync(file.fileno())
        self._part.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return head

    def _delete_part(self) -> None:
        for suffix in _SUFFIXES:
            self._part.with_name(self._part.name + suffix).unlink(missing_ok=True)
