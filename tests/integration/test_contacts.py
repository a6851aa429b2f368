"""A contact over a radio of whole messages: answers in the message's form, and receipts owed, behind them."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from store_rig import Rig, store_rig
from test_frame_intake import EarAndMouth
from test_wallet_vectors_over_ble import reception

from drivers.base import TxReceipt, TxRequest
from drivers.errors import TransmitRefused
from gateway.core.owed import Owed
from gateway.services import frame_intake
from gateway.services.contacts import Contacts
from gateway.services.observed import observed
from simulators.textbook.cbor import array, decode
from simulators.wallets import HandOver, Wallet
from simulators.wallets.receipts import notice_in_cbor, verify_promise
from simulators.wallets.uploads import hello, snapshot_cbor, snapshot_json, transactions_json

NOW = 1_790_000_000_000


def ledger(name: str) -> HandOver:
    owner = Wallet(name.encode().ljust(32, b"."))
    owner.pay("0011223344556677", 1, NOW)
    return owner.hand_over(NOW)


def contacts(behind: Rig) -> Contacts:
    owed = Owed()
    return Contacts("ble", 0.002, reception(behind, owed), behind.store, owed)


async def test_json_is_answered_in_json_snapshot_or_transactions_and_refusals_too(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk = contacts(behind)
        over = ledger("alice")
        bodies = snapshot_json(over), transactions_json(over.header.key, over.payments), '{"snapshot":{}}'
        answers = [json.loads(await desk.submit(body.encode(), "F0", "c")) for body in bodies]
        assert [answer["status"] for answer in answers] == ["accepted", "accepted", "refused"]
        assert answers[0]["content"] == over.content.hex()
        assert array(decode(await desk.submit(snapshot_cbor(over), "F0", "c")))[0] == 16


async def test_a_wallet_that_comes_is_told_what_another_brought_in_the_form_it_speaks(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk = contacts(behind)
        alice = ledger("alice")
        brought = await desk.submit(snapshot_cbor(alice), "carrier", "c")
        assert await desk.notices(snapshot_cbor(alice), "carrier") == []
        come = hello(alice.header.key)
        assert array(decode(await desk.submit(come, "alice-1", "c")))[0] == 22
        [notice] = await desk.notices(come, "alice-1")
        assert notice.payload == brought
        assert await desk.notices(come, "alice-1") == []
        desk.untold([notice])
        [in_json] = await desk.notices(b"{", "alice-1")
        assert [
            one.content
            for one in verify_promise(notice_in_cbor(in_json.payload), behind.key, [alice.content])
        ]


class Noticeboard(EarAndMouth):
    """Gives notices, so many."""

    def __init__(self, *payloads: bytes, room: int = 9) -> None:
        super().__init__(*payloads)
        self.room = room
        self.given: list[bytes] = []

    async def notify(self, request: TxRequest) -> TxReceipt:
        if len(self.given) == self.room:
            raise TransmitRefused("no_route")
        self.given.append(request.payload)
        return TxReceipt()


async def test_notices_that_a_lost_radio_cuts_short_at_any_moment_stay_due(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk, alice = contacts(behind), ledger("alice")
        await desk.submit(snapshot_cbor(alice), "carrier", "c")
        come = hello(alice.header.key)
        await desk.submit(come, "alice-1", "c")
        for turns in range(60):
            telling = asyncio.create_task(desk.notices(come, "alice-1"))
            for _ in range(turns):
                await asyncio.sleep(0)
            telling.cancel()
            [told] = await asyncio.gather(telling, return_exceptions=True)
            if not isinstance(told, BaseException):
                desk.untold(told)
        assert len(await desk.notices(come, "alice-1")) == 1


async def test_notices_follow_the_answer_and_those_that_do_not_get_through_stay_due(tmp_path: Path) -> None:
    async with store_rig(tmp_path / "db") as behind:
        desk = contacts(behind)
        alice = Wallet(b"alice".ljust(32, b"."))
        for n in range(3):
            alice.pay("0011223344556677", n + 1, NOW)
            await desk.submit(snapshot_cbor(alice.hand_over(NOW + n)), "carrier", "c")
        radio = Noticeboard(hello(alice.key), room=1)
        watched = observed(radio, lambda _: None, lambda _: None)
        taking = asyncio.create_task(frame_intake.take(watched, desk.submit, desk))
        answer = await radio.sent.get()
        assert array(decode(answer.payload))[0] == 22
        while not (left := await desk.notices(hello(alice.key), "p")):
            await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
        assert (len(radio.given), len(left)) == (1, 2)
