"""Messages over the real GWMP driver and link, from simulated devices behind simulated forwarders."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from contextlib import AsyncExitStack
from random import Random

import pytest
from lora_rig import HashWallet, Rig, listening, lora_rig, receipt_for

from drivers.errors import DriverLost
from drivers.lora_gwmp import GwmpDriver
from drivers.lora_gwmp.packets import RxPacket
from drivers.lora_gwmp.wire import PushData
from gateway.core.lora.regions import REGIONS
from gateway.errors import FatalError
from simulators.lora.device import LoraDevice
from simulators.lora.ether import Transmission
from simulators.lora.forwarder import UdpFaults


async def hand_over_all(
    rig: Rig, wallets: Sequence[HashWallet], *, spreading_factor: int = 7
) -> list[LoraDevice]:
    devices = [rig.device(wallet, spreading_factor) for wallet in wallets]
    async with asyncio.TaskGroup() as group:
        for device in devices:
            group.create_task(device.run())
    return devices


def lose(driver: GwmpDriver) -> None:
    """Its socket goes away under it."""
    assert driver._transport is not None
    driver._transport.abort()


def messages(count: int, size: int, seed: int = 1) -> list[bytes]:
    random = Random(seed)
    return [random.randbytes(size) for _ in range(count)]


async def test_a_message_of_one_frame_is_answered_in_the_first_window() -> None:
    async with lora_rig(quick=False) as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        wallet = HashWallet(messages(1, 100))
        (device,) = await hand_over_all(rig, [wallet])
    assert wallet.answers == [receipt_for(rig.submitted[0])]
    assert rig.link.counts["sent_rx1"] == 1
    assert device.counts["polls"] == 0
    assert rig.ether.counts["downlinks_unheard"] == 0


async def test_a_snapshot_of_ten_fragments_arrives_whole_through_heavy_loss_both_ways() -> None:
    async with lora_rig(uplink_loss=0.2, downlink_loss=0.1, seed=7) as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        contents = messages(3, 2350)
        devices = await hand_over_all(rig, [HashWallet([content]) for content in contents])
    assert all(device.counts["settled"] == 1 for device in devices)
    assert sum(device.counts["acks"] for device in devices) > 0
    assert set(rig.submitted) == set(contents)


@pytest.mark.parametrize("spreading_factor", [7, 8, 9, 10])
async def test_every_rate_of_us915_is_answered_on_the_channel_its_device_listens_to(
    spreading_factor: int,
) -> None:
    async with lora_rig(region=REGIONS["US915"], plan="US915") as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        wallet = HashWallet(messages(2, 150))
        await hand_over_all(rig, [wallet], spreading_factor=spreading_factor)
    assert len(wallet.answers) == 2
    assert rig.ether.counts["downlinks_unheard"] == 0


async def test_at_sf12_a_receipt_too_long_for_the_first_window_goes_to_the_second() -> None:
    async with lora_rig(quick=False) as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        wallet = HashWallet(messages(1, 40))
        await hand_over_all(rig, [wallet], spreading_factor=12)
    assert rig.link.counts["sent_rx2"] == 1
    assert wallet.answers


async def test_a_crowd_is_answered_by_batches_and_within_its_duty_cycle() -> None:
    async with lora_rig(region=REGIONS["US915"], plan="US915") as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        wallets = [HashWallet(messages(1, 200, seed)) for seed in range(24)]
        await hand_over_all(rig, wallets)
    assert all(wallet.answers for wallet in wallets)
    assert rig.link.counts["batched"] >= 4
    shares = rig.ether.busiest_hour()
    assert all(share <= rig.ether.plan.duty_by_band[band] for (_, band), share in shares.items() if band)


async def test_in_real_time_the_answer_leaves_the_antenna_when_the_window_opens() -> None:
    async with lora_rig() as rig, rig.forwarder(compressed=False) as forwarder:
        await forwarder.pulled.wait()
        before = forwarder.counter_us()
        wallet = HashWallet(messages(1, 100))
        await hand_over_all(rig, [wallet])
        after = forwarder.counter_us()
    ((_, sent),) = rig.ether.emitted
    assert wallet.answers
    assert before + 400_000 <= sent.counter_us < sent.counter_us + sent.airtime_us <= after


async def test_three_forwarders_that_hear_one_frame_make_one_message_and_one_answer() -> None:
    async with lora_rig(quick=False) as rig, AsyncExitStack() as stack:
        near = 2
        for number in (1, 2, 3):
            forwarder = rig.forwarder(number, snr_db=9.0 if number == near else -3.0)
            await stack.enter_async_context(forwarder)
            await forwarder.pulled.wait()
        wallet = HashWallet(messages(1, 500))
        await hand_over_all(rig, [wallet])
    assert len(rig.submitted) == 1
    assert {name for name, _ in rig.ether.emitted} == {"b827ebfffe000002"}


async def test_a_long_answer_comes_a_part_a_poll() -> None:
    async def proof(message: bytes, peer: str, correlation: str) -> bytes:
        return receipt_for(message) * 4

    async with lora_rig(submit=proof) as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        wallet = HashWallet(messages(1, 60))
        (device,) = await hand_over_all(rig, [wallet])
    assert wallet.answers == [receipt_for(rig.submitted[0]) * 4]
    assert device.counts["polls"] == 3  # 380 bytes are 4 parts of at most 120, the first unasked


async def test_without_a_region_messages_are_taken_and_nothing_is_ever_sent() -> None:
    async with lora_rig(region=None) as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        wallet = HashWallet(messages(1, 100))
        device = asyncio.create_task(rig.device(wallet).run())
        while not rig.link.counts["region_unset"]:
            await asyncio.sleep(0.01)
        device.cancel()
    assert len(rig.submitted) == 1
    assert rig.ether.emitted == []


async def test_a_refusal_of_the_forwarder_moves_the_answer_to_the_next_window() -> None:
    refused: list[int] = []

    def judge(txpk: object) -> str | None:
        refused.append(1)
        return "COLLISION_PACKET" if len(refused) == 1 else None

    async with lora_rig(quick=False) as rig, rig.forwarder(judge=judge) as forwarder:
        await forwarder.pulled.wait()
        wallet = HashWallet(messages(1, 100))
        await hand_over_all(rig, [wallet])
    assert wallet.answers
    assert rig.link.counts["collision"] == 1
    assert rig.link.counts["sent_rx2"] == 1


async def test_doubled_lost_and_late_datagrams_cost_repetitions_but_no_message() -> None:
    faults = UdpFaults(lose=0.05, double=0.3, delay=0.2)
    async with lora_rig(seed=3) as rig, rig.forwarder(faults=faults) as forwarder:
        await forwarder.pulled.wait()
        contents = [messages(1, 1200, seed) for seed in range(6)]
        wallets = [HashWallet(list(one)) for one in contents]
        await hand_over_all(rig, wallets)
    assert all(wallet.answers for wallet in wallets)
    assert sorted(rig.submitted) == sorted(content for one in contents for content in one)
    assert rig.driver.stats().frames["duplicate"] > 0


async def test_forged_fragments_on_the_air_cost_repetitions_and_not_the_message() -> None:
    async with lora_rig(seed=5) as rig, rig.forwarder() as forwarder:
        await forwarder.pulled.wait()
        (honest,) = messages(1, 1500)
        xid = hashlib.sha256(honest).digest()[:4]
        forger = rig.device(HashWallet([]))
        for index in range(0, 7, 2):
            forged = bytes([0xE0, 0x01, *xid, index, 7]) + rig.random.randbytes(247 if index < 6 else 18)
            rig.ether.uplink(forger, forged, (868_300_000, 7, 125_000), listening=False)
        wallet = HashWallet([honest])
        await hand_over_all(rig, [wallet])
    assert wallet.answers == [receipt_for(honest)]
    assert rig.submitted == [honest]


async def test_a_burst_of_frames_leaves_every_other_task_its_turn() -> None:
    burst = [
        RxPacket(
            counter_us=n,
            frequency_hz=868_100_000,
            channel=0,
            crc=1,
            spreading_factor=7,
            bandwidth_hz=125_000,
            coding_rate="4/5",
            rssi_dbm=-60.0,
            snr_db=5.0,
            payload=one_frame(bytes([n])),
        )
        for n in range(50)
    ]
    async with lora_rig(region=None) as rig:
        seen = [0]
        rig.driver.datagram_received(
            PushData(token=1, eui=bytes(8), packets=burst).to_bytes(), ("127.0.0.1", 9)
        )
        while seen[-1] < len(burst):
            await asyncio.sleep(0)
            if (count := rig.link.counts["data"]) > seen[-1]:
                seen.append(count)
    assert seen == list(range(len(burst) + 1))


async def test_a_store_that_fails_for_good_stops_the_service_with_its_own_error() -> None:
    async def broken(message: bytes, peer: str, correlation: str) -> bytes:
        raise FatalError("the database is corrupt")

    with pytest.raises(FatalError, match="corrupt"):
        async with lora_rig(submit=broken) as rig, rig.forwarder() as forwarder:
            await forwarder.pulled.wait()
            forwarder.hear(Transmission(one_frame(b"message"), (868_100_000, 7, 125_000), inverted_iq=False))
            await asyncio.wait({rig.service})


async def test_a_radio_that_fails_while_it_sends_ends_the_service_and_is_not_taken_for_a_full_disk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def transmit(request: object) -> None:
        raise OSError("the bus is gone")

    with pytest.raises(OSError, match="bus"):
        async with lora_rig() as rig, rig.forwarder() as forwarder:
            monkeypatch.setattr(rig.driver, "transmit", transmit)
            await forwarder.pulled.wait()
            forwarder.hear(Transmission(one_frame(b"message"), (868_100_000, 7, 125_000), inverted_iq=False))
            await asyncio.wait({rig.service})
    assert not rig.link.counts["airtime_unsaved"]


async def test_a_lost_radio_ends_the_service_with_driver_lost_and_the_link_remembers_over_a_new_run() -> None:
    async with lora_rig() as rig:
        (content,) = messages(1, 400)
        chunks = [content[:200], content[200:]]
        xid = hashlib.sha256(content).digest()[:4]
        frames = [bytes([0xE0, 0x01 | 0x80 * i, *xid, i, 2]) + chunk for i, chunk in enumerate(chunks)]
        async with rig.forwarder() as forwarder:
            await forwarder.pulled.wait()
            forwarder.hear(Transmission(frames[0], (868_100_000, 7, 125_000), inverted_iq=False))
            while not rig.link.counts["data"]:
                await asyncio.sleep(0.002)
        lose(rig.driver)
        with pytest.raises(DriverLost):
            await rig.service
        again = asyncio.create_task(rig.intake.run())
        await listening(rig.driver)
        async with rig.forwarder() as forwarder:
            await forwarder.pulled.wait()
            forwarder.hear(Transmission(frames[1], (868_100_000, 7, 125_000), inverted_iq=False))
            while not rig.submitted:
                await asyncio.sleep(0.002)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
    assert rig.submitted == [content]


async def test_a_message_with_the_recorder_when_the_radio_is_lost_is_recorded_in_the_next_run() -> None:
    recording = asyncio.Event()

    async def never_the_first_time(message: bytes, peer: str, correlation: str) -> bytes:
        if not recording.is_set():
            recording.set()
            await asyncio.get_running_loop().create_future()
        return receipt_for(message)

    async with lora_rig(submit=never_the_first_time) as rig:
        async with rig.forwarder() as forwarder:
            await forwarder.pulled.wait()
            forwarder.hear(Transmission(one_frame(b"message"), (868_100_000, 7, 125_000), inverted_iq=False))
            await recording.wait()
        lose(rig.driver)
        with pytest.raises(DriverLost):
            await rig.service
        again = asyncio.create_task(rig.intake.run())
        await listening(rig.driver)
        async with rig.forwarder() as forwarder:
            await forwarder.pulled.wait()
            poll = bytes([0xE0, 0x82, *hashlib.sha256(b"message").digest()[:4], 0])
            forwarder.hear(Transmission(poll, (868_100_000, 7, 125_000), inverted_iq=False))
            while not rig.link.counts["sent"]:
                await asyncio.sleep(0.002)
        again.cancel()
        await asyncio.gather(again, return_exceptions=True)
    assert rig.submitted == [b"message", b"message"]


def one_frame(content: bytes) -> bytes:
    return bytes([0xE0, 0x81, *hashlib.sha256(content).digest()[:4], 0, 1]) + content
