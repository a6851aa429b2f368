"""Restored cards and forks, with the real store, link and coordinator: each is healed, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import NOW, Gateway
from store_rig import audit
from sync_rig import open_coordinator

from gateway.core.evidence import EvidenceKind, verify_evidence
from gateway.core.refusal import Refusal
from gateway.model import Head
from simulators.coordinator import Coordinator
from simulators.textbook import evidence as textbook
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor
from simulators.wallets.wallet import Payment


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    async with open_coordinator(tmp_path / "coordinator.db") as coordinator:
        yield coordinator


class Village:
    """Wallets that pay each other and hand over; every content that was promised."""

    def __init__(self, salt: int = 0) -> None:
        self.wallets = [Wallet(bytes([salt, n]) * 16) for n in range(3)]
        self.promised: list[bytes] = []
        self._n = 0

    async def hand_over(self, gateway: Gateway, times: int) -> None:
        for _ in range(times):
            self._n += 1
            payer, payee = (self.wallets[(self._n + at) % 3] for at in (0, 1))
            payee.accept(payer.pay(payee.device_id, 1.0 + self._n, NOW + self._n), NOW + self._n)
            over = payee.hand_over(NOW + self._n)
            recorded = await gateway.send(snapshot_cbor(over))
            assert recorded.contents == (over.content,), recorded.answer
            self.promised.append(over.content)


async def synced(gateway: Gateway) -> Head:
    """Linked until the coordinator has all of it."""
    async with gateway.linked():
        return await whole(gateway)


async def whole(gateway: Gateway) -> Head:
    while True:
        await gateway.settled()
        head = await gateway.store.head()
        counts = await gateway.coordinator.counts()
        there = counts["gateways"][gateway.name]["origins"].get(head.origin, {})
        same = there == {"size": head.size, "root": head.root.hex()}
        if same and head.acked_size == head.size and not (await gateway.store.evidence_to_tell())[0]:
            return head


async def holds_once(coordinator: Coordinator, promised: list[bytes]) -> dict[str, Any]:
    """The coordinator holds every promised content, each object once."""
    accepted = await coordinator.accepted()
    assert {one.hex() for one in promised} <= set(accepted["snapshots"])
    return accepted


@contextlib.asynccontextmanager
async def aged(gateway: Gateway, village: Village, newer: int) -> AsyncIterator[Gateway]:
    """A copy of the disk is kept, the log grows by ``newer`` leaves and is synced, the copy is put back."""
    copy = gateway.path.with_suffix(".copy")
    shutil.copy(gateway.path, copy)
    async with gateway.running():
        await village.hand_over(gateway, newer)
        await synced(gateway)
    for file in gateway.path.parent.glob(f"{gateway.path.name}*"):
        file.unlink()
    shutil.copy(copy, gateway.path)
    async with gateway.running():
        yield gateway


async def test_a_restored_card_catches_up_with_what_the_coordinator_has_and_goes_on(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    gateway, village = Gateway("alpha", tmp_path, coordinator), Village()
    async with gateway.running():
        await village.hand_over(gateway, 5)
        await synced(gateway)
        before = await gateway.store.figures()
    assert before.size == 5
    async with aged(gateway, village, 9):
        assert (await gateway.store.head()).size == 5
        head = await synced(gateway)
        assert (head.epoch, head.size) == (1, 14)
        await audit(gateway.store)
        await gateway.until(verified_transactions=14, unverified_transactions=0)
        await village.hand_over(gateway, 4)
        assert (await synced(gateway)).size == 18
        await audit(gateway.store)
        for content in village.promised:
            assert await gateway.store.content(content) is not None
    counts = await coordinator.counts()
    assert counts["gateways"]["alpha"]["repeated"] == 0
    await holds_once(coordinator, village.promised)


async def test_an_empty_card_gets_its_whole_log_back_with_conflicts_and_evidence(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    gateway, village = Gateway("alpha", tmp_path, coordinator), Village()
    async with gateway.running():
        await village.hand_over(gateway, 3)
        cheat = village.wallets[0]
        for n in range(2):
            cheat.enter(Payment(cheat.signed("00" * 7 + f"{n:02x}", 5, 77, NOW, bytes([n]))))
        over = cheat.hand_over(NOW + 99)
        await gateway.send(snapshot_cbor(over))
        head = await synced(gateway)
        before = await gateway.until(conflicts=1)
    gateway.path.unlink()
    async with gateway.running():
        again = await synced(gateway)
        assert (again.origin, again.size, again.root) == (head.origin, head.size, head.root)
        await gateway.until(conflicts=1, verified_transactions=before.verified_transactions)
        assert (await gateway.store.head()).size == head.size  # nothing of it was logged twice
        await audit(gateway.store)


async def test_a_restored_card_that_went_on_before_it_was_found_out_loses_nothing(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    gateway, village, others = Gateway("alpha", tmp_path, coordinator), Village(), Village(1)
    async with gateway.running():
        await village.hand_over(gateway, 4)
        await synced(gateway)
    async with aged(gateway, village, 3):
        await others.hand_over(gateway, 2)  # offline: these stand where others stood
        head = await synced(gateway)
        assert (head.epoch, head.size) == (2, 1 + 2)
        await audit(gateway.store)
        (ended,) = await gateway.store.ended_epochs()
        assert (ended.number, ended.size, ended.seen) == (1, 4, False)
        assert "restored from an older copy" in ended.told.what and "log resume" in ended.told.fix
        await village.hand_over(gateway, 2)
        await synced(gateway)
    await holds_once(coordinator, village.promised + others.promised)


async def test_a_fork_freezes_the_epoch_with_evidence_and_the_next_begins_behind_both_heads(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    """Two disks with one key: what either signed is shown, what both accepted comes once."""
    gateway, village, others = Gateway("alpha", tmp_path, coordinator), Village(), Village(1)
    async with gateway.running():
        await village.hand_over(gateway, 4)
        await synced(gateway)
    async with aged(gateway, village, 3):
        await others.hand_over(gateway, 5)
        head = await gateway.store.head()
        note = gateway.signed(head.origin, 9, head.root)
        await gateway.store.record_signed(9, note)  # by a text message, say
        head = await synced(gateway)
        assert (head.epoch, head.size) == (2, 1 + 5)
        bodies = [item.body or b"" for item in (await gateway.store.read_batch(0)).entries[0].objects]
        assert [verify_evidence(body).kind for body in bodies] == [EvidenceKind.EPOCH, EvidenceKind.FORK]
        assert [textbook.verify(body).kind for body in bodies] == [textbook.EPOCH, textbook.FORK]
        await audit(gateway.store)
    assert (await coordinator.counts())["objects"]["evidence"] == 2
    await holds_once(coordinator, village.promised + others.promised)


async def test_a_card_from_before_the_present_epoch_does_not_sign_in_it_again(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    gateway, village, others = Gateway("alpha", tmp_path, coordinator), Village(), Village(1)
    async with gateway.running():
        await village.hand_over(gateway, 4)
        await synced(gateway)
        copy = tmp_path / "copy.db"
    shutil.copy(gateway.path, copy)
    async with aged(gateway, village, 3):
        await others.hand_over(gateway, 2)
        assert (await synced(gateway)).epoch == 2
    gateway.path.unlink()
    shutil.copy(copy, gateway.path)
    async with gateway.running():
        await others.hand_over(gateway, 1)
        head = await synced(gateway)
        assert (head.epoch, head.size) == (3, 1 + 1)
        await audit(gateway.store)
    await holds_once(coordinator, village.promised + others.promised)


async def test_uploads_wait_while_the_log_is_being_made_whole(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    gateway, village = Gateway("alpha", tmp_path, coordinator), Village()
    async with gateway.running():
        await gateway.store.hold("link", held=True)
        over = village.wallets[0].hand_over(NOW)
        answer = (await gateway.send(snapshot_cbor(over))).answer
        assert getattr(answer, "code", None) is Refusal.BUSY
        await gateway.store.hold("link", held=False)
        await village.hand_over(gateway, 1)


async def test_a_link_that_breaks_while_catching_up_goes_on_where_it_stood(
    tmp_path: Path, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.coordinator.giving_back.MAX_BYTES", 500)
    gateway, village = Gateway("alpha", tmp_path, coordinator), Village()
    async with gateway.running():
        await village.hand_over(gateway, 3)
        await synced(gateway)
    async with aged(gateway, village, 12):
        sizes = set()
        while (head := await gateway.store.head()).size < 15:
            sizes.add(head.size)
            async with gateway.linked():
                while (await gateway.store.head()).size == head.size:
                    await asyncio.sleep(0)
        assert len(sizes) > 1
        assert (await synced(gateway)).epoch == 1
        await audit(gateway.store)


async def test_a_gateway_that_begins_again_and_again_is_refused_in_the_end(
    tmp_path: Path, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("simulators.coordinator.session.MAX_EPOCHS", 2)
    gateway, village = Gateway("alpha", tmp_path, coordinator), Village()
    async with gateway.running():
        for _ in range(2):
            await village.hand_over(gateway, 1)
            await synced(gateway)
            await gateway.store.begin_epoch(gateway.beginning())
        async with gateway.linked() as link:
            while not link.figures.faults["protocol"]:
                await asyncio.sleep(0)
    assert len((await coordinator.counts())["gateways"]["alpha"]["origins"]) == 2


async def test_a_log_shorter_than_what_it_signed_waits_for_a_person_and_is_then_made_whole(
    tmp_path: Path, coordinator: Coordinator
) -> None:
    gateway, village = Gateway("alpha", tmp_path, coordinator), Village()
    async with gateway.running():
        await village.hand_over(gateway, 3)
        await synced(gateway)
    async with aged(gateway, village, 4):
        pass
    connection = sqlite3.connect(gateway.path)
    connection.execute("UPDATE log SET signed_size = 7, acked_size = 7")
    connection.commit()
    connection.close()
    async with gateway.running():
        head = await gateway.store.head()
        assert head.halted is not None and "log resume" in head.halted.fix
        async with gateway.linked() as link:
            while link.figures.halted is None:
                await asyncio.sleep(0)
        await gateway.store.resume()
        head = await synced(gateway)
        assert (head.epoch, head.size) == (1, 7)
        await audit(gateway.store)
    await holds_once(coordinator, village.promised)
