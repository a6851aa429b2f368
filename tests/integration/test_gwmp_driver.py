"""The GWMP driver at its socket: several forwarders, hostile datagrams, lost and forged acknowledgements."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from drivers.base import Frame, LoraDownlink, TxRequest
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.lora_gwmp import GwmpDriver
from drivers.lora_gwmp.driver import MAX_PENDING
from gateway.app.radios import tell_untaken
from simulators.lora.ether import Ether, Transmission
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import EU868

TUNING = (868_100_000, 7, 125_000)
DOWN = LoraDownlink(frequency_hz=868_100_000, spreading_factor=7, bandwidth_hz=125_000)


class StillClock:
    """A clock that only the test moves."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def unix_ns(self) -> int:
        return 1_700_000_000_000_000_000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("the driver sleeps on nobody's clock")


class Station:
    """An open driver and any number of forwarders before it."""

    def __init__(self, driver: GwmpDriver, clock: StillClock) -> None:
        self.driver = driver
        self.clock = clock
        self.ether = Ether(EU868, Random(1))
        self.frames: AsyncIterator[Frame] = driver.frames()

    def forwarder(self, number: int, **settings: object) -> SimForwarder:
        eui = number.to_bytes(8, "big")
        return SimForwarder(eui, self.driver.address, self.ether, Random(number), **settings)  # type: ignore[arg-type]

    async def counted(self, outcome: str, count: int) -> None:
        while self.driver.stats().frames.get(outcome, 0) < count:
            await asyncio.sleep(0.002)


@asynccontextmanager
async def station(**settings: object) -> AsyncIterator[Station]:
    clock = StillClock()
    async with GwmpDriver("hill", {"port": 0, **settings}, clock=clock) as driver:
        yield Station(driver, clock)


@asynccontextmanager
async def pulled(forwarder: SimForwarder) -> AsyncIterator[SimForwarder]:
    async with forwarder:
        await forwarder.pulled.wait()
        yield forwarder


def hear(forwarder: SimForwarder, payload: bytes) -> int:
    return forwarder.hear(Transmission(payload, TUNING, inverted_iq=False, crc=True))


async def refusal(station: Station, request: TxRequest) -> str:
    with pytest.raises(TransmitRefused) as caught:
        await station.driver.transmit(request)
    return caught.value.reason


async def test_each_forwarder_is_acknowledged_and_its_frames_carry_its_name() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one, pulled(here.forwarder(2)) as two:
        stamp = hear(one, b"from one")
        first = await anext(here.frames)
        hear(two, b"from two")
        second = await anext(here.frames)
        assert (first.payload, first.peer) == (b"from one", "0000000000000001")
        assert (second.payload, second.peer) == (b"from two", "0000000000000002")
        assert first.lora is not None
        assert (first.lora.concentrator, first.lora.counter_us) == ("0000000000000001", stamp)
        while one.counts["push_acked"] < 1:
            await asyncio.sleep(0.002)
        assert here.driver.stats().gauges["forwarders_reachable"] == 2


async def test_a_downlink_goes_to_the_forwarder_that_heard_the_uplink() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one, pulled(here.forwarder(2)) as two:
        stamp = hear(two, b"question")
        frame = await anext(here.frames)
        at = LoraDownlink(
            frequency_hz=869_525_000,
            spreading_factor=9,
            bandwidth_hz=125_000,
            counter_us=stamp + 2_000_000,
            power_dbm=14.9,
        )
        receipt = await here.driver.transmit(TxRequest(payload=b"answer", reply_to=frame.reply_to, lora=at))
        assert receipt.confirmed
        assert (one.counts["emitted"], two.counts["emitted"]) == (0, 1)
        ((name, sent),) = here.ether.emitted
        assert name == two.name
        assert (sent.payload, sent.tuning, sent.inverted_iq) == (b"answer", (869_525_000, 9, 125_000), True)
        assert sent.counter_us == (stamp + 2_000_000) % (1 << 32)


async def test_a_counter_past_its_wrap_is_quoted_in_32_bits() -> None:
    async with station() as here, pulled(here.forwarder(1, counter_start_us=(1 << 32) - 500_000)) as one:
        stamp = hear(one, b"question")
        frame = await anext(here.frames)
        assert frame.lora is not None
        down = LoraDownlink(
            frequency_hz=868_100_000,
            spreading_factor=7,
            bandwidth_hz=125_000,
            counter_us=frame.lora.counter_us + 1_000_000,
        )
        await here.driver.transmit(TxRequest(payload=b"answer", reply_to=frame.reply_to, lora=down))
        assert here.ether.emitted[0][1].counter_us == (stamp + 1_000_000) % (1 << 32) < stamp


async def test_a_downlink_without_a_time_is_sent_at_once_by_the_only_forwarder() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one:
        receipt = await here.driver.transmit(TxRequest(payload=b"now", lora=DOWN))
        assert receipt.counter_us is None
        assert one.counts["emitted"] == 1


