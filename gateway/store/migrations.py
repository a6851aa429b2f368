"""Brings a database to the newest schema: numbered SQL files, each in one transaction with its number."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

from gateway.errors import FatalError
from gateway.store.connection import Connection, transaction

SCHEMA = Path(__file__).parent / "schema"


def newest(folder: Path = SCHEMA) -> int:
    """The number of the newest schema this program knows."""
    return len(_files(folder))


def migrate(connection: Connection, folder: Path = SCHEMA) -> int:
    """Apply what is missing; returns how many files that were.

    A crash leaves whole files applied, and the next start goes on behind them. Raises FatalError for a
    database of a newer program, DiskRefused when the disk is full.
    """
    files = _files(folder)
    current: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if current > len(files):
        raise FatalError(
            f"the database has schema {current}, this program knows {len(files)}: install the newer program"
        )
    for number, file in enumerate(files[current:], start=current + 1):
        with transaction(connection):
            for statement in _statements(file.read_text(encoding="utf-8")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version={number}")
    return len(files) - current


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("*.sql"))
    numbers = [int(file.name.partition("_")[0]) for file in files]
    if numbers != list(range(1, len(files) + 1)):
        raise FatalError(f"{folder}: schema files are numbered {numbers}, expected 1 to {len(files)}")
    return files


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if any(line.strip() and not line.startswith("--") for line in statement.splitlines()):
        raise FatalError(f"a schema file ends inside a statement: {statement[:80]!r}")
