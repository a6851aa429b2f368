"""The daemon as a process at a simulated Bluetooth controller, and phones with wallets that pass it."""

from __future__ import annotations

import asyncio
import json
import struct
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon_rig import GATEWAY, Daemon, House, house, origin_of, upload_of, wallet_rows

from simulators.phones.air import Air
from simulators.phones.controller import VirtualController
from simulators.phones.ledger import PhoneWallet
from simulators.phones.phone import Phone, Traits
from simulators.phones.port import TcpPort
from simulators.textbook.cbor import array, decode, encode, octets
from simulators.textbook.notes import parse_vkey
from simulators.textbook.signing import BEACON, labelled, verifies
from simulators.wallets import Wallet
from simulators.wallets.uploads import hello

NOW = 1_790_000_000_000
STAY_S = 10.0


def wallet(name: str, payments: int = 3) -> Wallet:
    owner = Wallet(name.encode().ljust(32, b"."))
    for n in range(payments):
        owner.pay("0011223344556677", n + 0.5, NOW + n)
    return owner


class Street:
    """Who walks past the gateway."""

    def __init__(self, here: House, air: Air, port: TcpPort) -> None:
        self.here = here
        self.air = air
        self.port = port
        self.phones: list[Phone] = []

    def person(self, name: str, *, as_json: bool = False, payments: int = 3) -> PhoneWallet:
        coordinator = parse_vkey(self.here.coordinator.vkey)
        owner = wallet(name, payments)
        return PhoneWallet(owner, lambda: NOW, as_json=as_json, coordinator=coordinator)

    def phone(self, who: PhoneWallet | Rows, *, mtu: int = 185) -> Phone:
        """Another one each time: phones change their addresses."""
        phone = Phone(
            self.air,
            len(self.phones) + 1,
            Traits(mtu=mtu),
            next_message=who.next_message,
            on_answer=who.on_answer,
            on_notice=who.on_notice,
        )
        self.phones.append(phone)
        return phone


@asynccontextmanager
async def street(tmp_path: Path) -> AsyncIterator[Street]:
    air = Air()
    dongle = VirtualController(air, "dongle", public_address="C0:FF:EE:00:00:01/P")
    async with house(tmp_path) as here, TcpPort(dongle) as port:
        at = Street(here, air, port)
        try:
            yield at
        finally:
            for phone in at.phones:
                phone.close()


def settings(at: Street) -> dict[str, Any]:
    return {"ble": {"controller": at.port.address}}


async def stay_until(phone: Phone, told: Callable[[], bool]) -> None:
    """A contact that ends when the wallet was told."""
    visit = asyncio.create_task(phone.visit(stay_s=STAY_S))
    while not told() and not visit.done():
        await asyncio.sleep(0.01)
    phone.walk_away()
    visit.cancel()
    await asyncio.gather(visit, return_exceptions=True)


async def glance(at: Street, who: PhoneWallet) -> dict[int, bytes]:
    """What can be read of the gateway, by the attribute's short UUID, and the hint under 0."""
    phone = at.phone(who)
    call = await phone.dial(f"OFFGRID_{GATEWAY}")
    facts = {short: await call.read(short) for short in range(0xFFF3, 0xFFF8)}
    await call.connection.disconnect()
    return facts | {0: phone.service_data[2:]}


async def synced(at: Street, daemon: Daemon, size: int) -> None:
    while origin_of(await at.here.coordinator.counts())["size"] < size:
        await asyncio.sleep(0.01)
    await daemon.figures(transactions_pending=0.0)