async def test_without_a_route_nothing_is_sent() -> None:
    async with station() as here:
        assert await refusal(here, TxRequest(payload=b"x", lora=DOWN)) == "no_route"
        async with pulled(here.forwarder(1)), pulled(here.forwarder(2)):
            assert await refusal(here, TxRequest(payload=b"which?", lora=DOWN)) == "no_route"


async def test_before_any_forwarder_has_called_it_says_where_one_would() -> None:
    async with station() as here:
        note = here.driver.stats().note
        assert note.startswith("no packet forwarder has called yet at UDP 127.0.0.1:")
        async with pulled(here.forwarder(1)):
            assert here.driver.stats().note == ""


async def test_a_forwarder_that_stops_pulling_is_noted_and_gets_no_downlinks() -> None:
    async with station() as here, pulled(here.forwarder(1, keepalive_s=1000)) as one:
        hear(one, b"question")
        frame = await anext(here.frames)
        assert here.driver.stats().note == ""
        here.clock.now = 61.0
        assert here.driver.stats().note == "no PULL_DATA for 60 s from 0000000000000001"
        request = TxRequest(payload=b"x", reply_to=frame.reply_to, lora=DOWN)
        assert await refusal(here, request) == "no_route"


async def test_a_forwarder_that_never_acknowledges_leaves_a_downlink_unconfirmed() -> None:
    async with station(tx_ack_timeout_s=0.1) as here, pulled(here.forwarder(1, acknowledges=False)):
        receipt = await here.driver.transmit(TxRequest(payload=b"x", lora=DOWN))
        assert not receipt.confirmed
        assert here.driver.stats().transmits == {"unconfirmed": 1}
        assert here.driver.stats().gauges["pending_transmits"] == 0


async def test_an_acknowledgement_by_another_forwarder_or_for_nothing_is_counted_and_ignored() -> None:
    async with (
        station(tx_ack_timeout_s=0.3) as here,
        pulled(here.forwarder(1, acknowledges=False)) as one,
        pulled(here.forwarder(2)) as two,
    ):
        hear(one, b"question")
        frame = await anext(here.frames)
        sending = asyncio.create_task(
            here.driver.transmit(TxRequest(payload=b"x", reply_to=frame.reply_to, lora=DOWN))
        )
        while not one.counts["emitted"]:
            await asyncio.sleep(0.002)
        (token,) = here.driver._pending
        forged = b'{"txpk_ack":{"error":"TX_FREQ"}}'
        two.send_raw(b"\x02" + token.to_bytes(2, "big") + b"\x05" + (2).to_bytes(8, "big") + forged)
        two.send_raw(b"\x02\x00\x00\x05" + (2).to_bytes(8, "big"))
        await here.counted("tx_ack_unknown", 2)
        assert not (await sending).confirmed


async def test_closing_ends_what_waits_for_an_acknowledgement() -> None:
    async with station() as here, pulled(here.forwarder(1, acknowledges=False)) as one:
        sending = asyncio.create_task(here.driver.transmit(TxRequest(payload=b"x", lora=DOWN)))
        while not one.counts["emitted"]:
            await asyncio.sleep(0.002)
        await here.driver.__aexit__(None, None, None)
        with pytest.raises(TransmitRefused, match="closed before"):
            await sending


async def test_more_downlinks_than_can_be_awaited_are_refused() -> None:
    async with station() as here, pulled(here.forwarder(1, acknowledges=False)):
        waiting = [
            asyncio.create_task(here.driver.transmit(TxRequest(payload=b"x", lora=DOWN)))
            for _ in range(MAX_PENDING)
        ]
        await asyncio.sleep(0)
        assert await refusal(here, TxRequest(payload=b"x", lora=DOWN)) == "queue_full"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_datagram_that_the_network_doubled_is_delivered_once_and_acknowledged_twice() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one:
        body = json.dumps({"rxpk": [one.rxpk(Transmission(b"once", TUNING, False), 7)]}).encode()
        datagram = b"\x02\xaa\xbb\x00" + (1).to_bytes(8, "big") + body
        other = b"\x02\xaa\xbb\x00" + (1).to_bytes(8, "big") + body.replace(b'"tmst": 7', b'"tmst": 8')
        for raw in (datagram, datagram, other):
            one.send_raw(raw)
        await here.counted("ok", 2)
        assert here.driver.stats().frames == {"ok": 2, "duplicate": 1, "malformed": 0, "excess": 0}
        while one.counts["push_acked"] < 3:
            await asyncio.sleep(0.002)


async def test_frames_with_a_bad_crc_are_counted_and_dropped() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one:
        heard = Transmission(b"noise", TUNING, False)
        one.push({"rxpk": [one.rxpk(heard, 1, crc=-1), one.rxpk(heard, 2, crc=0), one.rxpk(heard, 3)]})
        await here.counted("ok", 2)
        assert here.driver.stats().frames["crc_bad"] == 1


