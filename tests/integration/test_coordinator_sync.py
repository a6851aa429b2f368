"""The reference coordinator against a gateway driven by hand."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from websockets.exceptions import ConnectionClosed

from simulators.coordinator import Coordinator, Fault
from simulators.rawgateway import (
    ACK,
    BODIES,
    CATCHUP,
    ENTRIES,
    FETCH,
    FORK,
    HASHES,
    HEARTBEAT,
    MISSING,
    NEED_HASHES,
    REJECT,
    TIME,
    WANT,
    WELCOME,
    RawGateway,
    RawLink,
    deflate,
)
from simulators.textbook import notes
from simulators.textbook.cbor import encode
from simulators.textbook.objects import object_hash
from simulators.textbook.signing import LINK_COORDINATOR, labelled, verifies
from simulators.wallets import Season, Wallet
from simulators.wallets.wallet import Payment

NOW = 1_790_000_000_000


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[Coordinator]:
    async with Coordinator(db=tmp_path / "coordinator.db", token="token", now_ms=lambda: NOW) as one:
        yield one


@pytest.fixture
async def gateway(coordinator: Coordinator) -> RawGateway:
    return await _registered(coordinator, "gw-1")


async def _registered(coordinator: Coordinator, name: str, seed: bytes = b"") -> RawGateway:
    gateway = RawGateway(name, (seed or name.encode()).ljust(32, b"\0"))
    await coordinator.register(name, gateway.key)
    return gateway


def _hand_overs(gateway: RawGateway, payments: int = 60, every: int = 10, seed: int = 1) -> Season:
    season = Season(4, seed)
    for wallet in season.play(payments, every):
        gateway.record(wallet.hand_over(season.now_ms), season.now_ms)
    return season


async def test_a_log_is_taken_batch_by_batch_and_comes_back_cosigned(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        kind, size, note, time, signature = await link.open()
        assert (kind, size, note, time) == (WELCOME, 0, None, NOW)
        key = notes.parse_vkey(coordinator.vkey)
        opening = [link.nonce, b"g" * 32, gateway.origin, gateway.key, b"i" * 16, 0, NOW, key.name]
        assert verifies(key.key, labelled(LINK_COORDINATOR, encode(opening)), signature)
        for start in range(0, len(gateway.log), 5):
            end = min(start + 5, len(gateway.log))
            ack = await link.push(start, end)
            assert ack[:3] == [ACK, end, NOW // 1000]
            head = notes.verified(link.cosigned(ack), notes.NoteKey(gateway.origin, gateway.key), key)
            assert head == notes.parse(gateway.checkpoint(end))[0]
    counts = await coordinator.counts()
    assert counts["gateways"]["gw-1"]["entries"] == len(gateway.log)
    assert counts["gateways"]["gw-1"]["objects"] == len(gateway.ordinals)
    assert counts["transactions"] == {"verified": 60}


async def test_receipts_count_once_their_receivers_key_is_proven(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    payer, payee = Wallet(b"a" * 32), Wallet(b"b" * 32)
    payer.enter(payee.accept(payer.pay(payee.device_id, 5.5, NOW), NOW))
    gateway.record(payer.hand_over(NOW))
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0)
        assert (await coordinator.counts())["receipts"] == {"unverified": 1}
        gateway.record(payee.hand_over(NOW))
        await link.push(1)
    assert (await coordinator.counts())["receipts"] == {"verified": 1}


async def test_a_senders_payment_is_unverified_until_its_key_is_proven_and_then_decided(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    payer, payee = Wallet(b"a" * 32), Wallet(b"b" * 32)
    payee.enter(payer.pay(payee.device_id, 1, NOW))
    forged = payer.signed(payee.device_id, 2, 7, NOW)
    payee.enter(Payment(replace(forged, signature=bytes(64))))
    gateway.record(payee.hand_over(NOW))
    gateway.record(payer.hand_over(NOW))
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0, 1)
        assert (await coordinator.counts())["transactions"] == {"unverified": 2}
        await link.push(1)
    assert (await coordinator.counts())["transactions"] == {"verified": 1, "invalid": 1}


async def test_two_texts_under_one_nonce_are_counted_as_a_conflict(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    payer = Wallet(b"a" * 32)
    payer.pay("00" * 8, 1, NOW)
    payer.enter(Payment(payer.signed("11" * 8, 1, 0, NOW, b"again")))
    gateway.record(payer.hand_over(NOW))
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0)
    assert (await coordinator.counts())["conflicts"] == 1


async def test_what_another_gateway_brought_is_not_sent_again(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    other = await _registered(coordinator, "gw-2")
    _hand_overs(gateway)
    _hand_overs(other)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0)
    async with RawLink(coordinator.ws_url, other) as link:
        await link.open()
        offer = link.offer(0, len(other.log))
        _, _, wanted = await link.ask(offer)
        assert not any(wanted)
        await link.send(link.entries(0, len(other.log), wanted))
        assert (await link.ask(link.commit()))[0] == ACK
    counts, accepted = await coordinator.counts(), await coordinator.accepted()
    assert counts["gateways"]["gw-2"]["objects_received"] == 0
    heard = next(iter(accepted["transactions"].values()))["heard"]
    assert [one["gateway"] for one in heard] == ["gw-1", "gw-2"]


async def test_a_second_offer_runs_ahead_and_a_third_is_refused(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        _, _, first = await link.ask(link.offer(0, 2))
        _, start, second = await link.ask(link.offer(2, 4))
        assert start == 2
        await link.send(link.entries(0, 2, first))
        assert (await link.ask(link.commit(2)))[:2] == [ACK, 2]
        await link.ask(link.offer(4, 6))
        await link.send(link.entries(2, 4, second))
        assert (await link.ask(link.commit(4)))[:2] == [ACK, 4]
        await link.ask(link.offer(6, 8))
        assert (await link.ask(link.offer(8, 9)))[:2] == [REJECT, "protocol"]


async def test_objects_that_are_not_held_after_all_are_asked_for_by_their_full_hashes(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    coordinator.faults.set(Fault("want-nothing", times=1))
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        assert await link.push(0, 3) == [NEED_HASHES, 0]
        hashes = link.hashes(0, 3)
        kind, start, bitmap = await link.ask([HASHES, 0, b"".join(hashes)])
        assert (kind, start) == (MISSING, 0)
        assert sum(byte.bit_count() for byte in bitmap) == len(hashes)
        assert (await link.ask(link.bodies(0, 3, bitmap)))[:2] == [ACK, 3]
        assert (await link.push(3))[:2] == [ACK, len(gateway.log)]


async def test_a_receipt_is_completed_by_a_transaction_that_is_held_already(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    payer, payee = Wallet(b"a" * 32), Wallet(b"b" * 32)
    payment = payer.pay(payee.device_id, 5.5, NOW)
    gateway.record(payer.hand_over(NOW))
    other = await _registered(coordinator, "gw-2")
    payer.enter(payee.accept(payment, NOW))
    other.record(payer.hand_over(NOW))
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0)
    async with RawLink(coordinator.ws_url, other) as link:
        await link.open()
        _, _, wanted = await link.ask(link.offer(0, 1))
        assert wanted == b"\x08"  # header, key and transaction are held; the receipt is not
        await link.send(link.entries(0, 1, wanted))
        assert (await link.ask(link.commit()))[:2] == [ACK, 1]
    assert sum((await coordinator.counts())["receipts"].values()) == 1


async def test_a_signed_root_over_what_was_not_sent_is_kept_as_evidence_and_bars_nothing(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        _, _, wanted = await link.ask(link.offer(0, 2))
        sent = link.entries(0, 2, wanted)
        gateway.log[0].fields[1] += 1
        await link.send(sent)
        assert await link.ask(link.commit(2)) == [NEED_HASHES, 0]
        assert (await link.ask([HASHES, 0, b"".join(link.hashes(0, 2))]))[0] == FORK
    assert len(await coordinator.forks()) == 1
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open())[:2] == [WELCOME, 0]


async def test_a_commit_that_was_applied_is_answered_with_the_newest_ack(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0, 2)
        newest = await link.push(2, 4)
        assert await link.ask(link.commit(2)) == newest
        note = link.cosigned(newest)
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open(gateway.checkpoint(4)))[:3] == [WELCOME, 4, note]


async def test_another_root_at_a_size_that_is_held_is_a_fork_for_good_until_a_person_lifts_it(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0, 4)
    twin = RawGateway(gateway.id, gateway.seed)
    _hand_overs(twin, seed=2)
    async with RawLink(coordinator.ws_url, twin) as link:
        fork = await link.open(twin.checkpoint(3))
    assert fork[0] == FORK and fork[3] == 3
    assert fork[4] == notes.parse(gateway.checkpoint(3))[0].root
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert await link.open(gateway.checkpoint(4)) == fork
    gateway.epoch = 2
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open())[0] == WELCOME
    gateway.epoch = 1
    await coordinator.lift(gateway.id)
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open(gateway.checkpoint(4)))[:2] == [WELCOME, 4]


async def test_a_head_shown_ahead_of_its_entries_is_remembered_against_them(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    twin = RawGateway(gateway.id, gateway.seed)
    _hand_overs(twin, seed=2)
    async with RawLink(coordinator.ws_url, twin) as link:
        assert (await link.open(twin.checkpoint(2)))[0] == WELCOME
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        assert await link.push(0, 3) == [
            FORK,
            twin.checkpoint(2),
            gateway.checkpoint(3),
            2,
            notes.parse(gateway.checkpoint(2))[0].root,
        ]


async def test_two_heads_of_one_size_ahead_of_all_entries_are_a_fork(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    twin = RawGateway(gateway.id, gateway.seed)
    _hand_overs(twin, seed=2)
    for one, expected in ((gateway, WELCOME), (twin, FORK)):
        async with RawLink(coordinator.ws_url, one) as link:
            assert (await link.open(one.checkpoint(5)))[0] == expected


async def test_a_gateway_behind_the_coordinator_is_told_how_far_it_was(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        note = link.cosigned(await link.push(0, 4))
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open(gateway.checkpoint(2)))[:3] == [CATCHUP, 4, note]
        assert (await link.ask([HEARTBEAT, {"health": 100}]))[0] == TIME
        assert (await link.ask(link.offer(2, 4)))[:2] == [REJECT, "protocol"]


async def test_a_newer_session_replaces_and_a_fenced_instance_that_returns_is_a_clone(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    async with RawLink(coordinator.ws_url, gateway, b"1" * 16) as first:
        await first.open()
        async with RawLink(coordinator.ws_url, gateway, b"1" * 16) as again:
            assert (await again.open())[0] == WELCOME
            assert (await first.receive())[:2] == [REJECT, "replaced"]
            async with RawLink(coordinator.ws_url, gateway, b"2" * 16) as second:
                assert (await second.open())[0] == WELCOME
                assert (await again.receive())[:2] == [REJECT, "replaced"]
                async with RawLink(coordinator.ws_url, gateway, b"1" * 16) as clone:
                    assert (await clone.open())[:2] == [REJECT, "clone"]
                assert (await second.receive())[:2] == [REJECT, "quarantined"]
    async with RawLink(coordinator.ws_url, gateway, b"3" * 16) as link:
        assert (await link.open())[:2] == [REJECT, "quarantined"]
    await coordinator.lift(gateway.id)
    async with RawLink(coordinator.ws_url, gateway, b"3" * 16) as link:
        assert (await link.open())[0] == WELCOME


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"id": "gw-9"}, "not_registered"),
        ({"key": bytes(32)}, "not_registered"),
        ({"signature": bytes(64)}, "bad_signature"),
        ({"nonce": bytes(32)}, "bad_signature"),
        ({"instance": bytes(16)}, "bad_signature"),
        ({"checkpoint": b"x"}, "bad_signature"),
        ({"nonce": bytes(31)}, "protocol"),
    ],
)
async def test_a_hello_that_is_not_the_gateways_own_is_refused(
    coordinator: Coordinator, gateway: RawGateway, changed: dict[str, Any], code: str
) -> None:
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open(**changed))[:2] == [REJECT, code]
        with pytest.raises(ConnectionClosed):
            await link.receive()


async def test_a_checkpoint_that_the_gateway_has_not_signed_is_refused(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    stranger = RawGateway(gateway.id, b"s" * 32)
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open(stranger.checkpoint()))[:2] == [REJECT, "bad_signature"]


async def test_objects_are_fetched_both_ways(coordinator: Coordinator, gateway: RawGateway) -> None:
    _hand_overs(gateway)
    body = gateway.log[0].objects[0]
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        await link.push(0, 1)
        asked = [object_hash(body), bytes(32)]
        assert await link.ask([FETCH, 7, asked]) == [BODIES, 7, [body, None]]
        fetching = asyncio.create_task(coordinator.fetch(gateway.id, asked))
        kind, number, hashes = await link.receive()
        assert (kind, hashes) == (FETCH, asked)
        await link.send([BODIES, number, [body, None]])
        assert await fetching == [body, None]


async def test_a_heartbeat_is_answered_with_the_time_and_kept(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        told = {"health": 80, "reasons": ["backhaul"], "radios": {"lora0": "open"}, "time": 5}
        assert await link.ask([HEARTBEAT, told]) == [TIME, NOW]
        assert await link.ask([HEARTBEAT, {"health": 90, "time": 6, "unknown": [1]}]) == [TIME, NOW]
    facts = (await coordinator.counts())["gateways"]["gw-1"]["told"]
    assert (facts["health"], facts["radios"]) == (90, {"lora0": "open"})


async def test_all_is_there_after_a_restart(tmp_path: Path) -> None:
    gateway = RawGateway("gw-1", b"1" * 32)
    _hand_overs(gateway)
    keys = []
    for start, end in ((0, 4), (4, len(gateway.log))):
        async with Coordinator(db=tmp_path / "c.db", token="t") as one:
            keys.append(one.vkey)
            await one.register("gw-1", gateway.key)
            async with RawLink(one.ws_url, gateway) as link:
                assert (await link.open(gateway.checkpoint(end)))[:2] == [WELCOME, start]
                assert (await link.push(start, end))[:2] == [ACK, end]
    assert keys[0] == keys[1]


@pytest.mark.parametrize(
    "breach",
    ["list", "order", "signature", "no list", "kind", "unknown base", "another key", "no object", "time"],
)
async def test_content_that_is_signed_and_yet_out_of_its_rules_is_refused(
    coordinator: Coordinator, gateway: RawGateway, breach: str
) -> None:
    wallet = Wallet(b"a" * 32)
    for amount in (1, 2, 3):
        wallet.pay("00" * 8, amount, NOW)
    one = gateway.record(wallet.hand_over(NOW))
    match breach:
        case "list":
            one.fields[5][1] = bytes([3 << 3])  # COPY 3 of no base
        case "order":
            one.objects[2], one.objects[3] = one.objects[3], one.objects[2]
        case "signature":
            one.objects[0] = one.objects[0][:-98] + bytes(64) + one.objects[0][-34:]
        case "no list":
            one.fields[5] = None
        case "kind":
            one.fields[0] = 4
        case "unknown base":
            one.fields[5][0] = -1
        case "another key":
            one.objects[1] = encode([5, bytes(32)])
        case "no object":
            one.objects[3] = b"\x80"
        case "time":
            one.fields[1] = -5
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        assert (await link.push(0))[:2] == [REJECT, "protocol"]
    assert (await coordinator.counts())["gateways"]["gw-1"]["entries"] == 0


async def test_a_frame_that_hides_its_size_or_is_too_large_is_refused(
    coordinator: Coordinator, gateway: RawGateway
) -> None:
    _hand_overs(gateway)
    hidden = zstandard.ZstdCompressor(write_content_size=False).compress(encode([b"", [], []]))
    whole = deflate([b"", [], []])
    for packed in (hidden, deflate(bytes(9 << 20)), b"", whole[:-1], whole + b"\0"):
        async with RawLink(coordinator.ws_url, gateway) as link:
            await link.open()
            await link.ask(link.offer(0, 1))
            assert (await link.ask([ENTRIES, 0, packed]))[:2] == [REJECT, "protocol"]


async def test_thousands_of_mutated_messages_are_refused_and_none_breaks_the_coordinator(
    coordinator: Coordinator, gateway: RawGateway, caplog: pytest.LogCaptureFixture
) -> None:
    _hand_overs(gateway, payments=20, every=5)
    dice = random.Random(7)
    refused = rounds = 0
    while rounds < 6000:
        async with RawLink(coordinator.ws_url, gateway) as link:
            refused += await _speak_badly(link, gateway, dice)
            rounds += 6
    assert refused > 600
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    async with RawLink(coordinator.ws_url, gateway) as link:
        assert (await link.open(gateway.checkpoint()))[:2] == [WELCOME, len(gateway.log)]


async def _speak_badly(link: RawLink, gateway: RawGateway, dice: random.Random) -> bool:
    """Six messages with one bent somewhere; whether the link ended with a REJECT of our messages."""
    await link.challenged()
    n = len(gateway.log)
    messages = [
        link.hello(gateway.checkpoint()),
        link.offer(0, n),
        link.entries(0, n, b"\xff" * 100),
        link.commit(),
        [HASHES, 0, b"".join(link.hashes(0, n))],
        [HEARTBEAT, {"health": 3, "radios": {"a": "b"}, "reasons": ["x"]}],
    ]
    bent = dice.randrange(len(messages))
    try:
        for at, message in enumerate(messages):
            data = encode(message)
            await link.socket.send(_mutated(data, dice) if at >= bent else data)
        await link.send([99])  # whatever still stood open ends here
        while True:
            answer = await link.receive()
            if answer[0] in (REJECT, FORK):
                return bool(answer[1] == "protocol")
    except ConnectionClosed:
        return False


def _mutated(data: bytes, dice: random.Random) -> bytes:
    raw = bytearray(data)
    match dice.randrange(4):
        case 0:
            return bytes(raw[: dice.randrange(len(raw))])
        case 1:
            return bytes(raw) + dice.randbytes(3)
        case 2:
            return dice.randbytes(dice.randrange(1, 200))
    for _ in range(dice.randrange(1, 4)):
        raw[dice.randrange(len(raw))] = dice.randrange(256)
    return bytes(raw)


async def test_a_taken_port_leaves_nothing_open_and_the_next_start_succeeds(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    port = int(coordinator.ws_url.rpartition(":")[2])
    with pytest.raises(OSError, match="address already in use"):
        async with Coordinator(db=tmp_path / "other.db", token="t", listen=("127.0.0.1", port)):
            raise AssertionError("two listen on one port")
    async with Coordinator(db=tmp_path / "other.db", token="t") as other:
        assert other.ws_url != coordinator.ws_url


async def test_acks_alone_are_given_without_looking(tmp_path: Path) -> None:
    gateway = RawGateway("gw-1", b"1" * 32)
    _hand_overs(gateway)
    async with Coordinator(db=tmp_path / "c.db", token="t", verify=False) as one:
        await one.register("gw-1", gateway.key)
        async with RawLink(one.ws_url, gateway) as link:
            await link.open()
            ack = await link.push(0)
            assert ack[:2] == [ACK, len(gateway.log)]
            notes.verified(link.cosigned(ack), notes.parse_vkey(one.vkey))
        async with RawLink(one.ws_url, gateway) as link:
            assert (await link.open(gateway.checkpoint()))[:2] == [WELCOME, len(gateway.log)]


async def test_a_want_has_one_bit_for_each_new_object(coordinator: Coordinator, gateway: RawGateway) -> None:
    _hand_overs(gateway)
    async with RawLink(coordinator.ws_url, gateway) as link:
        await link.open()
        kind, _, wanted = await link.ask(link.offer(0, 1))
        n = len(gateway.log[0].objects)
        assert (kind, len(wanted)) == (WANT, (n + 7) // 8)
        assert sum(byte.bit_count() for byte in wanted) == n
