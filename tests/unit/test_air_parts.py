"""The air's own rules: virtual time, collisions, the law, reckoning."""

from __future__ import annotations

import asyncio
import time
from random import Random
from threading import Thread
from typing import cast

import pytest

from simulators.air.air import Flight, Log
from simulators.air.collisions import Signal, finds_demodulator, survives
from simulators.air.handset import EIRP_DBM, MARGIN_DB, places
from simulators.air.law import DWELL_US, HOUR_US, Allowance, Sent, fullest, uses
from simulators.air.propagation import GATEWAY_DBM, LogDistance, sensitivity_dbm
from simulators.air.reckoning import IDLE_US, completed, deaf_to, heard_while_sending
from simulators.air.virtual import VirtualClock, VirtualLoop
from simulators.concentrator.air import Emission
from simulators.lora.frames import data_frame
from simulators.lora.plans import EU868, US915

# -- virtual time


def test_an_hour_of_virtual_sleep_takes_no_hour_and_keeps_its_order() -> None:
    async def sleepers() -> tuple[list[str], float]:
        clock, order = VirtualClock(asyncio.get_running_loop()), []
        began = clock.monotonic()

        async def sleeper(name: str, seconds: float) -> None:
            await clock.sleep(seconds)
            order.append(name)

        await asyncio.gather(sleeper("late", 3600.0), sleeper("soon", 1.0), sleeper("later", 7200.0))
        return order, clock.monotonic() - began

    began = time.monotonic()
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        order, passed = runner.run(sleepers())
    assert order == ["soon", "late", "later"]
    assert passed == pytest.approx(7200.0)
    assert time.monotonic() - began < 3600


def test_time_stands_still_while_another_thread_is_waited_for() -> None:
    async def waiting() -> tuple[str, float]:
        loop = cast(VirtualLoop, asyncio.get_running_loop())
        answer: asyncio.Future[str] = loop.create_future()
        ticking = asyncio.create_task(asyncio.sleep(0.001))
        began = loop.time()
        thread = Thread(target=lambda: loop.call_soon_threadsafe(answer.set_result, "done"))
        with loop.held():
            thread.start()
            said = await answer
        passed = loop.time() - began
        await ticking
        return said, passed

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(waiting()) == ("done", 0.0)


