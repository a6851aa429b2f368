"""The link, the store and the reference coordinator together: honest, unlucky and lying."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sync_rig import GATEWAY_ID, HastyClock, Rig, open_coordinator, open_store, running

from gateway.errors import NeedsPerson
from gateway.model import TimeQuality


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with (
        open_coordinator(tmp_path / "coordinator.db") as coordinator,
        open_store(tmp_path / "gateway.db") as store,
    ):
        yield Rig(store, coordinator)


async def told(rig: Rig) -> dict[str, object]:
    found: dict[str, object] = (await rig.coordinator.counts())["gateways"][GATEWAY_ID]
    return found


async def assert_held_once(rig: Rig, entries: int) -> None:
    """The coordinator holds every entry, each object once, under the gateway's own root."""
    head = await rig.acked(entries)
    at = await told(rig)
    assert at["origins"] == {head.origin: {"size": entries, "root": head.root.hex()}}
    assert at["objects"] == 2 * entries
    assert at["repeated"] == 0
    assert head.acked_size == head.signed_size == entries


async def test_what_is_appended_is_acked_under_the_same_root(rig: Rig) -> None:
    await rig.append(0, 5)
    async with running(rig.make_link()):
        await rig.acked(5)
        await rig.append(5, 9)
        await assert_held_once(rig, 9)
    assert len(rig.latencies) >= 2
    vitals = rig.link.vitals()
    assert vitals.attempts == 1
    assert vitals.last_ack_latency_s is not None
    assert vitals.rx_bytes > 0 < vitals.tx_bytes


async def test_what_the_session_makes_of_a_batch_is_made_beside_the_loop(rig: Rig) -> None:
    await rig.append(0, 5)
    async with running(rig.make_link()):
        await rig.acked(5)
    assert rig.signed_on  # a COMMIT is packed and signed in one step
    assert threading.current_thread() not in rig.signed_on


async def test_a_backlog_goes_in_batches_of_the_configured_size(rig: Rig) -> None:
    await rig.append(0, 50)
    async with running(rig.make_link(max_entries=8)):
        await assert_held_once(rig, 50)
    assert rig.link.figures.acks == 7


async def test_a_hundred_reconnects_with_lost_acks_lose_nothing_and_apply_nothing_twice(rig: Rig) -> None:
    rig.lie("lose-ack:100")
    async with running(rig.make_link(max_entries=1)):
        for number in range(100):
            await rig.append(number, number + 1)
            await rig.acked(number + 1)
        assert rig.link.figures.connects >= 100
        await rig.append(100, 101)
        await assert_held_once(rig, 101)
    assert rig.link.figures.faults["lost"] == 100


async def test_answers_that_come_twice_are_taken_once(rig: Rig) -> None:
    rig.lie("twice")
    await rig.append(0, 20)
    async with running(rig.make_link(max_entries=3)):
        await assert_held_once(rig, 20)
    assert rig.link.vitals().attempts == 1


async def test_objects_that_the_coordinator_wrongly_claims_to_hold_are_sent_after_all(rig: Rig) -> None:
    rig.lie("want-nothing")
    await rig.append(0, 6)
    async with running(rig.make_link(max_entries=2)):
        await assert_held_once(rig, 6)
    assert rig.link.vitals().attempts == 1


@pytest.mark.parametrize(
    ("lie", "word"),
    [
        ("refuse", "refused"),
        ("close", "lost"),
        ("garbage", "garbage"),
        ("text", "garbage"),
        ("oversize", "garbage"),
        ("wrong-size", "bad_size"),
        ("wrong-root", "bad_checkpoint"),
        ("wrong-cosignature", "bad_checkpoint"),
        ("want-unasked", "bad_bitmap"),
    ],
)
async def test_a_lie_is_named_nothing_is_acked_by_it_and_honesty_is_met_with_everything(
    rig: Rig, lie: str, word: str
) -> None:
    rig.lie(lie)
    await rig.append(0, 4)
    async with running(rig.make_link()) as task:
        await rig.fault(word, times=3)
        assert (await rig.store.head()).acked_size == 0
        assert not task.done()
        rig.coordinator.faults.clear()
        await assert_held_once(rig, 4)
    assert set(rig.link.figures.faults) == {word}


async def test_nonsense_beside_an_ack_ends_the_link_and_the_next_welcome_proves_the_ack(rig: Rig) -> None:
    rig.lie("missing-nonsense")
    await rig.append(0, 4)
    async with running(rig.make_link()):
        await rig.fault("out_of_turn")
        await assert_held_once(rig, 4)


async def test_a_lie_after_honest_acks_takes_nothing_back(rig: Rig) -> None:
    async with running(rig.make_link()):
        await rig.append(0, 3)
        await rig.acked(3)
        rig.lie("wrong-root")
        await rig.append(3, 5)
        await rig.fault("bad_checkpoint", times=2)
        assert (await rig.store.head()).acked_size == 3
        rig.coordinator.faults.clear()
        await assert_held_once(rig, 5)