async def test_a_phone_is_promised_in_its_own_form_and_gets_the_proof_on_its_next_contact(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as at, at.here.daemon(**settings(at)) as daemon:
        await daemon.said("advertising OFFGRID_" + GATEWAY)
        people = [at.person("alice"), at.person("bob", as_json=True)]
        for who in people:
            await at.phone(who).visit(f"OFFGRID_{GATEWAY}")
            assert who.counts == {"beacons": 1, "accepted": 1}
        await synced(at, daemon, 2)
        for who in people:
            who.wallet.pay("0011223344556677", 7, NOW + 100)  # something new to come with
            await stay_until(at.phone(who), lambda who=who: bool(who.proofs))  # type: ignore[misc]
            assert who.counts == {"beacons": 1, "accepted": 2, "included": 1}
            assert who.proofs[0].content == who.contents[0]


async def test_a_carrier_gets_the_receipt_of_what_it_brought_and_so_does_the_wallet_when_it_comes(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as at, at.here.daemon(**settings(at)) as daemon:
        await daemon.said("advertising OFFGRID_" + GATEWAY)
        alice, bob, carrier = at.person("alice"), at.person("bob"), at.person("carrier")
        for who in (alice, bob):
            who.hand_over_to(carrier)
        brought = at.phone(carrier)
        await brought.visit()
        assert carrier.counts == {"beacons": 1, "accepted": 1, "carried": 2}
        assert (await daemon.figures(transactions_total=9.0))["transactions_total"] == 9
        await synced(at, daemon, 3)
        for who in (alice, bob):  # with nothing new: they only say who they are
            who.gateway_key = carrier.gateway_key
            await stay_until(at.phone(Asking(who)), lambda who=who: bool(who.proofs))  # type: ignore[misc]
            assert [proof.content for proof in who.proofs] == who.contents
        carrier.contents += [*alice.contents, *bob.contents]  # to recognise what it is told of them
        brought.come_back()
        carrier.wallet.pay("0011223344556677", 9, NOW + 9)
        await stay_until(brought, lambda: len(carrier.proofs) >= 3)
        assert {*alice.contents, *bob.contents} <= {proof.content for proof in carrier.proofs}


class Asking(PhoneWallet):
    """The same wallet with nothing to hand over: HELLO, once."""

    def __init__(self, of: PhoneWallet) -> None:
        super().__init__(of.wallet, of.now_ms)
        self._of = of
        self._hello: bytes | None = hello(of.wallet.key)

    def next_message(self) -> bytes | None:
        said, self._hello = self._hello, None
        return said

    def on_notice(self, notice: bytes) -> None:
        self._of.on_notice(notice)


def shows_one_leaf(seen: dict[int, bytes]) -> bool:
    """Both the checkpoint and the hint in the advertisement tell of a log of one leaf."""
    advertised = struct.unpack(">BBII8s", seen[0])[2]
    return advertised == 1 and seen[0xFFF6].startswith(b"offgrid/gw_e2e/1\n1\n")


async def test_who_the_gateway_is_and_how_far_its_log_stands_can_be_read_without_asking(
    tmp_path: Path,
) -> None:
    async with street(tmp_path) as at, at.here.daemon(**settings(at)) as daemon:
        await daemon.said("advertising OFFGRID_" + GATEWAY)
        alice = at.person("alice")
        before = await glance(at, alice)
        await at.phone(alice).visit()
        await synced(at, daemon, 1)
        # What is advertised is seen before what is read over the link: both have to be of the new checkpoint.
        while not shows_one_leaf(after := await glance(at, alice)):
            await asyncio.sleep(0.01)
    assert (before[0xFFF4], before[0xFFF5]) == (GATEWAY.encode(), at.here.public_key)
    milliseconds, quality = struct.unpack(">QB", after[0xFFF7])
    assert abs(milliseconds - time.time() * 1000) < 60_000
    assert quality == 2  # the coordinator's
    kind, gateway_id, _, key, *_, checkpoint, signature = array(decode(after[0xFFF3]))
    signed = labelled(BEACON, encode(array(decode(after[0xFFF3]))[1:-1]))
    assert (kind, gateway_id, key, checkpoint) == (22, GATEWAY, at.here.public_key, after[0xFFF6])
    assert verifies(at.here.public_key, signed, octets(signature))
    version, flags, size, minutes, root = struct.unpack(">BBII8s", after[0])
    assert (version, flags, size) == (1, 3, 1)
    assert abs(minutes - time.time() / 60) < 2
    assert b64encode(root)[:10] == after[0xFFF6].split(b"\n")[2][:10]


async def test_an_upload_goes_on_where_it_was_when_the_controller_died_and_came_back(tmp_path: Path) -> None:
    async with street(tmp_path) as at, at.here.daemon(**settings(at)) as daemon:
        await daemon.said("advertising OFFGRID_" + GATEWAY)
        alice = at.person("alice", payments=400)  # some 60 kB
        await at.phone(alice).visit()
        alice.wallet.pay("0011223344556677", 1, NOW + 1000)
        phone = at.phone(alice)
        dying = asyncio.Event()
        left = [40_000]

        def sent(count: int) -> None:
            left[0] -= count
            if left[0] < 0:
                dying.set()

        phone.on_sent = sent
        visit = asyncio.create_task(phone.visit())
        await dying.wait()
        await at.port.unplug()
        phone.walk_away()
        await asyncio.gather(visit, return_exceptions=True)
        lines = len(daemon.lines)
        await at.port.plug()
        await daemon.said("advertising OFFGRID_" + GATEWAY, after=lines)
        phone.come_back()
        phone.on_sent = None
        again = await phone.visit()
        assert alice.counts["accepted"] == 2
        assert 16_384 <= again.resumed_at[0] <= 40_000 + 500


async def test_every_upload_of_the_wallets_own_libraries_is_answered_as_over_http(tmp_path: Path) -> None:
    async with street(tmp_path) as at, at.here.daemon(**settings(at)) as daemon:
        await daemon.said("advertising OFFGRID_" + GATEWAY)
        rows = Rows(wallet_rows())
        await at.phone(rows, mtu=517).visit()
        over_http = [(await daemon.post(upload_of(row))).json for row in rows.rows]
        assert len(rows.answers) == len(rows.rows) == 74
        for row, answer, http in zip(rows.rows, rows.answers, over_http, strict=True):
            if row["expect"]["accept"]:
                assert (answer["status"], http["status"]) == ("accepted", "accepted"), row["name"]
                assert (answer["promise"], answer["content"]) == (http["promise"], http["content"])
            else:
                assert answer == http, row["name"]
                assert answer["code"] in row["expect"]["reasons"], row["name"]


class Rows:
    """Hands over the wallet's own JSON."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.answers: list[Any] = []

    def next_message(self) -> bytes | None:
        return upload_of(self.rows[len(self.answers)]) if len(self.answers) < len(self.rows) else None

    def on_answer(self, answer: bytes) -> None:
        self.answers.append(json.loads(answer))

    def on_notice(self, notice: bytes) -> None:
        pass
