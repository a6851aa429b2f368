"""No statement of the store reads a whole table that grows with the log."""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

from store_rig import NOW, store_rig

from gateway.core.submission import HeldPlace
from gateway.model import RetentionPolicy
from gateway.store.connection import Connection, connect_sqlite
from gateway.store.epochs import FIRST
from gateway.store.listbook import ListBook
from simulators.wallets.season import Season
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Wallet

SMALL = re.compile(
    r"SCAN (log|asked|sqlite_master|conflicts|evidence|awaiting|epochs|\d+ CONSTANT ROWS?"
    r"|keys USING INDEX keys_to_rejudge)$"
)
"""One row; what was asked; the schema; conflicts and their evidence, which are counted;
the newest evidence when opening; epochs; the keys that are due."""

FIRST_ROWS = {"SELECT 1 FROM waiting LIMIT 1", "SELECT 1 FROM directory LIMIT 1"}
"""Each reads one row of the table, whatever its plan says."""


async def use_all(path: Path, seen: list[str]) -> None:
    """Whatever the daemon asks of a store, with a restart in the middle."""

    def connect(at: Path) -> Connection:
        connection = connect_sqlite(at)
        assert isinstance(connection, sqlite3.Connection)
        connection.set_trace_callback(seen.append)
        return connection

    season = Season(4, seed=3)
    uploads = [snapshot_cbor(wallet.hand_over(season.now_ms)) for wallet in season.play(40, 6)]
    half = len(uploads) // 2
    for some in (uploads[:half], uploads[half:]):
        async with store_rig(path, connect=connect) as rig:
            for upload in some:
                recorded = await rig.send(upload)
                assert await rig.store.content(recorded.contents[0]) is not None
            head = await rig.store.head()
            await rig.store.proof(0, head.size)
            await rig.store.consistency(1, head.size)
            await rig.store.figures()
            await rig.store.read_batch(head.acked_size)
            await rig.store.mark_acked(head.size, b"cosigned")
            wallet = season.wallets[0]
            await rig.send(snapshot_cbor(wallet.hand_over(NOW), base=len(wallet.ledger) - 1))
            await rig.store.prune(RetentionPolicy(max_snapshots=2, received_before_ms=NOW - 1))


async def test_every_statement_finds_its_rows_by_an_index(tmp_path: Path) -> None:
    seen: list[str] = []
    path = tmp_path / "gateway.db"
    await use_all(path, seen)
    assert FIRST_ROWS <= set(seen)
    connection = sqlite3.connect(path)
    scans = {
        (step, statement)
        for statement in set(seen) - FIRST_ROWS
        if statement.startswith(("SELECT", "WITH", "UPDATE", "DELETE"))
        for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
        if step.startswith("SCAN") and not SMALL.match(step)
    }
    connection.close()
    assert scans == set()


STEPS = 400
"""Of SQLite's virtual machine, for one look into the lists; a row that is read and left takes about 10."""


async def test_a_ledger_handed_over_again_and_again_makes_no_look_into_the_lists_dearer(
    tmp_path: Path,
) -> None:
    path, wallet = tmp_path / "gateway.db", Wallet(b"w" * 32)
    wallet.pay("00112233445566aa", 1, NOW)
    short = wallet.hand_over(NOW).header
    wallet.pay("00112233445566aa", 2, NOW)
    async with store_rig(path) as rig:
        await rig.send(snapshot_cbor(Wallet(b"v" * 32).hand_over(NOW)))
        for n in range(200):
            await rig.send(snapshot_cbor(wallet.hand_over(NOW + n)))
        assert (await rig.store.head()).size == 201
    connection = sqlite3.connect(path)
    root = wallet.hand_over(NOW).header.root
    (key,) = connection.execute("SELECT key FROM lists WHERE root = ? LIMIT 1", (root,)).fetchone()
    lists = ListBook(connection, FIRST)
    connection.set_progress_handler(lambda: 1, STEPS)  # interrupts whatever takes more
    assert len(lists.same_snapshots(key, 2, root, NOW + 7, HeldPlace)) == 1
    assert lists.base(key, 2, short.root) is None
    held = lists.base(key, 2, root)
    newest = lists.newest(key)
    assert held is not None and newest is not None
    assert held.index == newest.leaf == 200
    assert lists.resume(key) == ((2, root),)
    connection.close()
