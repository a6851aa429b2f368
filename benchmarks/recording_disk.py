"""A disk that remembers every write and sync, and what it may hold after a power cut.

It stands under SQLite as an apsw VFS, so the real schema and the real writer run on it. What was not synced
when the power goes may be there or not: nothing of it, all of it, a prefix, any part in any order, or torn
into sectors of 512 bytes. SQLite syncs the directory with the first sync of a new journal or WAL, and when it
deletes a journal to commit: a model that forgets this reports corruption that cannot happen.

What it does not show: a sector of 512 bytes is there whole or as it was, never half of it or garbage. What
was synced stays, so it knows no disk that lies about that, no flash that loses the erase block beside the one
it was writing (as cheap SD cards do), no bit that rots; and reading never fails. A checksum in each frame of
the WAL meets half sectors, quick_check damaged pages; the rest is for backups and the coordinator's copy.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import apsw

SECTOR = 512
_POWERSAFE_OVERWRITE = 0x1000  # as SQLite's own unix VFS claims
_serial = count()


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened: ``write``, ``truncate``, ``delete``, ``sync`` or ``sync_directory``."""

    kind: str
    file: str
    offset: int = 0
    content: bytes = b""


@dataclass
class Disk:
    """Files as the running program sees them, and everything that ever happened to them.

    ``fault`` is asked before each write and sync; what it raises, SQLite gets.
    """

    files: dict[str, bytearray] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    known: set[str] = field(default_factory=set)
    """Files whose directory entry is durable."""
    fault: Callable[[str], None] = lambda kind: None

    def happen(self, event: Event) -> None:
        self.fault(event.kind)
        self.events.append(event)
        apply(self.files, event)
        if event.kind == "delete":
            self.known.discard(event.file)
        elif event.kind == "sync" and event.file not in self.known:
            self.known.add(event.file)
            self.events.append(Event("sync_directory", event.file))

    def synced(self) -> Disk:
        """A copy of what is there now, as after a calm shutdown."""
        return Disk({name: bytearray(content) for name, content in self.files.items()})


MODES = ("dropped", "kept", "prefix", "reordered", "torn")


def after_cut(events: Sequence[Event], at: int, mode: str, random: Random) -> Disk:
    """A disk on which the power went after ``at`` events."""
    last_sync = {event.file: n for n, event in enumerate(events[:at]) if event.kind == "sync"}
    directory = max((n for n, event in enumerate(events[:at]) if event.kind == "sync_directory"), default=-1)
    files: dict[str, bytearray] = {}
    pending: list[Event] = []
    for n, event in enumerate(events[:at]):
        durable = last_sync.get(event.file, -1)
        if n < (max(durable, directory) if event.kind == "delete" else durable):
            apply(files, event)
        elif event.kind in ("write", "truncate", "delete"):
            pending.append(event)
    for event in _surviving(pending, mode, random):
        apply(files, event)
    return Disk(files)


def _surviving(pending: Sequence[Event], mode: str, random: Random) -> Iterable[Event]:
    match mode:
        case "dropped":
            return []
        case "kept":
            return pending
        case "prefix":
            return pending[: random.randint(0, len(pending))]
        case "reordered":
            return [event for event in pending if random.random() < 0.5]
    return [piece for event in pending for piece in _sectors(event) if random.random() < 0.7]


