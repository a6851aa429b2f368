"""Every past schema, as it was dumped, opens under this program with all it held."""

from __future__ import annotations

import sqlite3
from hashlib import sha256
from pathlib import Path

import pytest

from benchmarks.power_cuts import Run, commit
from benchmarks.recording_disk import Disk
from gateway.errors import FatalError
from gateway.model import Beginning, Halt, Stamp, TimeQuality
from gateway.store.connection import connect_sqlite
from gateway.store.ledger import Ledger
from gateway.store.migrations import migrate, newest
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

NOW = 1_790_000_000_000
DUMPS = sorted((Path(__file__).parent / "schemas").glob("*.sql"))


def number_of(dump: Path) -> int:
    return int(dump.name.partition("_")[0])


def restored(dump: Path, path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text(encoding="utf-8"))
    connection.close()


def test_there_is_a_dump_of_every_schema() -> None:
    assert [number_of(dump) for dump in DUMPS] == list(range(1, newest() + 1))


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_a_database_of_an_old_schema_opens_with_every_entry_and_body(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    restored(dump, path)
    ledger = Ledger.open(path, gateway_id="dumped", free_bytes=lambda: 1 << 40)
    head, figures = ledger.head(), ledger.figures()
    batch = ledger.read_batch(0, 100, 1 << 20)
    evidence = number_of(dump) >= 3  # of its double spend
    assert head.size == len(batch.entries) == 4 + evidence
    assert (figures.verified_transactions, figures.conflicts, head.acked_size) == (5, 1, 2)
    for item in (item for entry in batch.entries for item in entry.objects):
        assert item.body is not None
        assert sha256(b"\x02" + item.body).digest() == item.hash
    ledger.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_messages_of_a_log_that_began_again_are_known_by_its_own_entries_alone(
    dump: Path, tmp_path: Path
) -> None:
    restored(dump, tmp_path / "log.db")
    ledger = Ledger.open(tmp_path / "log.db", gateway_id="dumped", free_bytes=lambda: 1 << 40)
    at = Stamp(NOW, TimeQuality.GPS)
    ledger.begin_epoch(Beginning(key=bytes(32), why="lost", told=Halt(what="seen", fix="look"), at=at))
    assert ledger.brought(100) == []  # the beginning is evidence too, yet hides none of a double spend
    acked = Wallet(b"c" * 32).hand_over(NOW)
    commit(Run(Disk()), ledger, [snapshot_cbor(acked)])
    ledger.mark_acked(ledger.size, b"cosigned")
    ledger.begin_epoch(Beginning(key=bytes(32), why="lost", told=Halt(what="seen", fix="look"), at=at))
    assert ledger.brought(100) == []  # promised under the origin before
    ledger.close()


@pytest.mark.parametrize("dump", DUMPS, ids=lambda dump: dump.stem)
def test_an_old_database_knows_from_now_on_which_messages_brought_what(dump: Path, tmp_path: Path) -> None:
    restored(dump, tmp_path / "log.db")
    ledger = Ledger.open(tmp_path / "log.db", gateway_id="dumped", free_bytes=lambda: 1 << 40)
    assert ledger.brought(100) == []  # before: not known, or evidence that everybody is to be told came after
    over = Wallet(b"c" * 32).hand_over(NOW)
    commit(Run(Disk()), ledger, [snapshot_cbor(over)])
    (brought,) = ledger.brought(1)
    assert (brought.fingerprint, brought.content) == (sha256(snapshot_cbor(over)).digest(), over.content)
    ledger.close()


def test_a_database_of_a_newer_program_is_refused(tmp_path: Path) -> None:
    connection = connect_sqlite(tmp_path / "log.db")
    connection.execute(f"PRAGMA user_version={newest() + 1}")
    with pytest.raises(FatalError, match="newer program"):
        migrate(connection)
    connection.close()


def test_a_migration_that_fails_leaves_the_schema_before_it(tmp_path: Path) -> None:
    (tmp_path / "001_one.sql").write_text("CREATE TABLE one (a);\n")
    (tmp_path / "002_two.sql").write_text("CREATE TABLE two (a);\nCREATE TABLE one (a);\n")
    connection = connect_sqlite(tmp_path / "log.db")
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, tmp_path)
    tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("one",)]
    assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_a_gap_in_the_numbers_is_found(tmp_path: Path) -> None:
    (tmp_path / "002_two.sql").write_text("CREATE TABLE two (a);\n")
    connection = connect_sqlite(tmp_path / "log.db")
    with pytest.raises(FatalError, match="numbered"):
        migrate(connection, tmp_path)
    connection.close()
