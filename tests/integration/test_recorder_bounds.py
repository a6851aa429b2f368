"""What the recorder does when it is full, and when the store under it breaks."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from store_rig import NOW, Rig, store_rig

from gateway.core.judgement import Prepared, prepare
from gateway.core.message.downlink import Nack, Promise, encode_downlink
from gateway.core.receipt import promise_leaf
from gateway.core.refusal import Refusal
from gateway.core.submission import HeldPlace
from gateway.core.wallet.upload import SnapshotUpload, TransactionsUpload
from gateway.errors import FatalError
from gateway.services import recorder
from gateway.services.recorder import MANY, MAX_IN_FLIGHT, Recorded
from gateway.store import Limits
from gateway.store.connection import connect_sqlite
from simulators.wallets.receipts import verify_promise
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor
from simulators.wallets.wallet import Payment, Wallet


def hand_over(n: int) -> bytes:
    return snapshot_cbor(Wallet(b"%032d" % n).hand_over(NOW + n))


class Breakable:
    """A real connection that one day finds its database corrupt, or runs into a bug at one statement."""

    def __init__(self, path: Path, bug_at: str = "never") -> None:
        self._connection = connect_sqlite(path)
        self.broken = False
        self._bug_at = bug_at

    @property
    def in_transaction(self) -> bool:
        return self._connection.in_transaction

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        if self.broken and not sql.startswith("ROLLBACK"):
            raise sqlite3.DatabaseError("database disk image is malformed")
        if sql.startswith(self._bug_at):
            raise KeyError("a bug")
        return self._connection.execute(sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Any:
        return self._connection.executemany(sql, parameters)

    def close(self) -> None:
        self._connection.close()


async def test_more_uploads_at_once_than_the_bound_are_told_to_come_again(tmp_path: Path) -> None:
    messages = [hand_over(n) for n in range(MAX_IN_FLIGHT + 40)]
    async with store_rig(tmp_path / "log.db") as rig:
        recorded = await asyncio.gather(*map(rig.send, messages))
        refused = [item.answer for item in recorded if isinstance(item.answer, Nack)]
        assert [nack.code for nack in refused] == [Refusal.BUSY] * 40
        assert all(nack.retry_after_s > 0 for nack in refused)
        assert rig.recorder.in_flight == 0
        again = await asyncio.gather(*map(rig.send, messages[-40:]))
        assert all(isinstance(item.answer, Promise) for item in again)
        assert (await rig.store.figures()).commits_since_opening <= 20


async def test_two_copies_heard_at_once_get_one_answer_and_one_leaf(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "log.db") as rig:
        one, two = await asyncio.gather(rig.send(hand_over(1)), rig.send(hand_over(1)))
        assert one.answer == two.answer
        assert (await rig.store.head()).size == 1


async def test_answers_are_remembered_by_the_number_of_contents_they_promise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_REMEMBERED", 4)
    alice = Wallet(b"alice".ljust(32, b"."))
    three = [alice.pay("0011223344556677", n + 1, NOW) for n in range(3)]
    loose = transactions_cbor(alice.hand_over(NOW).header.key, three)
    messages = [hand_over(1), loose, hand_over(2), hand_over(2), hand_over(3)]

    def kept(rig: Rig) -> list[bool]:
        return [rig.recorder.remembered(sha256(one).digest()) is not None for one in messages]

    async with store_rig(tmp_path / "log.db") as rig:
        for message in messages[:2]:
            await rig.send(message)
        assert kept(rig) == [True, True, False, False, False]
        await asyncio.gather(*map(rig.send, messages[2:4]))
        assert kept(rig) == [False, True, True, True, False]
        await rig.send(messages[4])
        assert kept(rig) == [False, False, True, True, True]


async def test_the_same_bytes_after_a_restart_get_the_same_promise_before_they_are_decoded(
    tmp_path: Path,
) -> None:
    wallet = Wallet(b"alice".ljust(32, b"."))
    wallet.pay("0011223344556677", 1, NOW)
    over = wallet.hand_over(NOW)
    async with store_rig(tmp_path / "log.db") as rig:
        await rig.send(hand_over(1))
        first = await rig.send(snapshot_cbor(over))
    async with store_rig(tmp_path / "log.db") as rig:
        again = rig.recorder.remembered(sha256(snapshot_cbor(over)).digest())
        assert again is not None and again.duplicate
        assert (again.answer, again.contents, again.tally.known) == (first.answer, (over.content,), 1)
        verify_promise(encode_downlink(again.answer), rig.key, [over.content])
        assert rig.recorder.remembered(sha256(hand_over(2)).digest()) is None
        assert (await rig.send(snapshot_cbor(over))).answer == first.answer
        assert (await rig.store.head()).size == 2


@pytest.mark.parametrize("has_receipt", [False, True])
async def test_a_message_of_which_something_found_no_room_is_judged_anew_after_a_restart(
    tmp_path: Path, has_receipt: bool
) -> None:
    alice, bob, stranger = (Wallet(bytes([n]) * 32) for n in (1, 2, 3))
    if has_receipt:
        alice.enter(bob.accept(alice.pay(bob.device_id, 5, NOW), NOW))
    else:
        alice.enter(Payment(stranger.signed(alice.device_id, 5, 0, NOW, b"t" * 16)))
    message = snapshot_cbor(alice.hand_over(NOW))
    async with store_rig(tmp_path / "log.db", limits=Limits(unproven_bytes=0)) as rig:
        assert isinstance((await rig.send(message)).answer, Promise)
    async with store_rig(tmp_path / "log.db") as rig:
        assert rig.recorder.remembered(sha256(message).digest()) is None
        assert not (await rig.send(message)).duplicate
        assert (await rig.store.figures()).unproven_bytes > 0


@pytest.mark.parametrize("again", [False, True])
async def test_who_comes_again_after_a_restart_is_told_of_a_conflict_that_came_since_or_was_known(
    again: bool, tmp_path: Path
) -> None:
    alice = Wallet(b"alice".ljust(32, b"."))
    one, other = (Payment(alice.signed("0011223344556677", 5, 1, NOW, bytes([n]))) for n in range(2))
    message = snapshot_cbor(alice.sign_over([one], NOW))
    async with store_rig(tmp_path / "log.db") as rig:
        await rig.send(message)
        await rig.send(snapshot_cbor(alice.sign_over([other], NOW + 1)))
        if again:
            message = snapshot_cbor(alice.sign_over([one], NOW + 2))
            assert len((await rig.send(message)).conflicts) == 1
    async with store_rig(tmp_path / "log.db") as rig:
        recorded = await rig.send(message)
        assert recorded.duplicate and len(recorded.conflicts) == 1


async def test_a_ledger_of_many_transactions_is_hashed_beside_the_loop_and_a_small_one_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[int, bool]] = []

    def watched(message: SnapshotUpload | TransactionsUpload) -> Prepared:
        seen.append((len(message.items), threading.current_thread() is threading.main_thread()))
        return prepare(message)

    monkeypatch.setattr(recorder, "prepare", watched)
    many, few = Wallet(b"many".ljust(32, b".")), Wallet(b"few".ljust(32, b"."))
    for n in range(MANY):
        many.pay("0011223344556677", n + 1, NOW)
    few.pay("0011223344556677", 1, NOW)
    async with store_rig(tmp_path / "log.db") as rig:
        both = [rig.send(snapshot_cbor(wallet.hand_over(NOW))) for wallet in (many, few)]
        assert all(isinstance(item.answer, Promise) for item in await asyncio.gather(*both))
        assert rig.recorder.in_flight == 0
    assert sorted(seen) == [(1, True), (MANY, False)]


async def test_a_bug_met_beside_the_loop_is_the_sender_s_and_frees_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(message: SnapshotUpload | TransactionsUpload) -> Prepared:
        raise KeyError("a bug")

    many = Wallet(b"many".ljust(32, b"."))
    for n in range(MANY):
        many.pay("0011223344556677", n + 1, NOW)
    async with store_rig(tmp_path / "log.db") as rig:
        with monkeypatch.context() as patch, pytest.raises(KeyError, match="a bug"):
            patch.setattr(recorder, "prepare", bug)
            await rig.send(snapshot_cbor(many.hand_over(NOW)))
        assert rig.recorder.in_flight == 0
        assert isinstance((await rig.send(snapshot_cbor(many.hand_over(NOW)))).answer, Promise)


async def test_a_bug_on_one_promise_is_its_sender_s_alone_although_a_group_lands_in_one_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count()

    def bug_at_first(origin: str, place: HeldPlace, content: bytes) -> bytes:
        if next(calls) == 0:
            raise KeyError("a bug")
        return promise_leaf(origin, place, content)

    monkeypatch.setattr(recorder, "promise_leaf", bug_at_first)
    async with store_rig(tmp_path / "log.db") as rig:
        sent = [rig.send(hand_over(n)) for n in range(5)]
        bug, *others = await asyncio.gather(*sent, return_exceptions=True)
        assert isinstance(bug, KeyError)
        assert all(isinstance(one, Recorded) and isinstance(one.answer, Promise) for one in others)
        assert rig.recorder.in_flight == 0


async def test_a_broken_store_ends_the_recorder_and_is_told_to_whoever_waits(tmp_path: Path) -> None:
    opened: list[Breakable] = []

    def connect(path: Path) -> Breakable:
        opened.append(Breakable(path))
        return opened[-1]

    async with store_rig(tmp_path / "log.db", connect=connect) as rig:
        running = asyncio.create_task(rig.recorder.run())
        assert isinstance((await rig.send(hand_over(1))).answer, Promise)
        opened[0].broken = True
        with pytest.raises(FatalError, match="malformed"):
            await rig.send(hand_over(2))
        with pytest.raises(FatalError, match="malformed"):
            await running


async def test_a_bug_while_nobody_asks_is_fatal_for_all_who_ask_or_wait(tmp_path: Path) -> None:
    def connect(path: Path) -> Breakable:
        return Breakable(path, bug_at="SELECT ordinal FROM waiting WHERE signer")  # looked at again

    alice, shop = Wallet(b"alice".ljust(32, b".")), Wallet(b"shop".ljust(32, b"."))
    async with store_rig(tmp_path / "log.db", connect=connect) as rig:
        waiting = asyncio.create_task(rig.store.grown(2))
        running = asyncio.create_task(rig.recorder.run())
        shop.enter(alice.pay(shop.device_id, 1, NOW))
        assert (await rig.send(snapshot_cbor(shop.hand_over(NOW)))).tally.unverified == 1
        other = Payment(alice.signed(shop.device_id, 2, 2, NOW))
        assert isinstance((await rig.send(transactions_cbor(alice.key, [other]))).answer, Promise)
        with pytest.raises(FatalError, match="KeyError: 'a bug'"):
            await waiting
        with pytest.raises(FatalError, match="KeyError"):
            await rig.store.head()
        with pytest.raises(FatalError, match="KeyError"):
            await rig.store.grown(2)
        with pytest.raises(FatalError, match="KeyError"):
            await rig.send(hand_over(3))
        with pytest.raises(FatalError, match="KeyError"):
            await running
