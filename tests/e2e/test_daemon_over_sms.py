"""The daemon as a process at a simulated modem: wallets' and people's messages, and the last way home."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from daemon_rig import GATEWAY, VECTORS, Daemon, House, house

from simulators.coordinator import Fault
from simulators.modem.modem import Modem, Sim
from simulators.modem.network import Network
from simulators.modem.phone import Message, Phone
from simulators.modem.profiles import PROFILES
from simulators.modem.tty import ModemPorts
from simulators.textbook.objects import Transaction, object_hash, transaction_of
from simulators.wallets.receipts import verify_inclusion, verify_promise
from simulators.wallets.sms import (
    as_data,
    as_text,
    opened,
    payment_body,
    promise_of,
    receipt_body,
    refusal_of,
)
from simulators.wallets.uploads import hello, snapshot_cbor
from simulators.wallets.wallet import Wallet

HERE, PHONE, COORDINATOR = "+491700000001", "+491700000002", "+491700000009"
NOW = 1_790_000_000_000
OPTIONS = {
    "answer_s": 2.0,
    "sweep_s": 1.0,
    "poll_s": 1.0,
    "per_day_reserve": 0,
}
LINE = "PAY|16fd917a|001cfdb7|260|0|1767225954663|SeAWgGuTR8SURGu3kzNopUssUBalRC2K"


class Village:
    """A modem, a phone, the coordinator's telephone, one network."""

    def __init__(self, here: House, directory: Path) -> None:
        self.here = here
        self.network = Network()
        self.modem = Modem(PROFILES["EC25"], self.network, Sim(HERE))
        self.ports = ModemPorts(self.modem, directory / "dev")
        self.phone = Phone(self.network, PHONE)
        self.heads: asyncio.Queue[Message] = asyncio.Queue()
        self.coordinator = Phone(self.network, COORDINATOR, on_message=self.heads.put_nowait)

    def section(self, **settings: Any) -> dict[str, Any]:
        port = str(self.ports.path.parent / "*")
        return {"port": port, "per_minute": 60, "answers_per_hour": 1000, "options": OPTIONS, **settings}

    async def ask(self, said: str | bytes) -> str | bytes:
        self.phone.send(HERE, said)
        return (await asyncio.wait_for(self.phone.inbox.get(), 30)).text


@asynccontextmanager
async def village(tmp_path: Path) -> AsyncIterator[Village]:
    async with house(tmp_path) as here:
        made = Village(here, tmp_path)
        async with made.ports:
            yield made
        made.network.close()


async def up(daemon: Daemon) -> None:
    await daemon.said("modem is up", radio="gsm")


def payment() -> tuple[Wallet, Wallet, Transaction]:
    alice, bob = (Wallet(name.ljust(32, b".")) for name in (b"alice", b"bob"))
    return alice, bob, alice.pay(bob.device_id, 12.5, NOW).transaction


async def test_a_payment_and_its_receipt_by_text_reach_the_coordinator(tmp_path: Path) -> None:
    alice, bob, paid = payment()
    async with village(tmp_path) as here, here.here.daemon(gsm=here.section()) as daemon:
        await up(daemon)
        assert opened(await here.ask(as_text("M1", hello(alice.key))))[0] == "M1"
        for sent in (as_text("P1", payment_body(paid)), as_data("P1", payment_body(paid))):
            answer = await here.ask(sent)
            assert type(answer) is type(sent)
            mark, body = opened(answer)
            assert mark == "Q1"
            promise = promise_of(body)
            assert not promise.unverified
            assert verify_promise(promise.message, here.here.public_key, [object_hash(paid.encode())])
        receipted = bob.accept(alice.ledger[0], NOW + 5)
        assert receipted.receipt is not None
        mark, _ = opened(await here.ask(as_data("R1", receipt_body(paid.id, receipted.receipt))))
        assert mark == "Q1"
        accepted = here.here.coordinator.accepted
        await here.here.coordinator.until(lambda counts: counts["gateways"][GATEWAY]["entries"] == 2)
        seen = (await accepted())["transactions"][paid.identity.hex()]
        assert seen["state"] == "verified"
        assert {one["radio"] for one in seen["heard"]} == {"gsm"}
        assert (await here.here.coordinator.counts())["objects"]["receipt"] == 1


