"""Phones hand over messages to the Bluetooth driver through a simulated controller and radio."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics

import pytest
from ble_rig import Rig, Wallet, receipt, snapshot

from drivers.base import TxRequest
from drivers.ble import peripheral
from drivers.errors import DriverLost, TransmitRefused
from simulators.phones import phone as phone_module
from simulators.phones.call import PACKETS_AHEAD, PhoneError
from simulators.phones.exchange import HEAD_START, Answer
from simulators.phones.misdeeds import Misdeed
from simulators.phones.phone import Phone, Traits
from simulators.phones.timing import RadioTiming

SLOW_TO_NOTICE = RadioTiming(supervision_s=60.0)
QUICK_TO_NOTICE = RadioTiming(supervision_s=0.1)


@pytest.mark.parametrize("with_response", [False, True], ids=["without_response", "with_response"])
@pytest.mark.parametrize("mtu", [23, 185, 247, 517])
async def test_a_phone_of_any_stack_hands_over_and_has_its_receipt(mtu: int, with_response: bool) -> None:
    rig, messages = Rig(), (snapshot(20_000, 1), snapshot(200, 2), snapshot(1, 3))
    async with rig.running():
        wallet = Wallet(*messages)
        visit = await rig.phone(1, wallet, Traits(mtu=mtu, with_response=with_response)).visit(
            "OFFGRID_hill-1"
        )
    assert [frame.payload for frame in rig.heard] == list(messages)
    assert wallet.answers == [receipt(message) for message in messages]
    assert visit.sent_bytes == sum(map(len, messages))
    assert rig.heard[0].peer == "F0:F1:00:00:00:01"


async def test_a_long_answer_is_cut_to_the_phones_mtu() -> None:
    rig, wallet = Rig(), Wallet(b"question")
    rig.silent = True
    async with rig.running() as driver:
        visit = asyncio.create_task(rig.phone(1, wallet, Traits(mtu=23)).visit())
        await rig.until(lambda: bool(rig.heard))
        path = rig.heard[0].reply_to
        assert (await driver.transmit(TxRequest(payload=snapshot(5_000, 9), reply_to=path))).confirmed
        wallet.left.clear()
        await visit
    assert wallet.answers == [snapshot(5_000, 9)]


async def test_twenty_phones_each_cut_three_times_waste_no_more_than_their_stacks_hold() -> None:
    rig, size = Rig(), 50_000
    finished: dict[int, float] = {}
    sent: dict[int, int] = {}
    async with rig.running():
        await asyncio.gather(
            *(_cut_three_times(rig, number, size, sent, finished) for number in range(1, 21))
        )
    assert sorted({frame.payload for frame in rig.heard}) == sorted(snapshot(size, n) for n in range(1, 21))
    assert max(sent.values()) <= size + 3 * (PACKETS_AHEAD + 1) * 512
    times = sorted(finished.values())
    assert times[-1] <= 5 * statistics.median(times)


async def _cut_three_times(
    rig: Rig, number: int, size: int, sent: dict[int, int], finished: dict[int, float]
) -> None:
    wallet, chance = Wallet(snapshot(size, number)), random.Random(number)
    traits = Traits(mtu=chance.choice((185, 247, 517)), timing=RadioTiming(supervision_s=0.05))
    phone = rig.phone(number, wallet, traits)
    started = asyncio.get_running_loop().time()
    sent[number] = 0
    phone.on_sent = lambda count: sent.__setitem__(number, sent[number] + count)
    for _ in range(3):
        phone.cut_after = chance.randrange(1, size // 4)
        with pytest.raises(PhoneError):
            await phone.visit()
        phone.come_back()
    await phone.visit()
    finished[number] = asyncio.get_running_loop().time() - started
    assert wallet.answers == [receipt(snapshot(size, number))]


async def test_a_phone_that_vanishes_with_answers_pending_holds_nobody_up() -> None:
    rig = Rig()
    rig.silent = True
    async with rig.running() as driver:
        gone = rig.phone(1, Wallet(b"here, and away"), Traits(timing=SLOW_TO_NOTICE))
        going = asyncio.create_task(gone.visit())
        await rig.until(lambda: bool(rig.heard))
        gone.walk_away()
        path = rig.heard[0].reply_to
        pending = [
            asyncio.create_task(
                driver.transmit(TxRequest(payload=snapshot(500, n), reply_to=path, timeout_s=60.0))
            )
            for n in range(16)
        ]
        await asyncio.sleep(0)
        with pytest.raises(TransmitRefused, match="16 messages wait"):
            await driver.transmit(TxRequest(payload=b"one more", reply_to=path))
        rig.silent = False
        wallet = Wallet(snapshot(50_000, 3), b"short")
        await rig.phone(2, wallet).visit()
        assert wallet.left == []
        assert not any(task.done() for task in pending)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        for connection in rig.dongle.radio_connections():
            connection.radio.drop()
        outcomes = await asyncio.gather(*pending, return_exceptions=True)
        assert {type(outcome) for outcome in outcomes} == {TransmitRefused}
        assert driver.stats().transmits["no_route"] == 16


@pytest.mark.parametrize("misdeed", [Misdeed.FLOOD, Misdeed.MALFORMED])
async def test_a_phone_that_floods_is_closed_counted_and_kept_out_and_others_pass(misdeed: Misdeed) -> None:
    rig, wallet = Rig(), Wallet(snapshot(50_000, 4))
    async with rig.running() as driver:
        culprit = rig.phone(1, Wallet(b"noise"))
        await _misbehave(culprit, misdeed)
        assert driver.stats().frames["expelled"] == 1
        with pytest.raises(PhoneError):
            await culprit.visit()
        await rig.until(lambda: driver.stats().frames.get("banned", 0) >= 1)
        await rig.phone(2, wallet).visit()
    assert wallet.left == []
    assert [frame.payload for frame in rig.heard] == [snapshot(50_000, 4)]


async def test_phones_pass_while_another_floods() -> None:
    rig, wallets = Rig(), [Wallet(snapshot(30_000, n)) for n in range(4)]
    async with rig.running():
        culprits = [rig.phone(50 + n, Wallet(b"x")) for n in range(3)]
        floods = [asyncio.create_task(_misbehave(culprit, Misdeed.FLOOD)) for culprit in culprits]
        await asyncio.gather(*(rig.phone(n, wallet).visit() for n, wallet in enumerate(wallets)))
        await asyncio.gather(*floods)
    assert all(wallet.left == [] for wallet in wallets)


async def _misbehave(phone: Phone, misdeed: Misdeed) -> None:
    with contextlib.suppress(PhoneError):  # whether it notices in the middle of a write
        await phone.visit(misdeed=misdeed)


async def test_a_phone_that_sends_start_and_stops_is_closed_when_idle() -> None:
    rig = Rig(idle_timeout_s=1)
    async with rig.running() as driver:
        await rig.phone(1, Wallet(b"begin")).visit(misdeed=Misdeed.START_AND_STOP)
        assert driver.stats().frames["idle"] == 1
        assert driver.stats().gauges["held_bytes"] == 0


async def test_an_oversized_transfer_is_refused_by_name() -> None:
    rig = Rig()
    async with rig.running() as driver:
        visit = await rig.phone(1, Wallet(b"begin")).visit(misdeed=Misdeed.OVERSIZED)
        assert visit.refusals == [2]
        assert driver.stats().frames["too_large"] == 1


async def test_past_its_messages_a_minute_a_phone_is_told_when_to_come_again() -> None:
    rig = Rig(peer_messages_per_minute=2)
    messages = [snapshot(100, n) for n in range(3)]
    async with rig.running() as driver:
        visit = await rig.phone(1, OneByOne(*messages)).visit()
        assert visit.refusals == [5]
        assert driver.stats().frames["limited"] == 1
    assert [frame.payload for frame in rig.heard] == messages[:2]


async def test_past_its_bytes_a_minute_a_phone_is_told_and_then_closed() -> None:
    rig = Rig(peer_bytes_per_minute=10_000)
    async with rig.running() as driver:
        await _misbehave(rig.phone(1, Wallet(b"x")), Misdeed.FLOOD)
        assert driver.stats().frames["limited"] == 1
        assert driver.stats().frames["expelled"] == 1


class OneByOne(Wallet):
    """Never offers the same twice."""

    def next_message(self) -> bytes | None:
        return self.left.pop(0) if self.left else None


async def test_a_full_queue_is_said_and_the_bytes_are_not_asked_for_again() -> None:
    rig, message = Rig(queue=1), snapshot(10_000, 6)
    async with rig.port:
        rig.driver = rig.build()
        async with rig.driver as driver:
            phone = rig.phone(1, OneByOne(b"first", message))
            visiting = asyncio.create_task(phone.visit())
            await rig.until(lambda: driver.stats().frames.get("ok") == 1)
            again = rig.phone(2, Wallet(message))
            refused = asyncio.create_task(again.visit())
            await rig.until(lambda: driver.stats().frames.get("queue_full") == 1)
            frames = driver.frames()
            assert (await anext(frames)).payload == b"first"
            for task in (visiting, refused):
                task.cancel()
            await asyncio.gather(visiting, refused, return_exceptions=True)
            for each in (phone, again):
                each.close()
            await rig.until(lambda: driver.stats().gauges["links"] == 0)
            if driver.stats().gauges["queue_frames"]:  # one of them came through before it left
                assert (await anext(frames)).payload == message
            last = rig.phone(3, OneByOne(message))
            third = asyncio.create_task(last.visit())
            frame = await anext(frames)
            assert frame.payload == message
            await driver.transmit(TxRequest(payload=receipt(message), reply_to=frame.reply_to))
            assert (await third).sent_bytes <= HEAD_START
            last.close()


async def test_more_phones_than_links_wait_for_their_turn() -> None:
    rig, wallets = Rig(max_links=2), [Wallet(snapshot(5_000, n)) for n in range(7)]
    async with rig.running() as driver:
        await asyncio.gather(*(_until_done(rig.phone(n, wallet)) for n, wallet in enumerate(wallets)))
        assert driver.stats().gauges["links"] <= 2
    assert all(wallet.left == [] for wallet in wallets)


async def _until_done(phone: Phone) -> None:
    while True:
        try:
            await phone.visit()
        except PhoneError:
            continue
        return


async def test_a_controller_that_refuses_more_connections_is_asked_again_when_one_ends() -> None:
    rig, wallets = Rig(), [Wallet(snapshot(5_000, n)) for n in range(5)]
    rig.dongle.max_connections = 2
    async with rig.running():
        await asyncio.gather(*(rig.phone(n, wallet).visit() for n, wallet in enumerate(wallets)))
    assert all(wallet.left == [] for wallet in wallets)


async def test_a_controller_that_is_pulled_out_is_lost_and_the_upload_goes_on_when_it_is_back() -> None:
    rig, message = Rig(), snapshot(50_000, 8)
    async with rig.running():
        wallet = Wallet(message)
        phone = rig.phone(1, wallet, Traits(timing=RadioTiming(instant=False, supervision_s=0.1)))
        visit = asyncio.create_task(phone.visit())
        await rig.until(lambda: rig.driver.stats().gauges["held_bytes"] > 10_000)
        await rig.port.unplug()
        rig.dongle.set_range(False)
        with pytest.raises(PhoneError):
            await visit
        await rig.until(lambda: bool(rig.lost))
        await rig.driver.__aexit__(None, None, None)
        with pytest.raises(DriverLost, match="cannot be opened"):
            await rig.driver.__aenter__()
        await rig.port.plug()
        rig.dongle.set_range(True)
        async with rig.opened():
            second = await phone.visit()
    assert wallet.left == []
    assert second.resumed_at[0] > 10_000
    assert second.sent_bytes == len(message) - second.resumed_at[0]


async def test_a_controller_that_answers_no_more_is_lost_by_the_watchdog(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(peripheral, "COMMAND_TIMEOUT_S", 0.2)
    rig = Rig(watchdog_s=1)
    async with rig.running() as driver:
        rig.port.port.hang()
        await rig.until(lambda: bool(rig.lost))
        assert "answer" in str(rig.lost[0])
        assert driver.stats().note == str(rig.lost[0])
        with pytest.raises(DriverLost):
            await driver.transmit(TxRequest(payload=b"x"))
        rig.port.port.revive()
        await driver.__aexit__(None, None, None)
        wallet = Wallet(b"after")
        async with rig.opened():
            await rig.phone(1, wallet).visit()
        assert wallet.left == []


async def test_a_controller_that_reports_a_hardware_error_is_lost() -> None:
    rig = Rig()
    async with rig.running():
        rig.port.port.on_packet(b"\x04\x10\x01\x07")
        await rig.until(lambda: bool(rig.lost))
    assert "hardware error, code 07" in str(rig.lost[0])


async def test_a_controller_that_is_silent_at_the_start_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peripheral, "START_TIMEOUT_S", 0.2)
    monkeypatch.setattr(peripheral, "COMMAND_TIMEOUT_S", 0.2)
    rig = Rig()
    async with rig.port:
        rig.port.port.hang()
        with pytest.raises(DriverLost, match="did not answer its reset"):
            async with rig.build():
                pass


async def test_two_phones_that_hear_one_advertisement_both_get_in() -> None:
    rig, wallets = Rig(), [Wallet(snapshot(100, n)) for n in range(8)]
    async with rig.running():
        await asyncio.gather(*(rig.phone(n, wallet).visit() for n, wallet in enumerate(wallets)))
    assert len(rig.heard) == 8


async def test_on_a_lossy_slow_radio_everything_arrives() -> None:
    timing = RadioTiming(instant=False, interval_s=0.0075, ll_payload=27, loss=0.2, supervision_s=5.0)
    rig, wallet = Rig(), Wallet(snapshot(3_000, 1), snapshot(50, 2))
    async with rig.running():
        await rig.phone(1, wallet, Traits(mtu=185, timing=timing)).visit()
    assert wallet.left == []


async def test_a_phone_that_wants_encryption_has_it_and_no_key_is_kept() -> None:
    rig, message = Rig(), snapshot(100, 1)
    async with rig.running() as driver:
        call = await rig.phone(1, Wallet()).dial()
        await call.connection.pair()
        assert call.connection.is_encrypted
        await call.write(b"\x15\x01" + message)
        while not isinstance(answer := await call.events.get(), Answer):
            pass
        assert answer.message == receipt(message)
        assert driver._peripheral is not None
        keystore = driver._peripheral._device.keystore
        assert keystore is not None
        assert await keystore.get_all() == []
        await call.connection.disconnect()


async def test_on_a_link_that_drops_everything_the_phone_gives_up_after_asking_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(phone_module, "SILENCE_S", 0.05)
    rig = Rig()
    rig.silent = True
    async with rig.running():
        with pytest.raises(PhoneError, match="Timeout"):
            await rig.phone(1, Wallet(snapshot(5_000, 1))).visit()
    assert len(rig.heard) == phone_module.GIVE_UP_AFTER
