"""Wallets show their promises again: what a disk that was set back has lost comes to light."""

from __future__ import annotations

import shutil
from hashlib import sha256
from pathlib import Path

from nacl.signing import SigningKey
from store_rig import NOW, Rig, store_rig

from gateway.core import cbor
from gateway.core.admission import Admission, Rate, Rates
from gateway.core.answer import Answer
from gateway.core.message.downlink import Nack, Promise, encode_downlink
from gateway.core.refusal import Refusal
from gateway.model import Source, Stamp, TimeQuality
from gateway.services.reception import Reception, Signer
from simulators.wallets import Wallet
from simulators.wallets.uploads import snapshot_cbor

SOURCE = Source(radio="test", peer="nobody", correlation_id="c")


def desk(rig: Rig) -> Reception:
    key = SigningKey(sha256(b"gateway").digest())
    rate = Rate(messages=1000, bytes=1 << 30)
    return Reception(
        rig.recorder,
        rig.store,
        Admission(Rates(rate, rate, rate)),
        Signer(gateway_id="kibera-07", key=rig.key, sign=lambda text: key.sign(text).signature),
        now=lambda: Stamp(NOW, TimeQuality.AGREED),
        monotonic=lambda: 0.0,
        max_bytes=lambda: 1 << 20,
        answered=lambda radio, word: None,
    )


async def promised(rig: Rig, wallet: Wallet, at: int) -> tuple[bytes, bytes]:
    """A snapshot's message, and the ECHO of the promise it got."""
    over = wallet.hand_over(NOW + at)
    message = snapshot_cbor(over)
    answer = (await rig.send(message)).answer
    assert isinstance(answer, Promise)
    return message, echo(answer, over.content)


def echo(promise: Promise, *contents: bytes) -> bytes:
    return cbor.encode([6, cbor.decode(encode_downlink(promise)), list(contents)])


async def shown(rig: Rig, message: bytes) -> Answer:
    return await desk(rig).message(SOURCE, message)


async def test_a_promise_that_is_kept_is_answered_with_the_receipt(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "log.db") as rig:
        _, echoed = await promised(rig, Wallet(b"a" * 32), 1)
        assert isinstance((await shown(rig, echoed)).message, Promise)
        assert (await rig.store.head()).epoch == 1


async def test_a_promise_that_the_disk_was_set_back_behind_begins_a_new_epoch_and_is_asked_for_again(
    tmp_path: Path,
) -> None:
    alice, bob = Wallet(b"a" * 32), Wallet(b"b" * 32)
    async with store_rig(tmp_path / "log.db") as rig:
        await promised(rig, alice, 1)
    shutil.copy(tmp_path / "log.db", tmp_path / "older.db")
    async with store_rig(tmp_path / "log.db") as rig:
        message, echoed = await promised(rig, bob, 2)
    async with store_rig(tmp_path / "older.db") as rig:
        answer = (await shown(rig, echoed)).message
        assert isinstance(answer, Nack) and answer.code is Refusal.NOT_FOUND
        head = await rig.store.head()
        assert (head.epoch, head.size) == (2, 2)
        assert (await rig.store.figures()).lost_promises == 1
        (ended,) = await rig.store.ended_epochs()
        assert "older copy" in ended.told.fix
        assert isinstance((await rig.send(message)).answer, Promise)
        assert isinstance((await shown(rig, echoed)).message, Promise)
        assert (await rig.store.head()).epoch == 2


async def test_a_promise_of_a_place_where_something_else_stands_now_begins_a_new_epoch_too(
    tmp_path: Path,
) -> None:
    alice, bob = Wallet(b"a" * 32), Wallet(b"b" * 32)
    async with store_rig(tmp_path / "log.db") as rig:
        message, echoed = await promised(rig, alice, 1)
    async with store_rig(tmp_path / "other.db") as rig:
        await promised(rig, bob, 2)
        assert isinstance((await rig.send(message)).answer, Promise)  # held, but elsewhere than promised
        assert isinstance((await shown(rig, echoed)).message, Promise)
        assert (await rig.store.head()).epoch == 2
        assert (await rig.store.figures()).lost_promises == 0


async def test_a_promise_that_this_gateway_never_gave_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "log.db") as rig:
        _, echoed = await promised(rig, Wallet(b"a" * 32), 1)
        fields = cbor.decode(echoed)
        assert isinstance(fields, list)
        for forged in (
            [6, fields[1], [b"x" * 32]],
            [6, [16, fields[1][1], bytes(64), fields[1][3]], fields[2]],
            [6, [16, "offgrid/other/1", *fields[1][2:]], fields[2]],
        ):
            answer = (await shown(rig, cbor.encode(forged))).message
            assert isinstance(answer, Nack) and answer.code is Refusal.SIGNATURE
        for garbage in ([6, [16], fields[2]], [6, fields[1], []], [6, fields[1]]):
            answer = (await shown(rig, cbor.encode(garbage))).message
            assert isinstance(answer, Nack) and answer.code is Refusal.MALFORMED
        assert (await rig.store.head()).epoch == 1
