"""The figures are what their names say, however they are arrived at."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from random import Random

import pytest

from benchmarks.power_cuts import Run, commit
from benchmarks.recording_disk import Disk
from gateway.store.connection import Connection, connect_sqlite
from gateway.store.ledger import Ledger
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor

UNACKED = """
SELECT COUNT(*) FROM objects WHERE kind = 1 AND state = 1 AND leaf >= ?
"""


class Opened:
    """A ledger on a connection that the test may ask as well."""

    def __init__(self, path: Path) -> None:
        self.ledger = Ledger.open(path, gateway_id="g", free_bytes=lambda: 1 << 40, connect=self._connect)
        self._run = Run(Disk())

    def commit(self, *messages: bytes) -> None:
        commit(self._run, self.ledger, [*messages])

    def unacked(self) -> int:
        (count,) = self.connection.execute(UNACKED, (self.ledger.head().acked_size,)).fetchone()
        return int(count)

    def _connect(self, path: Path) -> Connection:
        connection = connect_sqlite(path)
        assert isinstance(connection, sqlite3.Connection)
        self.connection = connection
        return connection


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_pending_are_the_verified_that_no_cosigned_root_covers(tmp_path: Path, seed: int) -> None:
    """Acks come and do not, keys are proven after what they signed was logged, and was acked."""
    random, season = Random(seed), Season(6, seed=seed)
    opened = Opened(tmp_path / "log.db")
    ledger, seen = opened.ledger, set()
    for wallet in season.play(150, 3):
        opened.commit(snapshot_cbor(wallet.hand_over(season.now_ms)))
        if random.random() < 0.2:
            ledger.mark_acked(random.randint(ledger.head().acked_size, ledger.size), b"cosigned")
        if random.random() < 0.5:
            ledger.rejudge()
        if random.random() < 0.7:
            figures = ledger.figures()
            assert figures.verified_transactions - figures.acked_transactions == opened.unacked()
            seen.add(opened.unacked())
    assert len(seen) > 5
    ledger.close()


def test_figures_of_a_long_backlog_are_read_once_and_then_only_what_is_new(tmp_path: Path) -> None:
    season, opened = Season(4, seed=1), Opened(tmp_path / "log.db")
    for wallet in season.play(400, 20):
        opened.commit(snapshot_cbor(wallet.hand_over(season.now_ms)))
    while opened.ledger.rejudge():
        pass
    before = opened.ledger.figures()
    opened.connection.set_progress_handler(lambda: 1, 1000)  # steps of SQLite's virtual machine: then no more
    assert opened.ledger.figures() == before
    opened.connection.set_progress_handler(None, 0)
    assert before.verified_transactions - before.acked_transactions == 400
    opened.ledger.close()