def test_what_an_executor_would_do_is_done_at_once_and_fails_as_it_would() -> None:
    async def calls() -> float:
        began = asyncio.get_running_loop().time()
        assert await asyncio.to_thread(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 // 0)
        return asyncio.get_running_loop().time() - began

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        assert runner.run(calls()) == 0.0


# -- propagation


def test_a_device_is_put_where_it_needs_just_the_rate_that_was_asked_for() -> None:
    wanted = [7, 8, 9, 10, 11, 12] * 3
    for place in places(wanted, LogDistance(), Random(5)):
        factor, heard_dbm = place.spreading_factor, EIRP_DBM - place.loss_db - MARGIN_DB
        assert heard_dbm >= GATEWAY_DBM[factor]
        assert factor == 7 or heard_dbm < GATEWAY_DBM[factor - 1]


def test_four_times_the_bandwidth_costs_six_decibels() -> None:
    assert sensitivity_dbm(GATEWAY_DBM, 9, 500_000) == pytest.approx(-131.5 + 6.02, abs=0.01)


# -- collisions


def signal(
    start_us: int = 0, *, factor: int = 7, dbm: float = -100.0, hz: int = 868_100_000, long_us: int = 100_000
) -> Signal:
    return Signal(start_us, start_us + long_us, hz, factor, 125_000, dbm)


@pytest.mark.parametrize(
    ("other", "heard"),
    [
        (signal(dbm=-106.0), True),
        (signal(dbm=-105.9), False),
        (signal(dbm=-90.0, hz=868_300_000), True),
        (signal(dbm=-92.0, factor=9), True),  # 8 dB above, 9 are rejected
        (signal(dbm=-90.9, factor=9), False),
        (signal(100_000, dbm=-60.0), True),  # begins when ours has ended
        (signal(-97_000, dbm=-60.0), True),  # ends in the preamble before the demodulator needs it
        (signal(-96_000, dbm=-60.0), False),
    ],
)
def test_a_frame_survives_what_is_weak_or_elsewhere_or_over(other: Signal, heard: bool) -> None:
    assert survives(signal(), [other]) is heard


def test_interferers_add_up() -> None:
    each = signal(dbm=-107.0)
    assert survives(signal(), [each])
    assert not survives(signal(), [each, each])


def test_the_ninth_frame_at_once_finds_no_demodulator() -> None:
    eight = [signal(hz=867_100_000 + n * 200_000) for n in range(8)]
    assert finds_demodulator(signal(20_000), eight[:7])
    assert not finds_demodulator(signal(20_000), eight)
    assert finds_demodulator(signal(100_000), eight)


# -- the law


def test_the_fullest_window_is_found_wherever_it_lies() -> None:
    assert fullest([(0, 10), (95, 105), (110, 120)], 100) == 20
    assert fullest([(0, 10), (90, 100)], 100) == 20
    assert fullest([(0, 10), (105, 115)], 100) == 10
    assert fullest([(0, 500)], 100) == 100


def brute(held: list[tuple[int, int]], window: int) -> int:
    most = max(end for _, end in held)
    return max(
        sum(max(0, min(end, at + window) - max(start, at)) for start, end in held)
        for at in range(-window, most + 1)
    )


@pytest.mark.parametrize("seed", range(20))
def test_the_fullest_window_is_that_of_looking_everywhere(seed: int) -> None:
    random, held, at = Random(seed), [], 0
    for _ in range(12):
        at += random.randint(0, 40)
        held.append((at, at + random.randint(1, 20)))
        at = held[-1][1]
    assert fullest(held, 50) == brute(held, 50)


@pytest.mark.parametrize("seed", range(5))
def test_who_asks_the_allowance_stays_within_the_law_and_wastes_little(seed: int) -> None:
    random, allowance, sent, now = Random(seed), Allowance(EU868), [], 0
    for _ in range(400):
        airtime = random.randint(50_000, 2_500_000)
        now = allowance.earliest(now + random.randint(0, 3_000_000), 868_100_000, 125_000, airtime)
        sent.append(Sent(now, now + airtime, 868_100_000, 125_000))
        allowance.enter(sent[-1])
        now += airtime
    [use] = uses(EU868, sent)
    assert 0.99 < use.share <= 1.0


def test_dwell_time_counts_each_channel_of_a_narrow_signal() -> None:
    allowance = Allowance(US915)
    first, second = US915.channels_hz[:2]
    allowance.enter(Sent(0, 300_000, first, 125_000))
    assert allowance.earliest(300_000, second, 125_000, 300_000) == 300_000
    start = allowance.earliest(300_000, first, 125_000, 300_000)
    frames = [Sent(0, 300_000, first, 125_000), Sent(start, start + 300_000, first, 125_000)]
    assert max(use.used_us for use in uses(US915, frames)) == DWELL_US
    with pytest.raises(ValueError, match="401 ms may not be sent"):
        allowance.earliest(0, first, 125_000, 401_000)


def test_breaking_the_law_shows() -> None:
    wide = [Sent(0, 401_000, 923_300_000, 500_000)]
    assert max(use.share for use in uses(US915, wide)) > 1
    often = [Sent(n * 9_000_000, n * 9_000_000 + 100_000, 868_100_000, 125_000) for n in range(400)]
    assert [use.limit_us for use in uses(EU868, often)] == [HOUR_US // 100]
    assert uses(EU868, often)[0].share > 1
    with pytest.raises(ValueError, match=r"nothing may be sent at 870\.500 MHz"):
        uses(EU868, [Sent(0, 1, 870_500_000, 125_000)])


# -- reckoning


def flight(index: int, total: int, at_us: int, *, reached: bool = True, outcome: str = "heard") -> Flight:
    frame = data_frame(b"abcd", index, total, b"chunk", listening=index == total - 1)
    return Flight("one", frame, signal(at_us - 100_000), outcome, reached)


def emission(start_us: int, end_us: int) -> Emission:
    return Emission(
        start_us=start_us,
        end_us=end_us,
        counter_us=start_us,
        frequency_hz=869_525_000,
        power_code=0xCD,
        payload=b"",
        spreading_factor=9,
        bandwidth_hz=125_000,
        coding_rate=5,
        crc=False,
        inverted_iq=True,
    )


def test_a_transfer_is_complete_when_each_fragment_got_through_once() -> None:
    flights = [flight(0, 3, 1_000_000), flight(1, 3, 2_000_000, reached=False, outcome="lost")]
    assert completed(Log([*flights, flight(2, 3, 3_000_000)])) == set()
    assert completed(Log([*flights, flight(2, 3, 3_000_000), flight(1, 3, 9_000_000)])) == {b"abcd"}


def test_fragments_of_another_division_do_not_count() -> None:
    assert completed(Log([flight(0, 3, 1_000_000), flight(1, 2, 2_000_000)])) == set()


def test_what_was_forgotten_meanwhile_does_not_count() -> None:
    first, last = flight(0, 2, 1_000_000), flight(1, 2, 1_000_001 + IDLE_US)
    assert completed(Log([first, last])) == set()
    assert completed(Log([first, flight(1, 2, 1_000_000 + IDLE_US)])) == {b"abcd"}


def test_nothing_gets_through_while_the_gateway_sends_and_hearing_it_would_show() -> None:
    log = Log([flight(0, 1, 1_000_000)], [emission(200_000, 910_000)])
    assert completed(log) == set()
    assert (deaf_to(log), heard_while_sending(log)) == (1, 1)
    log = Log([flight(0, 1, 1_000_000)], [emission(200_000, 900_000)])
    assert completed(log) == {b"abcd"}
    assert (deaf_to(log), heard_while_sending(log)) == (0, 0)
