"""The last way home from a real store to the simulated coordinator, without a link and without a wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from store_rig import GATEWAY, Rig, store_rig
from test_wallet_vectors_over_ble import reception

from drivers.base import TxReceipt, TxRequest
from drivers.errors import DriverLost, TransmitRefused
from gateway.core.checkpoint import Checkpoint
from gateway.core.last_way import DAY_S, LastWay, LastWaySettings
from gateway.core.message.downlink import encode_downlink
from gateway.core.sms.checkpoint import checkpoint_text
from gateway.model import Halt
from gateway.services.last_way_book import LastWayBook
from gateway.services.last_way_home import LastWayHome
from simulators.coordinator import Coordinator
from simulators.textbook.cbor import Malformed
from simulators.textbook.notes import Checkpoint as Head
from simulators.textbook.notes import parse, sign_checkpoint
from simulators.wallets import Wallet
from simulators.wallets.receipts import verify_inclusion
from simulators.wallets.uploads import snapshot_cbor

KEY = SigningKey(sha256(b"gateway").digest())
NUMBER = "+491700000009"
NOW = 1_790_000_000_000
ORIGIN = f"offgrid/{GATEWAY}/1"


class Sundial:
    """A clock that goes on exactly as far as somebody sleeps; stops at ``until``."""

    def __init__(self, start: float, until: float) -> None:
        self.now = start
        self.until = until
        self.over = asyncio.Event()

    def monotonic(self) -> float:
        return self.now

    def unix_ns(self) -> int:
        return int(self.now * 1e9)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.until:
            self.over.set()
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def told(
    behind: Rig,
    folder: Path,
    until: float,
    *,
    per_day: int = 6,
    down_s: Callable[[float], float] = lambda now: now,
    trouble: Exception | None = None,
    confirmed: bool = True,
    start: float = 0.0,
) -> tuple[list[str], int]:
    """What was sent until then (first after 100 s, then after 50 s), and how often it was tried."""
    clock, sent, tries = Sundial(start, until), [], []
    book = LastWayBook(folder / "last_way.json", clock)

    async def send(request: TxRequest) -> TxReceipt:
        assert (request.reply_to, request.priority) == (NUMBER, 0)
        tries.append(clock.now)
        if trouble is not None:
            raise trouble
        sent.append(request.payload.decode())
        return TxReceipt(confirmed=confirmed)

    way = LastWayHome(
        NUMBER,
        LastWay(LastWaySettings(after_s=100, interval_s=50, per_day=per_day), book.sent()),
        book,
        behind.store,
        behind.key,
        lambda text: KEY.sign(text).signature,
        send,
        lambda: down_s(clock.now),
        clock,
    )
    task = asyncio.create_task(way.run())
    await asyncio.wait_for(clock.over.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return sent, len(tries)


async def hand_over(behind: Rig, name: str) -> bytes:
    owner = Wallet(name.encode().ljust(32, b"."))
    owner.pay("0011223344556677", 1, NOW)
    over = owner.hand_over(NOW)
    await behind.send(snapshot_cbor(over))
    return over.content


async def test_the_coordinator_verifies_and_keeps_the_newest_root(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind, Coordinator(db=tmp_path / "c.db", token="t") as far:
        await far.register(GATEWAY, behind.key)
        await hand_over(behind, "alice")
        await hand_over(behind, "bob")
        [text], _ = await told(behind, tmp_path, 130)
        head = await behind.store.head()
        assert await far.text(text) == Head(ORIGIN, 2, head.root)
        assert (head.signed_size, parse(head.signed_note or b"")[0].root) == (2, head.root)
        counts = (await far.counts())["gateways"][GATEWAY]
        assert (counts["texts"], counts["ahead"]) == (1, {ORIGIN: {"2": head.root.hex()}})
        assert await far.text(text) == Head(ORIGIN, 2, head.root)  # twice is no harm
        assert (await far.counts())["forks"] == 0


async def test_an_outage_of_two_days_costs_no_more_than_the_budget(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        await hand_over(behind, "alice")
        sent, _ = await told(behind, tmp_path, 2 * DAY_S, per_day=4)
        assert len(sent) == 2 * 4
        (tmp_path / "last_way.json").unlink()
        sent, _ = await told(behind, tmp_path, DAY_S, per_day=100)
        assert len(sent) == 11  # 100 s, then 50, 100, 200 … s later: back-off alone bounds it


async def test_a_link_that_holds_or_comes_back_costs_nothing(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        await hand_over(behind, "alice")
        assert await told(behind, tmp_path, DAY_S, down_s=lambda now: 0.0) == ([], 0)
        assert await told(behind, tmp_path, DAY_S, down_s=lambda now: now % 90) == ([], 0)


@pytest.mark.parametrize("trouble", [TransmitRefused("no_route"), DriverLost("the port is gone")])
async def test_a_radio_that_takes_nothing_is_asked_again_and_the_service_lives(
    tmp_path: Path, trouble: Exception
) -> None:
    async with store_rig(tmp_path / "db") as behind:
        await hand_over(behind, "alice")
        sent, tries = await told(behind, tmp_path, 1000, per_day=1, trouble=trouble)
        assert sent == []
        assert tries > 2


async def test_an_empty_log_and_one_that_waits_for_a_person_sign_nothing(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        assert await told(behind, tmp_path, 1000) == ([], 0)
        await hand_over(behind, "alice")
        await behind.store.halt(Halt(what="two heads", fix="ask the operator"))
        assert await told(behind, tmp_path, 1000) == ([], 0)
        assert (await behind.store.head()).signed_size == 0


async def test_the_days_budget_is_kept_over_restarts_and_whatever_the_clock_does(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        await hand_over(behind, "alice")
        for start, until, count in (
            (0.0, 1000.0, 2),
            (1000.0, 2000.0, 0),
            (500.0, 1500.0, 0),  # set back: what was sent counts as sent now
            (1000.0, DAY_S, 0),
            (DAY_S + 1000, DAY_S + 2000, 2),
        ):
            sent, _ = await told(behind, tmp_path, until, per_day=2, start=start)
            assert len(sent) == count


async def test_a_message_counts_from_before_it_is_sent_and_a_refused_one_leaves_its_place(
    tmp_path: Path,
) -> None:
    clock, path = Sundial(0, 9e9), tmp_path / "last_way.json"
    book = LastWayBook(path, clock)
    for _ in range(3):  # refused, and tried again
        await book.reserve()
    assert len(LastWayBook(path, clock).sent()) == 1  # killed here, it may have been sent
    await book.spend(None)
    await book.reserve()
    assert len(LastWayBook(path, clock).sent()) == 2


async def test_without_its_file_or_with_a_broken_one_it_starts_anew_and_unsaved_it_sends_nothing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "last_way.json"
    for content in (b"", b"{}", b"[]", b'{"sent": ["x"]}', b'{"sent": [], "told": 1}'):
        path.write_bytes(content)
        book = LastWayBook(path, Sundial(0, 9e9))
        assert (book.sent(), book.told()) == ([], None)
    async with store_rig(tmp_path / "db") as behind:
        await hand_over(behind, "alice")
        sent, tries = await told(behind, tmp_path / "no such folder", 1000)
        assert (sent, tries) == ([], 0)


async def test_a_receipt_stands_under_the_root_that_was_told_until_the_coordinator_cosigns(
    tmp_path: Path,
) -> None:
    async with store_rig(tmp_path / "db") as behind:
        first, then = [await hand_over(behind, name) for name in ("alice", "bob")]
        await told(behind, tmp_path, 130, confirmed=False)  # nobody knows whether it left
        assert await kind_told(behind, tmp_path, first) == "accepted"
        await told(behind, tmp_path, 130)
        for content in (first, then):
            assert await kind_told(behind, tmp_path, content) == "told"
        after = await hand_over(behind, "carol")
        assert await kind_told(behind, tmp_path, after) == "accepted"
        head = await behind.store.head()
        note = sign_checkpoint(Head(ORIGIN, 1, await behind.store.root_at(1)), KEY)
        await behind.store.mark_acked(1, note)
        assert [await kind_told(behind, tmp_path, one) for one in (first, then)] == ["included", "told"]
        assert head.size == 3


async def kind_told(behind: Rig, folder: Path, content: bytes) -> str:
    """How a wallet that asks for this content is answered, after a restart; it verifies what it is told."""
    book = LastWayBook(folder / "last_way.json", Sundial(0, 9e9))
    desk = reception(behind, told=book.told)
    answer = await desk.receipt(content)
    told = answer.to_json()
    if told["status"] != "accepted":
        included = verify_inclusion(encode_downlink(answer.message), behind.key, None, content)
        assert included.size == (2 if told["status"] == "told" else 1)
        assert included.index < await desk.seen_size()
    return str(told["status"])


def text_of(size: int, root: bytes, key: SigningKey = KEY, gateway: str = GATEWAY) -> str:
    origin = f"offgrid/{gateway}/1"
    _, [(_, _, signature)] = parse(sign_checkpoint(Head(origin, size, root), key))
    return checkpoint_text(Checkpoint(origin, size, root), signature)


async def test_a_text_that_nobody_registered_has_signed_is_not_believed(tmp_path: Path) -> None:
    async with Coordinator(db=tmp_path / "c.db", token="t") as far:
        await far.register(GATEWAY, bytes(KEY.verify_key))
        honest = text_of(3, b"r" * 32)
        wrong = (
            text_of(3, b"r" * 32, SigningKey(bytes(32))),
            text_of(3, b"r" * 32, gateway="nobody"),
            honest[:40] + ("A" if honest[40] != "A" else "B") + honest[41:],
            honest[:100],
            "C1",
            "hello",
        )
        for text in wrong:
            with pytest.raises(Malformed):
                await far.text(text)
        assert (await far.counts())["gateways"][GATEWAY]["texts"] == 0


async def test_two_texts_of_one_size_with_different_roots_are_kept_as_a_fork(tmp_path: Path) -> None:
    async with Coordinator(db=tmp_path / "c.db", token="t") as far:
        await far.register(GATEWAY, bytes(KEY.verify_key))
        for root in (b"r" * 32, b"s" * 32):
            await far.text(text_of(3, root))
        [fork] = await far.forks()
        assert (fork["origin"], fork["size"]) == (ORIGIN, 3)