async def test_a_tampered_payment_is_refused_and_a_ledger_comes_in_parts(tmp_path: Path) -> None:
    alice, bob, _ = payment()
    for n in range(4):
        alice.pay(bob.device_id, n + 1, NOW + n + 1)
    async with village(tmp_path) as here, here.here.daemon(gsm=here.section()) as daemon:
        await up(daemon)
        answer = await here.ask(snapshot_cbor(over := alice.hand_over(NOW)))
        assert isinstance(answer, bytes)
        assert verify_promise(answer, here.here.public_key, [over.content])
        body = bytearray(payment_body(alice.signed(bob.device_id, 9, 77, NOW)))
        body[-66] ^= 1  # the last byte of the timestamp
        mark, refusal = opened(await here.ask(as_data("P1", bytes(body))))
        assert (mark, refusal_of(refusal).code) == ("N1", 5)
        mark, refusal = opened(await here.ask(as_text("R1", bytes(16) + b"\x01" + bytes(70))))
        assert (mark, refusal_of(refusal).code) == ("N1", 11)
        assert (await here.here.coordinator.until(lambda c: c["gateways"][GATEWAY]["entries"] == 1))[
            "objects"
        ]


async def test_people_are_answered_in_their_language_and_the_old_line_is_no_payment(tmp_path: Path) -> None:
    async with village(tmp_path) as here, here.here.daemon(gsm=here.section()) as daemon:
        await up(daemon)
        for word, told in (
            ("Help", "gateway"),
            ("aide", "passerelle"),
            ("ESTADO", "0 entregas"),
            (LINE, "not"),
        ):
            answer = await here.ask(word)
            assert isinstance(answer, str)
            assert told in answer
        assert (await daemon.said("unverified intent"))["line"] == LINE
        # The line again, chatter, an answer of a machine: silence. The next word is what is answered.
        for ignored in (LINE, "hello there", "OFFGRID gw: open.", as_text("Q1", bytes(90))):
            here.phone.send(HERE, ignored)
        assert "0 entries kept" in str(await here.ask("status"))
        assert here.phone.inbox.empty()
        figures = await daemon.figures(**{'gateway_uploads_total{outcome="intent",radio="gsm"}': 1.0})
        assert figures["transactions_total"] == 0


def fitting() -> list[Transaction]:
    """Some of the wallets' own payments, each sender's several."""
    found: dict[bytes, Transaction] = {}
    for line in VECTORS.read_text().splitlines()[1:]:
        row = json.loads(line, parse_int=str, parse_float=str)
        if not row["expect"]["accept"]:
            continue
        for one in row["transactions"]:
            names = ("id", "from", "to", "amount", "nonce", "timestamp")
            made = transaction_of([one[name] for name in names], one["signature"])
            if isinstance(made, Transaction) and len(made.amount) <= 12 and len(made.id) == 32:
                found[made.identity] = made
    return list(found.values())[:12]


async def test_the_wallets_own_payments_are_promised_with_and_without_a_hello(tmp_path: Path) -> None:
    async with village(tmp_path) as here, here.here.daemon(gsm=here.section()) as daemon:
        await up(daemon)
        for one in fitting():
            mark, body = opened(await here.ask(as_text("P1", payment_body(one))))
            assert mark == "Q1"
            promise = promise_of(body)
            assert promise.unverified
            assert verify_promise(promise.message, here.here.public_key, [object_hash(one.encode())])


async def test_a_payment_promised_before_a_kill_is_promised_again_and_counted_once(tmp_path: Path) -> None:
    alice, _, paid = payment()
    async with village(tmp_path) as here:
        async with here.here.daemon(gsm=here.section()) as daemon:
            await up(daemon)
            await here.ask(hello(alice.key))
            await here.ask(as_data("P1", payment_body(paid)))
            daemon.kill()
            await daemon.ended()
        async with here.here.daemon(gsm=here.section()) as daemon:
            await up(daemon)
            mark, body = opened(await here.ask(as_data("P1", payment_body(paid))))
            assert mark == "Q1"
            assert not promise_of(body).unverified
            assert (await daemon.figures(transactions_total=1.0))["transactions_total"] == 1