def _sectors(event: Event) -> Iterable[Event]:
    if event.kind != "write":
        yield event
        return
    start, end = event.offset, event.offset + len(event.content)
    while start < end:
        stop = min(end, (start // SECTOR + 1) * SECTOR)
        yield Event("write", event.file, start, event.content[start - event.offset : stop - event.offset])
        start = stop


def apply(files: dict[str, bytearray], event: Event) -> None:
    """What this event makes of the files."""
    if event.kind == "delete":
        files.pop(event.file, None)
        return
    content = files.setdefault(event.file, bytearray())
    if event.kind == "write":
        if len(content) < event.offset:
            content.extend(bytes(event.offset - len(content)))
        content[event.offset : event.offset + len(event.content)] = event.content
    elif event.kind == "truncate":
        del content[event.offset :]


class _File:
    """An open file of a disk; method names are SQLite's (sqlite3_io_methods)."""

    def __init__(self, disk: Disk, name: str) -> None:
        self._disk = disk
        self._name = name

    def xRead(self, amount: int, offset: int) -> bytes:
        return bytes(self._disk.files[self._name][offset : offset + amount])

    def xWrite(self, content: bytes, offset: int) -> None:
        self._disk.happen(Event("write", self._name, offset, bytes(content)))

    def xTruncate(self, size: int) -> None:
        self._disk.happen(Event("truncate", self._name, size))

    def xSync(self, flags: int) -> None:
        self._disk.happen(Event("sync", self._name))

    def xFileSize(self) -> int:
        return len(self._disk.files[self._name])

    def xLock(self, level: int) -> None: ...

    def xUnlock(self, level: int) -> None: ...

    def xCheckReservedLock(self) -> bool:
        return False

    def xFileControl(self, operation: int, pointer: int) -> bool:
        return False

    def xSectorSize(self) -> int:
        return SECTOR

    def xDeviceCharacteristics(self) -> int:
        return _POWERSAFE_OVERWRITE

    def xClose(self) -> None: ...


class _Vfs(apsw.VFS):
    """SQLite's view of a disk; clock and randomness are the system's."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self.name = f"recording-{next(_serial)}"
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> Any:
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._disk.files.setdefault(path, bytearray())
        flags[1] = flags[0]
        return _File(self._disk, path)

    def xDelete(self, path: str, sync_directory: bool) -> None:
        self._disk.happen(Event("delete", path))
        if sync_directory:
            self._disk.happen(Event("sync_directory", path))

    def xAccess(self, path: str, flags: int) -> bool:
        return path in self._disk.files

    def xFullPathname(self, path: str) -> str:
        return path


class DiskConnection:
    """:class:`gateway.store.connection.Connection` over apsw; errors come as sqlite3's, code and all.

    ``rewrite`` gets every statement first; ``pretend`` answers a statement instead of SQLite. The must-fail
    controls use them to weaken what the store insists on.
    """

    def __init__(self, disk: Disk, path: Path, rewrite: dict[str, str], pretend: dict[str, object]) -> None:
        self._vfs = _Vfs(disk)
        self._rewrite = rewrite
        self._pretend = pretend
        self._connection = self._translated(lambda: apsw.Connection(path.name, vfs=self._vfs.name))

    @property
    def in_transaction(self) -> bool:
        return bool(self._connection.in_transaction)

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if sql in self._pretend:
            return _Pretended(self._pretend[sql])
        wanted = self._rewrite.get(sql, sql)
        return self._translated(lambda: self._connection.execute(wanted, parameters))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        return self._translated(lambda: self._connection.executemany(sql, parameters))

    def close(self) -> None:
        """As sqlite3's: what the last checkpoint meets is nobody's error, the WAL still has it all."""
        try:
            self._connection.close()
        except apsw.Error:
            self._connection.close(True)

    def _translated(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except apsw.Error as error:
            translated = sqlite3.OperationalError(str(error))
            translated.sqlite_errorcode = getattr(error, "result", apsw.SQLITE_ERROR)
            raise translated from error


@dataclass(frozen=True, slots=True)
class _Pretended:
    value: object

    def fetchone(self) -> tuple[object]:
        return (self.value,)


def connect_to(
    disk: Disk, *, synchronous: str = "FULL", autocheckpoint: int = 24
) -> Callable[[Path], DiskConnection]:
    """A connection factory for the store; checkpoints come early, so that small runs see many of them."""
    rewrite = {
        "PRAGMA synchronous=FULL": f"PRAGMA synchronous={synchronous}",
        "PRAGMA wal_autocheckpoint=2000": f"PRAGMA wal_autocheckpoint={autocheckpoint}",
    }
    pretend: dict[str, object] = {"PRAGMA synchronous": 2}
    return lambda path: DiskConnection(disk, path, rewrite, pretend)
