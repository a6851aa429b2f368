"""Who shares a commit, when it comes, and rows and lookups by the lot."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from store_rig import GATEWAY, PLENTY
from sync_rig import submission

from gateway.core.refusal import Refused
from gateway.core.submission import Appended, Facts, Question
from gateway.store import Limits, Store, StoreSettings
from gateway.store.connection import connect_sqlite, insert_rows
from gateway.store.figures import SYNCS_A_CHECKPOINT
from gateway.store.ledger import CHECKPOINT_COMMITS
from gateway.store.thread import MAX_GROUP

LONG_S = 3600.0
AUTOCHECKPOINT_BYTES = 2000 * 4096
"""From there on SQLite copies a WAL by itself, in a commit."""


def settings(path: Path, limits: Limits | None = None) -> StoreSettings:
    return StoreSettings(
        path=path / "log.db", gateway_id=GATEWAY, free_bytes=lambda: PLENTY, limits=limits or Limits()
    )


async def submit(store: Store, count: int, linger_s: float, on_their_way: int) -> list[object]:
    """Hand in one by one; the outcomes, once all have come."""
    outcomes: list[object] = []
    all_told = asyncio.Event()

    def done(outcome: Appended | Refused | BaseException) -> None:
        outcomes.append(outcome)
        if len(outcomes) == count:
            all_told.set()

    for number in range(count):
        store.submit(submission(number), linger_s, lambda: on_their_way, done)
    await all_told.wait()
    return outcomes


async def test_a_group_is_committed_as_soon_as_all_have_come(tmp_path: Path) -> None:
    async with Store(settings(tmp_path)) as store:
        outcomes = await submit(store, 5, LONG_S, on_their_way=5)
        assert [item.entry for item in outcomes if isinstance(item, Appended)] == [0, 1, 2, 3, 4]
        assert (await store.figures()).commits_since_opening == 1


async def test_who_waits_for_others_waits_no_longer_than_it_may(tmp_path: Path) -> None:
    async with Store(settings(tmp_path)) as store:
        outcomes = await submit(store, 2, 0.02, on_their_way=9)
        assert all(isinstance(item, Appended) for item in outcomes)


async def test_a_full_group_does_not_wait_for_those_that_cannot_join_it(tmp_path: Path) -> None:
    async with Store(settings(tmp_path)) as store:
        count = 3 * MAX_GROUP
        outcomes = await submit(store, count, LONG_S, on_their_way=count)
        assert len(outcomes) == (await store.head()).size == count
        assert (await store.figures()).commits_since_opening >= 3


async def test_the_store_answers_questions_while_a_group_waits_for_company(tmp_path: Path) -> None:
    async with Store(settings(tmp_path)) as store:
        waiting = asyncio.create_task(submit(store, 1, 0.2, on_their_way=2))
        assert (await store.head()).size == 0
        assert len(await waiting) == 1


async def test_an_identity_asked_for_in_many_questions_at_once_is_found_once_in_each(tmp_path: Path) -> None:
    async with Store(settings(tmp_path, Limits(lookup_tail=1))) as store:
        submissions = [submission(number, objects=4) for number in range(64)]
        await store.append(submissions)
        identities = [item.identity for one in submissions for item in one.items if not isinstance(item, int)]
        questions = [Question(key=bytes(32), identities=(one, identities[0])) for one in identities]
        answered = asyncio.Event()
        answers: list[Facts] = []

        def take(facts: list[Facts] | BaseException) -> None:
            answers.extend(facts if isinstance(facts, list) else ())
            store.loop.call_soon_threadsafe(answered.set)

        store.ask(questions, take)
        await answered.wait()
        for n, (question, one) in enumerate(zip(questions, answers, strict=True)):
            assert set(one.known) == set(question.identities)
            assert [held.ordinal for held in one.known[question.identities[0]]] == [n]


async def test_an_idle_moment_is_used_to_copy_the_wal_so_that_no_commit_has_to(tmp_path: Path) -> None:
    async with Store(settings(tmp_path)) as store:
        figures = await store.figures()
        while figures.syncs_since_opening == figures.commits_since_opening:
            await store.append([submission(figures.size)])
            figures = await store.figures()
        assert figures.commits_since_opening > CHECKPOINT_COMMITS
        assert figures.syncs_since_opening == figures.commits_since_opening + SYNCS_A_CHECKPOINT
        assert (tmp_path / "log.db-wal").stat().st_size < AUTOCHECKPOINT_BYTES


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 130])
def test_rows_are_inserted_whatever_their_number(count: int, tmp_path: Path) -> None:
    connection = connect_sqlite(tmp_path / "rows.db")
    connection.execute("CREATE TABLE pairs (a INTEGER, b BLOB)")
    rows = [(n, bytes([n])) for n in range(count)]
    insert_rows(connection, "pairs", rows)
    assert connection.execute("SELECT * FROM pairs ORDER BY rowid").fetchall() == rows
    connection.close()
