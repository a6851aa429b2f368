"""The one connection to the database: how it is opened, what it must be set to, what its errors mean."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import FatalError

Row = tuple[Any, ...]

_ROWS = 64
"""Rows a statement: 64 of 11 columns stay below the 999 parameters that every SQLite allows."""

# SQLite result codes, https://www.sqlite.org/rescode.html; the low byte is the primary code.
_BUSY = 5
_IOERR = 10
_FULL = 13
_SYNCHRONOUS_FULL = 2

_MODE = 0o640

_SETTINGS = (
    # Before anything touches the WAL: then its index lives in memory, and the file is ours until we close.
    "PRAGMA locking_mode=EXCLUSIVE",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=2000",
    "PRAGMA journal_size_limit=16777216",
    "PRAGMA mmap_size=0",
    "PRAGMA cache_size=-8192",
    "PRAGMA temp_store=MEMORY",
)

# They shape the file, and setting them writes: an old database must open on a full disk.
_SETTINGS_OF_A_NEW_FILE = ("PRAGMA page_size=4096", "PRAGMA auto_vacuum=INCREMENTAL")


class Cursor(Protocol):
    """Rows of one statement."""

    def fetchone(self) -> Any: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """What the store asks of a database connection; raises :class:`sqlite3.Error` with its result code."""

    @property
    def in_transaction(self) -> bool: ...
    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor: ...
    def close(self) -> None: ...


Connect = Callable[[Path], Connection]


class DiskRefused(Exception):
    """The disk took a write not at all (full) or not for sure (I/O error); the transaction was undone."""


def connect_sqlite(path: Path) -> Connection:
    """The database at ``path``, created where there is none; for use on the calling thread alone.

    A new one is for its owner and group: it holds who paid whom. SQLite gives the WAL the same rights.
    """
    # Never opened where it is there: to close it again would let go of every lock that this process has on
    # it (https://www.sqlite.org/howtocorrupt.html, 2.2). Of other obstacles SQLite knows the code.
    with suppress(OSError):
        os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE))
    return sqlite3.connect(path, timeout=0, isolation_level=None, cached_statements=256)


def prepare(connection: Connection, path: Path) -> None:
    """Set the connection to be durable and alone, and read back that it is.

    Raises FatalError when another process holds the database, when it is damaged, or when a setting that
    durability rests on did not take.
    """
    with fatal(path):
        for setting in _SETTINGS:
            connection.execute(setting).fetchall()
        if connection.execute("PRAGMA page_count").fetchone()[0] == 0:
            for setting in _SETTINGS_OF_A_NEW_FILE:
                connection.execute(setting).fetchall()
        journal = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
        synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
        verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if journal != "wal" or synchronous != _SYNCHRONOUS_FULL:
        raise FatalError(
            f"{path}: journal_mode={journal} synchronous={synchronous}, expected wal and {_SYNCHRONOUS_FULL}"
        )
    if verdict != "ok":
        raise FatalError(f"{path}: the database is damaged ({verdict}); restore it from a backup")


@contextmanager
def fatal(path: Path) -> Iterator[None]:
    """What SQLite raises inside is the end of the store."""
    try:
        yield
    except sqlite3.Error as error:
        if _primary_code(error) == _BUSY:
            raise FatalError(f"{path}: another process holds the database; stop it first") from error
        if _primary_code(error) in (_IOERR, _FULL):
            raise FatalError(
                f"{path}: the disk refused ({error}); free space on it, or replace it"
            ) from error
        raise FatalError(f"{path}: {error}") from error


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All of the body or nothing of it.

    When this returns, the commit is on disk. Raises DiskRefused where the disk is full or failed: then
    nothing of it is in the database as this process sees it. (After a failed fsync and a power cut the whole
    of it may be there after all; nobody was told so, and it is answered as a duplicate then.)
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    except BaseException as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        if isinstance(error, sqlite3.Error) and _primary_code(error) in (_IOERR, _FULL):
            raise DiskRefused(str(error)) from error
        raise


def checkpoint(connection: Connection) -> bool:
    """Copy the WAL into the database, so that the next commit begins it anew; False where the disk refused.

    It loses nothing by that: the WAL still has it all.
    """
    try:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
    except sqlite3.Error as error:
        if _primary_code(error) not in (_IOERR, _FULL):
            raise
        return False
    return True


def insert_rows(connection: Connection, table: str, rows: Sequence[Row], verb: str = "INSERT") -> None:
    """Insert whole rows, :data:`_ROWS` of them a statement: that takes a quarter off the cost of each."""
    if not rows:
        return
    row = f"({', '.join('?' * len(rows[0]))})"
    whole = len(rows) - len(rows) % _ROWS
    many = f"{verb} INTO {table} VALUES {', '.join([row] * _ROWS)}"
    for start in range(0, whole, _ROWS):
        connection.execute(many, [*chain.from_iterable(rows[start : start + _ROWS])])
    connection.executemany(f"{verb} INTO {table} VALUES {row}", rows[whole:])


def _primary_code(error: sqlite3.Error) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF
