"""A log that begins again: what was acked stays provable in the old epoch, all else moves on."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from store_rig import NOW, Rig, audit, store_rig

from gateway.core.checkpoint import Checkpoint, sign_checkpoint
from gateway.core.evidence import EpochBegun, EvidenceInvalid, Forked, verify_evidence
from gateway.core.message.downlink import Nack, Promise
from gateway.core.note import VerifierKey
from gateway.core.refusal import Refusal
from gateway.model import Beginning, EntryKind, Halt, Head, RetentionPolicy, Stamp, TimeQuality
from simulators.textbook import evidence as textbook
from simulators.textbook.merkle import leaf_hash, root_from_path
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor, transactions_cbor

GATEWAY_KEY = SigningKey(sha256(b"gateway").digest())
PUBLIC = bytes(GATEWAY_KEY.verify_key)


def note(head: Head, size: int, root: bytes) -> bytes:
    checkpoint = Checkpoint(head.origin, size, root)
    key = VerifierKey(head.origin, PUBLIC)
    return sign_checkpoint(checkpoint, key, lambda text: GATEWAY_KEY.sign(text).signature).to_bytes()


def beginning(why: str = "test", seen: bytes | None = None) -> Beginning:
    told = Halt(what="a test", fix="look at it")
    return Beginning(key=PUBLIC, why=why, told=told, at=Stamp(NOW, TimeQuality.AGREED), seen=seen)


async def acked(rig: Rig, size: int) -> None:
    head = await rig.store.head()
    signed = note(head, size, await rig.store.root_at(size))
    await rig.store.record_signed(size, signed)
    await rig.store.mark_acked(size, signed)


async def grow(rig: Rig, wallets: list[Wallet], rounds: int, at: int = NOW) -> list[bytes]:
    """Wallets pay each other and hand over whole ledgers; returns the contents promised."""
    contents = []
    for n in range(rounds):
        payer, payee = wallets[n % len(wallets)], wallets[(n + 1) % len(wallets)]
        payee.accept(payer.pay(payee.device_id, 1.0 + n, at + n), at + n)
        over = payee.hand_over(at + n)
        assert await rig.promised(snapshot_cbor(over), over.content)
        contents.append(over.content)
    return contents


async def test_what_was_acked_stays_provable_and_what_was_not_moves_behind_the_new_beginning(
    tmp_path: Path,
) -> None:
    wallets = [Wallet(bytes([n]) * 32) for n in range(3)]
    async with store_rig(tmp_path / "log.db") as rig:
        contents = await grow(rig, wallets, 10)
        await acked(rig, 6)
        before = await rig.store.head()
        old_root = await rig.store.root_at(6)
        head = await rig.store.begin_epoch(beginning())
        assert (head.epoch, head.origin[-2:], head.size, head.acked_size) == (2, "/2", 1 + 4, 0)
        first = (await rig.store.read_batch(0)).entries
        assert [entry.kind for entry in first] == [EntryKind.EPOCH]
        (begun,) = [verify_evidence(item.body or b"") for item in first[0].objects]
        assert begun == EpochBegun(PUBLIC, before.signed_note, before.size, before.root, None, "test")
        await audit(rig.store)
        for number, content in enumerate(contents):
            place = await rig.store.content(content)
            assert place is not None
            assert (place.epoch, place.index) == ((1, number) if number < 6 else (2, number - 5))
            if number < 6:
                assert place.cosigned is not None and place.cosigned[0] == 6
                path = await rig.store.proof(place.index, 6, place.epoch)
                assert root_from_path(leaf_hash(place.entry), number, 6, path) == old_root
            else:
                path = await rig.store.proof(place.index, head.size)
                assert root_from_path(leaf_hash(place.entry), place.index, 5, path) == head.root
        assert (await rig.store.figures()).verified_transactions == 10


async def test_it_goes_on_over_restarts_and_further_epochs_with_lists_that_stand_alone(
    tmp_path: Path,
) -> None:
    wallets = [Wallet(bytes([n]) * 32) for n in range(3)]
    contents = []
    for epoch in range(1, 5):
        async with store_rig(tmp_path / "log.db") as rig:
            assert (await rig.store.head()).epoch == epoch
            contents += await grow(rig, wallets, 7, NOW + 100 * epoch)
            await acked(rig, (await rig.store.head()).size - 3)
            contents += await grow(rig, wallets, 2, NOW + 100 * epoch + 50)
            await audit(rig.store)
            await rig.store.begin_epoch(beginning())
            await audit(rig.store)
            if epoch == 2:
                await rig.store.prune(RetentionPolicy(max_snapshots=0))
    async with store_rig(tmp_path / "log.db") as rig:
        places = [await rig.store.content(content) for content in contents]
        assert all(place is not None for place in places)
        assert {place.epoch for place in places if place} == {1, 2, 3, 4, 5}
        assert [one.number for one in await rig.store.ended_epochs()] == [1, 2, 3, 4]
        assert (await rig.store.figures()).verified_transactions == 36


async def test_with_nothing_acked_all_of_it_moves_even_twice(tmp_path: Path) -> None:
    wallets = [Wallet(bytes([n]) * 32) for n in range(2)]
    async with store_rig(tmp_path / "log.db") as rig:
        await rig.store.begin_epoch(beginning())
        contents = await grow(rig, wallets, 5)
        for _ in range(2):
            await rig.store.begin_epoch(beginning())
        assert (await rig.store.head()).size == 6
        await audit(rig.store)
        assert [(await rig.store.content(one)).index for one in contents] == [1, 2, 3, 4, 5]  # type: ignore[union-attr]
    async with store_rig(tmp_path / "log.db") as rig:
        assert (await rig.store.head()).epoch == 4


async def test_a_wallet_that_comes_again_gets_the_promise_of_the_epoch_its_content_is_in(
    tmp_path: Path,
) -> None:
    alice, bob = Wallet(b"a" * 32), Wallet(b"b" * 32)
    async with store_rig(tmp_path / "log.db") as rig:
        one, two = (alice.pay(bob.device_id, n, NOW + n) for n in (1, 2))
        first = alice.hand_over(NOW)
        await rig.promised(snapshot_cbor(first), first.content)
        await acked(rig, 1)
        await rig.store.begin_epoch(beginning())
        (promised,) = await rig.promised(snapshot_cbor(first), first.content)
        assert (promised.origin[-2:], promised.index) == ("/1", 0)
        three = alice.pay(bob.device_id, 3, NOW + 3)
        second = alice.hand_over(NOW + 5)
        (promised,) = await rig.promised(snapshot_cbor(second, base=len(first.payments)), second.content)
        assert (promised.origin[-2:], promised.index) == ("/2", 1)
        mixed = (await rig.send(transactions_cbor(alice.key, [one, three]))).answer
        assert isinstance(mixed, Nack) and mixed.code is Refusal.TOO_LARGE
        assert isinstance((await rig.send(transactions_cbor(alice.key, [two]))).answer, Promise)
        await audit(rig.store)


async def test_a_fork_leaves_evidence_that_verifies_alone_beside_the_beginning(tmp_path: Path) -> None:
    wallets = [Wallet(bytes([n]) * 32) for n in range(3)]
    async with store_rig(tmp_path / "log.db") as rig:
        await grow(rig, wallets, 5)
        head = await rig.store.head()
        signed = note(head, 5, head.root)
        await rig.store.record_signed(5, signed)
        seen = note(head, 3, b"r" * 32)
        await rig.store.halt(Halt(what="w", fix="f"))
        head = await rig.store.begin_epoch(beginning("fork", seen))
        assert head.halted is None
        bodies = [item.body or b"" for item in (await rig.store.read_batch(0)).entries[0].objects]
        begun, fork = map(verify_evidence, bodies)
        assert isinstance(begun, EpochBegun) and (begun.signed, begun.seen) == (signed, seen)
        assert isinstance(fork, Forked) and fork.first == seen
        assert [textbook.verify(body).kind for body in bodies] == [textbook.EPOCH, textbook.FORK]
        assert (await rig.store.evidence_to_tell())[0] == tuple(bodies)


async def test_a_later_epoch_that_the_key_has_signed_is_gone_beyond(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "log.db") as rig:
        head = await rig.store.head()
        origin = head.origin[:-1] + "7"
        later = sign_checkpoint(
            Checkpoint(origin, 2, b"r" * 32),
            VerifierKey(origin, PUBLIC),
            lambda text: GATEWAY_KEY.sign(text).signature,
        )
        assert (await rig.store.begin_epoch(beginning(seen=later.to_bytes()))).epoch == 8
        with pytest.raises(EvidenceInvalid):
            await rig.store.begin_epoch(beginning(seen=b"no note"))
        assert (await rig.store.head()).epoch == 8