async def test_with_ip_cut_the_coordinator_knows_the_newest_root_within_the_budget(tmp_path: Path) -> None:
    alice, _, paid = payment()
    way = {"after_seconds": 2, "interval_seconds": 1, "per_day": 2}
    async with village(tmp_path) as here:
        here.here.coordinator.faults.set(Fault("refuse"))
        section = here.section(coordinator_number=COORDINATOR, last_way_home=way)
        async with here.here.daemon(gsm=section) as daemon:
            await up(daemon)
            await here.ask(hello(alice.key))
            assert not await seen_by_the_coordinator(here, paid)
            heads = []
            for _ in range(2):
                text = (await asyncio.wait_for(here.heads.get(), 30)).text
                assert isinstance(text, str)
                assert len(text) <= 160
                heads.append(await here.here.coordinator.text(text))
            assert (heads[-1].origin, heads[-1].size) == (f"offgrid/{GATEWAY}/1", 1)
            counts = await here.here.coordinator.counts()
            told = counts["gateways"][GATEWAY]
            assert told["texts"] == 2
            assert told["ahead"] == {f"offgrid/{GATEWAY}/1": {"1": heads[-1].root.hex()}}
            assert await seen_by_the_coordinator(here, paid)
            assert "0 confirmed, 1 known by text" in str(await here.ask("status"))
            content = object_hash(paid.encode())
            assert verify_inclusion(await daemon.receipt(content), here.here.public_key, None, content).told
            while (await daemon.get("/status")).json["link"]["toldByTextSize"] != 1:
                await asyncio.sleep(0.01)  # a reading is kept for a moment
            with pytest.raises(TimeoutError):  # the day's budget is spent
                await asyncio.wait_for(here.heads.get(), 3)
            # And when the road is open again, the log that comes is the one that was told.
            here.here.coordinator.faults.clear()
            counts = await here.here.coordinator.until(lambda c: c["gateways"][GATEWAY]["entries"] == 1)
            assert (
                counts["gateways"][GATEWAY]["origins"][f"offgrid/{GATEWAY}/1"]["root"] == heads[-1].root.hex()
            )
            assert counts["forks"] == 0


async def seen_by_the_coordinator(here: Village, paid: Transaction) -> bool:
    """What the promise of a payment hints at."""
    return promise_of(opened(await here.ask(as_data("P1", payment_body(paid))))[1]).seen


async def test_killed_again_and_again_it_logs_each_message_that_reached_the_sim_once(tmp_path: Path) -> None:
    alice, bob, _ = payment()
    made = [alice.signed(bob.device_id, n + 1, n + 10, NOW + n) for n in range(12)]
    async with village(tmp_path) as here:
        async with here.here.daemon(gsm=here.section()) as daemon:
            await up(daemon)
            await here.ask(hello(alice.key))
            mark, _ = opened(await here.ask(as_data("P1", payment_body(made[0]))))  # proves the key
            assert mark == "Q1"
            for one in made[1:]:
                here.phone.send(HERE, as_data("P1", payment_body(one)))
            await here.phone.inbox.get()  # in the middle of it
            daemon.kill()
        for _ in range(2):
            async with here.here.daemon() as daemon:
                await up(daemon)
                daemon.kill()
        async with here.here.daemon() as daemon:
            await daemon.figures(transactions_total=float(len(made)))
            counts = await here.here.coordinator.until(
                lambda counts: counts["transactions"].get("verified") == len(made)
            )
            assert counts["gateways"][GATEWAY]["repeated"] == 0
            assert counts["gateways"][GATEWAY]["entries"] == len(made)


async def test_a_modem_that_comes_back_under_another_name_is_found_and_no_other_part_notices(
    tmp_path: Path,
) -> None:
    alice, _, paid = payment()
    async with village(tmp_path) as here, here.here.daemon(gsm=here.section()) as daemon:
        await up(daemon)
        await here.ask(hello(alice.key))
        before = len(daemon.lines)
        here.ports.vanish()
        here.phone.send(HERE, as_data("P1", payment_body(paid)))
        await daemon.said("service failed, will restart", after=before, service="gsm")
        assert (await daemon.get("/readyz")).status == 200
        here.ports.appear("usb-other")
        message = await asyncio.wait_for(here.phone.inbox.get(), 60)
        assert opened(message.text)[0] == "Q1"
        status = await daemon.status()
        assert status["status"] == "healthy"  # its only radio works again
        assert status["services"]["gsm"]["restarts"] >= 1
        assert all(one["restarts"] == 0 for name, one in status["services"].items() if name != "gsm")