async def test_only_forwarders_that_were_named_are_heard() -> None:
    async with station(forwarders=["0000000000000001"]) as here:
        async with pulled(here.forwarder(1)) as one, here.forwarder(2) as stranger:
            hear(stranger, b"let me in")
            await here.counted("not_allowed", 2)
            hear(one, b"me")
            assert (await anext(here.frames)).payload == b"me"
            assert stranger.counts["push_acked"] == 0
            assert here.driver.stats().gauges["forwarders"] == 1


async def test_forwarders_are_bounded_and_a_silent_one_makes_room() -> None:
    async with station(max_forwarders=2) as here, pulled(here.forwarder(1)) as one:
        for number in range(2, 100):
            one.send_raw(b"\x02\x00\x00\x02" + number.to_bytes(8, "big"))
        await here.counted("too_many_forwarders", 97)
        assert here.driver.stats().gauges["forwarders"] == 2
        here.clock.now = 70.0
        one.send_raw(b"\x02\x00\x00\x02" + (999).to_bytes(8, "big"))
        one.send_raw(b"\x02\x00\x00\x02" + (1).to_bytes(8, "big"))
        while here.driver.stats().gauges["forwarders_reachable"] < 2:
            await asyncio.sleep(0.002)


async def test_garbage_is_counted_and_costs_no_frame_of_others() -> None:
    random = Random(4)
    async with station() as here, pulled(here.forwarder(1)) as one:
        for number in range(150):
            raw = random.randbytes(random.randrange(1, 300))
            one.send_raw(raw if number % 3 else b"\x02\x00\x00\x00" + (1).to_bytes(8, "big") + raw)
        one.send_raw(b"\x02\x00\x00\x03{}")  # a server's datagram
        hear(one, b"alive")
        assert (await anext(here.frames)).payload == b"alive"
        assert here.driver.stats().frames["malformed"] == 151


async def test_a_forwarder_that_moved_is_answered_at_its_new_address() -> None:
    async with station() as here:
        async with pulled(here.forwarder(1)):
            pass
        async with pulled(here.forwarder(1)) as again:
            await here.driver.transmit(TxRequest(payload=b"x", lora=DOWN))
            assert again.counts["emitted"] == 1


async def test_figures_of_the_forwarder_reach_the_gauges() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one:
        one.push({"stat": {"ackr": 87.5}})
        while here.driver.stats().gauges["acknowledged_percent"] == 100.0:
            await asyncio.sleep(0.002)
        assert here.driver.stats().gauges["acknowledged_percent"] == 87.5


async def test_it_can_be_opened_again_and_on_a_port_in_use_it_says_what_to_do() -> None:
    clock = StillClock()
    async with GwmpDriver("hill", {"port": 0}, clock=clock) as first:
        host, port = first.address
        with pytest.raises(DriverConfigError, match="stop the other server"):
            await GwmpDriver("dale", {"host": host, "port": port}, clock=clock).__aenter__()
    second = GwmpDriver("dale", {"host": host, "port": port}, clock=clock)
    for _ in range(3):
        async with second:
            assert second.address == (host, port)


async def test_frames_that_nobody_took_are_told_when_the_radio_s_service_ends(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with station() as here, pulled(here.forwarder(1)) as one:
        hear(one, b"one")
        hear(one, b"two")
        await here.counted("ok", 2)
        tell_untaken("hill", here.driver)
        assert not caplog.records
    tell_untaken("hill", here.driver)
    (record,) = caplog.records
    assert (record.getMessage(), record.__dict__["frames"]) == ("frames were heard and not taken", 2)


async def test_an_address_that_is_not_up_yet_is_tried_again_by_the_supervisor() -> None:
    driver = GwmpDriver("hill", {"host": "192.0.2.1"}, clock=StillClock())
    with pytest.raises(DriverLost, match="cannot listen on UDP"):
        await driver.__aenter__()


async def test_a_payload_is_the_bytes_that_were_heard() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one:
        payload = bytes(range(255))
        stamp = hear(one, payload)
        frame = await anext(here.frames)
        assert frame.payload == payload
        assert frame.lora is not None
        assert frame.lora.counter_us == stamp
        assert frame.lora.airtime_us == 399_616


async def test_every_forwarder_that_can_be_reached_is_a_route_for_what_nobody_asked_for() -> None:
    async with station() as here, pulled(here.forwarder(1)) as one, pulled(here.forwarder(2)) as two:
        routes = here.driver.routes()
        assert set(routes) == {one.name, two.name}
        await here.driver.transmit(TxRequest(payload=b"to all", reply_to=routes[two.name], lora=DOWN))
        assert (one.counts["emitted"], two.counts["emitted"]) == (0, 1)
        here.clock.now = 61.0
        assert here.driver.routes() == {}