async def test_another_coordinator_key_halts_for_a_person_and_the_log_goes_on(rig: Rig) -> None:
    rig.lie("wrong-key")
    async with running(rig.make_link()) as task:
        with pytest.raises(NeedsPerson, match="pin it by registering again"):
            await task
    assert rig.link.vitals().halted is not None
    assert (await rig.store.head()).halted is None


async def test_not_being_registered_is_retried_until_somebody_registers(tmp_path: Path) -> None:
    async with (
        open_coordinator(tmp_path / "other.db", registered=False) as coordinator,
        open_store(tmp_path / "gateway.db") as store,
    ):
        rig = Rig(store, coordinator)
        await rig.append(0, 1)
        async with running(rig.make_link()):
            await rig.fault("not_registered", times=2)
            await rig.register()
            await assert_held_once(rig, 1)


# What a person must look at.


async def test_a_signature_forgotten_in_a_crash_is_no_restore(rig: Rig, tmp_path: Path) -> None:
    await rig.append(0, 6)
    async with running(rig.make_link()):
        await rig.acked(6)
    async with open_store(tmp_path / "same.db") as same:
        crashed = Rig(same, rig.coordinator)
        await crashed.append(0, 8)
        async with running(crashed.make_link()):
            await assert_held_once(crashed, 8)
        assert crashed.link.figures.faults == {"caught_up": 1}


async def test_two_devices_with_one_key_are_found_out(rig: Rig, tmp_path: Path) -> None:
    async with open_store(tmp_path / "clone.db") as store:
        clone = Rig(store, rig.coordinator)
        first = rig.make_link(instance=b"1" * 16, reconnect_interval_s=60.0)
        second = clone.make_link(instance=b"2" * 16)
        async with running(first) as original:
            await rig.connected()
            async with running(second):
                with pytest.raises(NeedsPerson, match="two gateways with this key"):
                    await original
        assert rig.link.figures.faults["replaced"] == 1
        assert (await rig.store.head()).halted is not None


async def test_a_clone_that_only_somebody_on_the_line_speaks_of_halts_nothing(rig: Rig) -> None:
    """Its REJECT is not signed: the link comes again, and what was said in earnest is believed."""
    rig.lie("unsigned-reject:1")
    await rig.coordinator.work(rig.coordinator.authority.quarantine, GATEWAY_ID, "a test")
    await rig.append(0, 1)
    async with running(rig.make_link()) as task:
        await rig.fault("bad_signature")
        assert (await rig.store.head()).halted is None
        await rig.fault("quarantined")
        await rig.coordinator.lift(GATEWAY_ID)
        await rig.acked(1)
        assert not task.done()


async def test_a_socket_that_can_no_more_be_tuned_is_a_lost_link_and_it_comes_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.append(0, 1)
    async with running(rig.make_link()):
        with monkeypatch.context() as patch:
            patch.setattr("gateway.services.sync_link.link._TCP_NOTSENT_LOWAT", 9999)  # ENOPROTOOPT
            await rig.fault("lost", times=2)
        await rig.acked(1)


# Time, health and bodies.


@pytest.mark.parametrize("unix_ms", [0, 4_110_000_000_000])
async def test_the_coordinators_time_replaces_a_host_clock_that_is_wrong(rig: Rig, unix_ms: int) -> None:
    clock = HastyClock(unix_ms=unix_ms)
    async with running(rig.make_link(clock)):
        await rig.connected()
        now = rig.timekeeper.now()
    assert now.quality is TimeQuality.AGREED
    assert abs(now.unix_ms - HastyClock().unix_ns() // 1_000_000) < 60_000


async def test_a_time_that_anybody_on_the_line_could_have_told_is_not_taken(rig: Rig) -> None:
    async with running(rig.make_link()):
        assert abs(await rig.told_ahead(3_600_000)) < 60_000
    assert rig.timekeeper.now().quality is TimeQuality.AGREED  # by WELCOME, which is signed


async def test_a_heartbeat_tells_a_change_of_health_soon(rig: Rig) -> None:
    async with running(rig.make_link(heartbeat_s=3000.0)):
        await rig.coordinator.until(lambda counts: _health(counts) == 100)
        rig.status = {**rig.status, "health": 40}
        rig.link.heartbeat_soon()
        await rig.coordinator.until(lambda counts: _health(counts) == 40)


def _health(counts: dict[str, dict[str, dict[str, dict[str, object]]]]) -> object:
    return counts["gateways"][GATEWAY_ID]["told"].get("health")


async def test_the_coordinator_fetches_bodies_by_hash(rig: Rig) -> None:
    await rig.append(0, 1)
    async with running(rig.make_link()):
        await rig.acked(1)
        objects = (await rig.store.read_batch(0)).entries[0].objects
        found = await rig.coordinator.fetch(GATEWAY_ID, [objects[1].hash, b"?" * 32])
    assert found == [objects[1].body, None]


async def test_a_link_that_is_told_to_stop_stops_at_once(rig: Rig) -> None:
    rig.lie("stall")
    async with running(rig.make_link(HastyClock(1.0))) as task:
        await rig.connected()
        task.cancel()
        async with asyncio.timeout(4.0):
            await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
