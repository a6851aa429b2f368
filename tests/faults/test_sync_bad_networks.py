"""The link over lines that die, stall, crawl, and servers that accept and close."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest
from sync_rig import HastyClock, Rig, open_coordinator, open_store, running
from virtual_time import VirtualClock

from simulators.faults import Line, TcpProxy


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with (
        open_coordinator(tmp_path / "coordinator.db") as coordinator,
        open_store(tmp_path / "gateway.db") as store,
    ):
        yield Rig(store, coordinator)


@pytest.fixture
async def line(rig: Rig) -> AsyncIterator[TcpProxy]:
    at = urlsplit(rig.coordinator.ws_url)
    async with TcpProxy((at.hostname or "", at.port or 0), Random(1)) as proxy:
        yield proxy


@pytest.mark.parametrize("base_s", [0.1, 1.0, 5.0])
async def test_a_coordinator_that_accepts_and_closes_sees_at_most_ten_attempts_in_the_first_minute(
    rig: Rig, base_s: float
) -> None:
    rig.lie("close")
    clock = VirtualClock()
    began = clock.now
    link = rig.make_link(clock, reconnect_interval_s=base_s)
    async with running(link):
        attempts = 0
        while clock.now < began + 60.0:
            attempts += 1
            await rig.fault("lost", times=attempts)
            clock.advance()
    assert 2 <= attempts <= 10


async def test_connections_that_earn_no_ack_do_not_shorten_the_delay(rig: Rig) -> None:
    """WELCOME is said, then the link is cut: the handshake alone must not reset the backoff."""
    await rig.append(0, 1)
    rig.lie("want-unasked")
    clock = VirtualClock()
    link = rig.make_link(clock, reconnect_interval_s=1.0, gather_s=0.0)
    delays = []
    async with running(link):
        for attempt in range(1, 8):
            await rig.fault("bad_bitmap", times=attempt)
            before = clock.now
            clock.advance()
            delays.append(clock.now - before)
    assert link.figures.connects == 7
    assert delays[-1] > 8 * delays[0] > 0


async def test_a_line_that_goes_silent_is_found_dead_and_another_is_opened(rig: Rig, line: TcpProxy) -> None:
    await rig.append(0, 3)
    async with running(rig.make_link(HastyClock(20.0, true_time=False), url=line.url)):
        await rig.acked(3)
        line.stall()
        await rig.append(3, 6)
        await rig.fault("dead")
        line.mend()
        await rig.acked(6)
    assert set(rig.link.figures.faults) <= {"dead", "unreachable"}


async def test_an_idle_line_that_goes_silent_is_found_dead_too(rig: Rig, line: TcpProxy) -> None:
    clock = HastyClock(50.0, true_time=False)
    async with running(rig.make_link(clock, url=line.url, heartbeat_s=3600.0)):
        await rig.append(0, 1)
        await rig.acked(1)  # behind the answer to the first heartbeat: nothing is due any more
        line.stall()
        await rig.fault("dead")


@pytest.mark.parametrize("lie", ["drop-ack", "mute"])
async def test_a_coordinator_that_lives_but_does_not_answer_is_left(rig: Rig, lie: str) -> None:
    await rig.append(0, 3)
    rig.lie(f"{lie}:1")
    async with running(rig.make_link(HastyClock(12.0, true_time=False))):
        await rig.fault("stalled")
        await rig.acked(3)


async def test_messages_that_come_byte_by_byte_are_the_same_messages(rig: Rig, line: TcpProxy) -> None:
    line.line = Line(slice_bytes=1)
    await rig.append(0, 20)
    async with running(rig.make_link(url=line.url, max_entries=7)):
        await rig.acked(20)
    assert rig.link.vitals().attempts == 1


async def test_a_server_that_is_not_there_is_tried_again_until_it_is(rig: Rig) -> None:
    await rig.append(0, 1)
    link = rig.make_link(url="ws://127.0.0.1:9")
    async with running(link):
        await rig.fault("unreachable", times=3)
    assert not link.vitals().connected
    assert link.vitals().last_fault.startswith("unreachable")


async def test_a_line_that_loses_connections_again_and_again_delivers_all_of_it_once(
    rig: Rig, line: TcpProxy
) -> None:
    await rig.append(0, 24)
    line.line = Line(lose=0.12)
    async with running(rig.make_link(HastyClock(5000.0), url=line.url, max_entries=2)):
        head = await rig.acked(24)
    told = (await rig.coordinator.counts())["gateways"]["gw-1"]
    assert line.counts["lost"] > 0
    assert told["origins"] == {head.origin: {"size": 24, "root": head.root.hex()}}
    assert told["entries"] == 24


async def test_a_line_as_slow_as_gprs_delivers_too(rig: Rig, line: TcpProxy) -> None:
    await rig.append(0, 20)
    line.line = Line(delay_s=0.01, jitter_s=0.01, bytes_per_s=50_000, slice_bytes=300)
    async with running(rig.make_link(HastyClock(1.0), url=line.url)):
        await rig.acked(20)
    assert rig.link.vitals().attempts == 1
