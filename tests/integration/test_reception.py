"""Every message is admitted, answered and told of by its rules; over the real recorder and store."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from store_rig import GATEWAY, NOW, store_rig

from gateway.core import cbor
from gateway.core.admission import Admission, Rate, Rates
from gateway.core.message.downlink import Down
from gateway.core.refusal import Refusal
from gateway.model import Source, Stamp, TimeQuality
from gateway.services import reception as module
from gateway.services.reception import Reception, Signer
from simulators.wallets.uploads import (
    hello,
    snapshot_cbor,
    snapshot_json,
    status,
    transactions_cbor,
)
from simulators.wallets.wallet import HandOver, Wallet

WIDE = Rate(1_000_000, 1 << 34)
HTTP = Source(radio="http", peer="10.0.0.7", correlation_id="c1")


def wallet(name: str) -> Wallet:
    return Wallet(name.encode().ljust(32, b"."))


def ledger(name: str, payments: int = 3) -> HandOver:
    owner = wallet(name)
    for n in range(payments):
        owner.pay(wallet("shop").device_id, n + 1, NOW)
    return owner.hand_over(NOW)


@dataclass
class Desk:
    reception: Reception
    time: list[float]
    words: Counter[tuple[str, str]]


@asynccontextmanager
async def desk(
    path: Path, *, peer: Rate = WIDE, device: Rate = WIDE, blocked: frozenset[str] = frozenset()
) -> AsyncIterator[Desk]:
    key = SigningKey(sha256(b"gateway").digest())
    async with store_rig(path) as rig:
        time, words = [0.0], Counter[tuple[str, str]]()
        reception = Reception(
            rig.recorder,
            rig.store,
            Admission(Rates(WIDE, peer, device), blocked=blocked),
            Signer(gateway_id=GATEWAY, key=bytes(key.verify_key), sign=lambda text: key.sign(text).signature),
            now=lambda: Stamp(NOW, TimeQuality.AGREED),
            monotonic=lambda: time[0],
            max_bytes=lambda: 1 << 20,
            answered=lambda radio, word: words.update([(radio, word)]),
        )
        at = Desk(reception, time, words)
        yield at


async def test_the_same_upload_over_http_and_radio_is_one_entry_and_one_promise(tmp_path: Path) -> None:
    over = ledger("alice")
    async with desk(tmp_path / "db") as at:
        first = await at.reception.snapshot(HTTP, snapshot_json(over).encode())
        second = await at.reception.message(HTTP, snapshot_cbor(over))
        assert first.message == second.message
        assert (first.duplicate, second.duplicate) == (False, True)
        assert at.words == {("http", "accepted"): 1, ("http", "duplicate"): 1}


async def test_a_radio_hands_in_bytes_and_gets_bytes_refusals_included(tmp_path: Path) -> None:
    async with desk(tmp_path / "db", peer=Rate(2, 1 << 20)) as at:
        submit = at.reception.submit("lora", 0.25)

        async def answer(message: bytes, peer: str) -> list[object]:
            return cbor.as_array(cbor.decode(await submit(message, peer, "c1")))

        promised = await answer(snapshot_cbor(ledger("alice")), "eui-1")
        malformed = await answer(b"\xff", "eui-1")
        flooded = await answer(hello(bytes(32)), "eui-1")
        beacon = await answer(hello(bytes(32)), "eui-2")
        assert [told[0] for told in (promised, malformed, flooded, beacon)] == [
            Down.PROMISE,
            Down.NACK,
            Down.NACK,
            Down.BEACON,
        ]
        assert (malformed[1], flooded[1], flooded[2]) == (Refusal.MALFORMED, Refusal.RATE_LIMITED, 30)


async def test_a_device_is_limited_by_what_its_own_key_verified_and_by_nobody_else(tmp_path: Path) -> None:
    async with desk(tmp_path / "db", device=Rate(1, 1 << 30)) as at:
        alice = ledger("alice")
        for n in range(5):  # claims under the victim's key, and loose payments under it, cost it nothing
            forged = snapshot_cbor(ledger("mallory", n)).replace(wallet("mallory").key, wallet("alice").key)
            assert (await at.reception.message(HTTP, forged)).word == "signature"
        payments = transactions_cbor(wallet("alice").key, ledger("mallory", 1).payments)
        assert (await at.reception.message(HTTP, payments)).word == "accepted"
        assert (await at.reception.message(HTTP, snapshot_cbor(alice))).word == "accepted"
        again = await at.reception.message(HTTP, snapshot_cbor(ledger("alice", 4)))
        assert (again.word, again.retry_after_s) == ("rate_limited", 60)
        assert (await at.reception.message(HTTP, snapshot_cbor(alice))).word == "duplicate"


async def test_a_blocked_device_is_told_so_and_its_neighbour_is_served(tmp_path: Path) -> None:
    async with desk(tmp_path / "db", blocked=frozenset({wallet("mallory").device_id})) as at:
        assert (await at.reception.message(HTTP, snapshot_cbor(ledger("mallory")))).word == "blocked"
        assert (await at.reception.message(HTTP, snapshot_cbor(ledger("alice")))).word == "accepted"


async def test_a_receipt_before_the_coordinator_came_is_the_very_promise(tmp_path: Path) -> None:
    over = ledger("alice")
    async with desk(tmp_path / "db") as at:
        given = await at.reception.message(HTTP, snapshot_cbor(over))
        asked = await at.reception.message(HTTP, status(over.content))
        assert asked.message == given.message
        assert asked.to_json()["content"] == over.content.hex()
        assert (await at.reception.receipt(bytes(32))).http_status == 404


async def test_a_ledger_of_a_season_is_decoded_beside_the_loop_and_taken(tmp_path: Path) -> None:
    body = snapshot_json(ledger("alice", 400)).encode()
    assert len(body) > module.LARGE
    async with desk(tmp_path / "db") as at:
        answer = await at.reception.snapshot(HTTP, body)
        assert answer.tally is not None
        assert answer.tally.verified == 400


async def test_a_flood_of_refusals_does_not_fill_the_journal(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with desk(tmp_path / "db") as at:
        for n in range(module.REFUSALS_TOLD_A_MINUTE + 70):
            await at.reception.message(HTTP, b"\xff%d" % n)
        lines = [record for record in caplog.records if record.message == "refused"]
        assert len(lines) == module.REFUSALS_TOLD_A_MINUTE
        at.time[0] = 60.0
        await at.reception.message(HTTP, b"\xff")
        assert vars(caplog.records[-1])["untold"] == 70
