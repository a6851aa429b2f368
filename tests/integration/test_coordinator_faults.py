"""Each wrong that the coordinator can be told to do, as a gateway sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulators.coordinator import Coordinator, Fault, parse_fault
from simulators.rawgateway import (
    ACK,
    CHALLENGE,
    HEARTBEAT,
    MISSING,
    NEED_HASHES,
    REJECT,
    TIME,
    WANT,
    WELCOME,
    RawGateway,
    RawLink,
)
from simulators.textbook import notes
from simulators.textbook.cbor import Malformed, encode
from simulators.textbook.signing import LINK_COORDINATOR, labelled, verifies
from simulators.wallets import Wallet

NOW = 1_790_000_000_000


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    async with Coordinator(db=tmp_path / "coordinator.db", token="token", now_ms=lambda: NOW) as one:
        yield one


@pytest.fixture
async def gateway(coordinator: Coordinator) -> RawGateway:
    gateway, wallet = RawGateway("gw-1", b"1" * 32), Wallet(b"a" * 32)
    await coordinator.register("gw-1", gateway.key)
    for amount in (1, 2.5, 1e-7):
        wallet.pay("00" * 8, amount, NOW)
        gateway.record(wallet.hand_over(NOW))
    return gateway


@pytest.fixture
async def link(coordinator: Coordinator, gateway: RawGateway) -> AsyncIterator[RawLink]:
    """Open, before any fault."""
    async with RawLink(coordinator.ws_url, gateway) as one:
        await one.open()
        yield one


def test_faults_are_written_as_name_value_times_and_gateway() -> None:
    assert parse_fault("slow=0.25:3@gw-1") == Fault("slow", 0.25, 3, "gw-1")
    assert parse_fault("lose-ack") == Fault("lose-ack")
    with pytest.raises(ValueError, match="no fault"):
        parse_fault("explode")


async def test_refuse_answers_the_handshake_with_503(coordinator: Coordinator, gateway: RawGateway) -> None:
    coordinator.faults.set(Fault("refuse", times=1))
    with pytest.raises(InvalidStatus, match="503"):
        async with RawLink(coordinator.ws_url, gateway):
            raise AssertionError("it was let in")
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open())[0] == WELCOME


async def test_close_accepts_and_closes(coordinator: Coordinator, gateway: RawGateway) -> None:
    coordinator.faults.set(Fault("close"))
    for _ in range(3):
        async with RawLink(coordinator.ws_url, gateway) as link:
            with pytest.raises(ConnectionClosed):
                await link.receive()


async def test_stall_answers_once_and_reads_no_more(coordinator: Coordinator, gateway: RawGateway) -> None:
    coordinator.faults.set(Fault("stall", times=1))
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open())[0] == WELCOME
        await link.send([HEARTBEAT, {"health": 1}])
        async with RawLink(coordinator.ws_url, gateway) as other:
            assert (await other.open())[0] == WELCOME
            assert (await other.ask([HEARTBEAT, {"health": 2}]))[0] == TIME
    assert (await coordinator.counts())["gateways"]["gw-1"]["told"] == {"health": 2}


async def test_mute_reads_and_never_answers(coordinator: Coordinator, link: RawLink) -> None:
    coordinator.faults.set(Fault("mute", times=1))
    await link.send([HEARTBEAT, {"health": 1}])
    await coordinator.until(lambda one: one["gateways"]["gw-1"]["told"] == {"health": 1})
    assert await link.ask([HEARTBEAT, {"health": 2}]) == [TIME, NOW]


async def test_a_lost_ack_was_applied_and_the_next_welcome_says_so(
    coordinator: Coordinator, gateway: RawGateway, link: RawLink
) -> None:
    coordinator.faults.set(Fault("lose-ack", times=1))
    with pytest.raises(ConnectionClosed):
        await link.push(0)
    async with RawLink(coordinator.ws_url, gateway) as again:
        assert (await again.open(gateway.checkpoint()))[:2] == [WELCOME, 3]
    assert (await coordinator.counts())["gateways"]["gw-1"]["repeated"] == 0


async def test_a_dropped_ack_comes_when_the_commit_is_sent_again(
    coordinator: Coordinator, gateway: RawGateway, link: RawLink
) -> None:
    coordinator.faults.set(Fault("drop-ack", times=1))
    _, _, wanted = await link.ask(link.offer(0, 3))
    await link.send(link.entries(0, 3, wanted))
    await link.send(link.commit())
    assert (await link.ask(link.commit()))[:2] == [ACK, 3]


async def test_twice_sends_each_answer_twice(coordinator: Coordinator, link: RawLink) -> None:
    coordinator.faults.set(Fault("twice", times=1))
    assert await link.ask([HEARTBEAT, {}]) == await link.receive() == [TIME, NOW]


async def test_want_nothing_leads_to_the_lost_object_path(coordinator: Coordinator, link: RawLink) -> None:
    coordinator.faults.set(Fault("want-nothing", times=1))
    assert await link.push(0) == [NEED_HASHES, 0]


async def test_a_wrong_key_stands_in_the_challenge(coordinator: Coordinator, gateway: RawGateway) -> None:
    coordinator.faults.set(Fault("wrong-key", times=1))
    async with RawLink(coordinator.ws_url, gateway) as link:
        kind, _, key, *_ = await link.receive()
    assert kind == CHALLENGE and key != notes.parse_vkey(coordinator.vkey).key


async def test_a_wrong_size_is_signed_all_the_same(coordinator: Coordinator, gateway: RawGateway) -> None:
    coordinator.faults.set(Fault("wrong-size"))
    async with RawLink(coordinator.ws_url, gateway) as link:
        kind, size, _, time, signature = await link.open()
        assert (kind, size) == (WELCOME, 1)
        key = notes.parse_vkey(coordinator.vkey)
        fields = [link.nonce, b"g" * 32, gateway.origin, gateway.key, b"i" * 16, 1, time, key.name]
        assert verifies(key.key, labelled(LINK_COORDINATOR, encode(fields)), signature)
        assert (await link.push(0))[:2] == [ACK, 4]


@pytest.mark.parametrize(("fault", "own"), [("wrong-root", False), ("wrong-cosignature", True)])
async def test_a_wrong_checkpoint_is_wrong_in_one_place(
    coordinator: Coordinator, gateway: RawGateway, link: RawLink, fault: str, own: bool
) -> None:
    """The gateway's own signature fails where the root was changed, the coordinator's where it was."""
    await link.push(0)
    coordinator.faults.set(Fault(fault, times=1))
    async with RawLink(coordinator.ws_url, gateway) as again:
        note = (await again.open(gateway.checkpoint()))[2]
    signer, cosigner = notes.NoteKey(gateway.origin, gateway.key), notes.parse_vkey(coordinator.vkey)
    wrong, right = (cosigner, signer) if own else (signer, cosigner)
    notes.verified(note, right)
    with pytest.raises(Malformed):
        notes.verified(note, wrong)


@pytest.mark.parametrize("fault", ["wrong-root", "wrong-cosignature"])
async def test_a_cosignature_is_of_something_else(
    coordinator: Coordinator, gateway: RawGateway, link: RawLink, fault: str
) -> None:
    coordinator.faults.set(Fault(fault, times=1))
    note = link.cosigned(await link.push(0))
    with pytest.raises(Malformed):
        notes.verified(note, notes.parse_vkey(coordinator.vkey))


@pytest.mark.parametrize("fault", [None, "unsigned-reject"])
async def test_a_reject_after_hello_is_signed_unless_told_otherwise(
    coordinator: Coordinator, gateway: RawGateway, link: RawLink, fault: str | None
) -> None:
    if fault:
        coordinator.faults.set(Fault(fault, times=1))
    kind, code, text, signature = await link.ask([ACK, 1])
    assert (kind, code) == (REJECT, "protocol")
    fields = [link.nonce, b"g" * 32, gateway.origin, gateway.key, b"i" * 16, code, text]
    key = notes.parse_vkey(coordinator.vkey).key
    assert (signature is None) == bool(fault)
    assert bool(fault) or verifies(key, labelled(LINK_COORDINATOR, encode(fields)), signature)


async def test_want_has_a_bit_that_nobody_offered(
    coordinator: Coordinator, gateway: RawGateway, link: RawLink
) -> None:
    coordinator.faults.set(Fault("want-unasked", times=1))
    kind, _, bitmap = await link.ask(link.offer(0, 3))
    offered = sum(len(one.objects) for one in gateway.log)
    assert kind == WANT and len(bitmap) == (offered + 7) // 8 + 1


async def test_missing_nonsense_comes_before_the_ack(coordinator: Coordinator, link: RawLink) -> None:
    coordinator.faults.set(Fault("missing-nonsense", times=1))
    assert (await link.push(0))[0] == MISSING
    assert (await link.receive())[:2] == [ACK, 3]


@pytest.mark.parametrize("fault", ["garbage", "oversize", "text"])
async def test_rubbish_comes_before_the_answer(coordinator: Coordinator, link: RawLink, fault: str) -> None:
    coordinator.faults.set(Fault(fault, times=1))
    await link.send([HEARTBEAT, {}])
    rubbish = await link.socket.recv()
    assert isinstance(rubbish, str) == (fault == "text")
    assert (len(rubbish) > 4 << 20) == (fault == "oversize")
    assert (await link.receive()) == [TIME, NOW]


async def test_a_fault_for_one_gateway_leaves_the_others_alone(
    coordinator: Coordinator, link: RawLink
) -> None:
    coordinator.faults.set(Fault("mute", gateway="gw-2"))
    coordinator.faults.set(Fault("slow", value=0.0))
    assert await link.ask([HEARTBEAT, {}]) == [TIME, NOW]
