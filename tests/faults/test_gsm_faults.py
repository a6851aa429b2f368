"""Faults of modems, SIMs, networks and ports in the middle of receiving and of sending."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from gsm_rig import (
    BINARY,
    GATEWAY,
    LONG,
    PHONE,
    Bench,
    GatewayLog,
    HastyClock,
    Listener,
    part_count,
    received,
    running,
    until,
)

from drivers.base import TxRequest
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.gsm_at.rescue import PRESS_S
from simulators.modem.power import PowerPin
from simulators.modem.profiles import PROFILES
from simulators.modem.sms import with_smsc, write_deliver

USB = sorted(name for name, profile in PROFILES.items() if profile.usb)


@pytest.fixture(params=sorted(PROFILES))
def profile(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bench(profile: str, tmp_path: Path) -> AsyncIterator[Bench]:
    async with running(Bench(profile, tmp_path)) as bench:
        yield bench


def to_phone(text: str, **fields: Any) -> TxRequest:
    return TxRequest(payload=text.encode(), reply_to=PHONE, **{"timeout_s": 20, **fields})


# -- ports


@pytest.mark.parametrize("profile", USB)
async def test_a_port_that_vanishes_is_driver_lost_and_found_under_another_name(bench: Bench) -> None:
    async with bench.driver() as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "before")
        await listener.hears(1)
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)
        bench.ports.vanish()
        assert "gone" in str(await listener.lost()) or "hung up" in str(await listener.lost())
        with pytest.raises(DriverLost, match="plugged in"):
            async with driver:
                pass
    bench.phone.send(GATEWAY, "meanwhile")
    bench.ports.appear(bench.ports.name.replace("0123456789ABCDEF", "FEDCBA"))
    async with bench.driver() as driver:
        assert (await Listener(driver).hears(1))[0].payload == b"meanwhile"


@pytest.mark.parametrize("profile", USB)
async def test_the_at_port_of_several_is_found_by_its_interface_number(bench: Bench) -> None:
    for interface in (None, 2):
        async with bench.driver(interface=interface) as driver:
            assert driver.stats().gauges["sim_ready"] == 1
    with pytest.raises(DriverLost, match="does not answer"):
        async with bench.driver(interface=0, answer_s=0.1):
            pass
    with pytest.raises(DriverLost, match="no port matches"):
        async with bench.driver(interface=9):
            pass


@pytest.mark.parametrize("profile", ["EC25"])
async def test_a_port_in_use_is_told_with_its_holder(bench: Bench) -> None:
    async with bench.driver(port=str(bench.ports.path)):
        with pytest.raises(DriverLost, match="is held by"):
            async with bench.driver(port=str(bench.ports.path)):
                pass


async def test_what_is_no_serial_port_needs_a_person(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DriverConfigError, match="no serial port"):
        async with Bench("EC25", tmp_path).driver(port=str(tmp_path / "file")):
            pass


# -- restarts


@pytest.mark.parametrize("when", ["AT+CMGL", "AT+CMGR", "AT+CMGD", "AT+CPMS", "AT+CSQ"])
async def test_a_brown_out_while_receiving_loses_and_doubles_nothing(bench: Bench, when: str) -> None:
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        bench.modem.faults.reset_at = {when: 1}
        messages: list[str | bytes] = ["short", LONG, "中兴" * 100, BINARY]
        for message in messages:
            bench.phone.send(GATEWAY, message)
        await gateway.holds(messages)
        while not bench.modem.restarts:  # a sweep may have come before the command: then the next message
            messages.append(f"message {len(messages)}")
            bench.phone.send(GATEWAY, messages[-1])
            await gateway.holds(messages)
        assert bench.modem.restarts == 1
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)
        await until(lambda: not bench.spooled("parts"))


@pytest.mark.parametrize("when", ["AT+CMGS", "^Z"])
async def test_a_brown_out_while_sending_is_made_good(bench: Bench, when: str) -> None:
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        bench.modem.faults.reset_at = {when: 2}
        await gateway.transmit(to_phone("first"))
        await gateway.transmit(to_phone(LONG))
        assert await received(bench.phone) == "first"
        assert await received(bench.phone) == LONG
        assert bench.modem.restarts == 1
        await until(lambda: not bench.spooled("queue"))


@pytest.mark.parametrize("profile", ["SIM800"])
async def test_a_restart_that_nobody_announced_is_noticed_and_what_came_since_is_found(bench: Bench) -> None:
    async with bench.driver(sweep_s=3600) as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "one")
        await listener.hears(1)
        bench.modem.settings.cnmi = (0, 0, 0, 0, 0)
        bench.phone.send(GATEWAY, "untold")
        await until(lambda: bench.modem.settings.cnmi[1] == 1)
        bench.phone.send(GATEWAY, "told")
        assert [frame.payload for frame in await listener.hears(3)] == [b"one", b"untold", b"told"]


# -- a modem that does not answer


@pytest.mark.parametrize("cure", ["cfun", "power"])
async def test_a_dead_but_open_port_is_revived_step_by_step(bench: Bench, cure: str) -> None:
    async with PowerPin(bench.modem, bench.directory / "pin") as pin:
        settings: dict[str, Any] = {
            "may_reset_bearer": True,
            "power_pin": f"unix:{pin.path}",
            "restart_s": 2.0,
        }
        async with GatewayLog(bench, **settings) as gateway:
            await gateway.opened.wait()
            bench.phone.send(GATEWAY, "before")
            await gateway.holds(["before"])
            bench.modem.faults.hang = cure  # type: ignore[assignment]
            await gateway.transmit(to_phone("queued"))
            assert await received(bench.phone, 60) == "queued"
            assert bench.modem.restarts >= 1
            bench.phone.send(GATEWAY, "after")
            await gateway.holds(["before", "after"])


class PressClock(HastyClock):
    """Holds the power key down until told."""

    def __init__(self) -> None:
        self.pressing, self.long_enough = asyncio.Event(), asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds == PRESS_S:
            self.pressing.set()
            await self.long_enough.wait()
        await super().sleep(seconds)


@pytest.mark.parametrize("profile", ["EC25"])
async def test_a_rescue_that_is_cancelled_stays_until_the_power_key_is_let_go_of(bench: Bench) -> None:
    clock = PressClock()
    bench.modem.faults.hang = "power"
    async with PowerPin(bench.modem, bench.directory / "pin") as pin:
        driver = bench.driver(
            clock, may_reset_bearer=True, power_pin=f"unix:{pin.path}", restart_s=0.5, answer_s=0.1
        )
        opening = asyncio.create_task(driver.__aenter__())
        await clock.pressing.wait()
        opening.cancel()
        await asyncio.sleep(0)  # it has heard of it
        assert (pin.presses, opening.done()) == (0, False)
        clock.long_enough.set()
        with pytest.raises(asyncio.CancelledError):
            await opening
        assert pin.presses == 1, "pressed and let go"


@pytest.mark.parametrize("profile", ["EC25"])
async def test_nothing_drops_the_bearer_without_leave(bench: Bench) -> None:
    async with bench.driver(answer_s=0.1) as driver:
        listener = Listener(driver)
        bench.modem.faults.hang = "cfun"
        assert "may_reset_bearer" in str(await listener.lost())
    assert bench.modem.restarts == 0


@pytest.mark.parametrize("profile", ["EC25"])
async def test_resets_are_rare_even_across_restarts_of_ours(bench: Bench) -> None:
    settings: dict[str, Any] = {
        "answer_s": 0.1,
        "restart_s": 0.5,
        "may_reset_bearer": True,
        "reset_interval_s": 600,
    }
    bench.modem.faults.hang = "never"
    for words in ("not even after a restart", "a moment ago", "a moment ago"):
        with pytest.raises(DriverLost, match=words):
            async with bench.driver(**settings):
                pass
    assert bench.spooled("state") == ["reset"]


# -- SIM


async def test_a_sim_taken_out_and_put_back_is_used_again(bench: Bench) -> None:
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        sim = bench.sim
        bench.modem.remove_sim()
        await until(lambda: gateway.driver.stats().gauges["sim_ready"] == 0)
        assert "no SIM" in gateway.driver.stats().note
        await gateway.transmit(to_phone("waits for a SIM", timeout_s=0.1))
        bench.phone.send(GATEWAY, "to nobody")
        bench.modem.insert_sim(sim)
        assert await received(bench.phone) == "waits for a SIM"
        await gateway.holds(["to nobody"])


async def test_a_modem_without_a_sim_opens_and_waits_for_one(tmp_path: Path, profile: str) -> None:
    bench = Bench(profile, tmp_path)
    sim, bench.modem.sim = bench.sim, None
    async with running(bench), bench.driver() as driver:
        assert driver.stats().note == "no SIM"
        bench.modem.insert_sim(sim)
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "now")
        assert (await listener.hears(1))[0].payload == b"now"


async def test_a_full_sim_is_emptied_and_what_waited_outside_comes_in(bench: Bench) -> None:
    for place, memory in (("SM", bench.sim.messages), ("ME", bench.modem.own_memory)):
        for index in range(1, bench.modem.size(place) + 1):
            memory[index] = (1, waiting_message(bench, f"{place} {index}"))
    bench.phone.send(GATEWAY, "outside")
    await until(lambda: bench.network.waiting(GATEWAY) == 1)
    async with GatewayLog(bench, queue=16) as gateway:
        total = bench.modem.size("MT")
        await until(lambda: len(gateway.log) == total + 1, 60)
        assert b"outside" in gateway.log
        await until(lambda: not bench.sim.messages and not bench.modem.own_memory)


async def test_a_modem_that_says_it_is_full_is_swept_at_once(bench: Bench) -> None:
    async with bench.driver(sweep_s=3600, queue=256) as driver:
        listener = Listener(driver)
        bench.phone.send(GATEWAY, "first")
        await listener.hears(1)
        await until(lambda: not bench.modem.memory("MT"))
        for place, memory in (("SM", bench.sim.messages), ("ME", bench.modem.own_memory)):
            for index in range(1, bench.modem.size(place) + 1):
                memory[index] = (1, waiting_message(bench, f"{place} {index}"))
        bench.phone.send(GATEWAY, "outside")
        await until(lambda: b"outside" in [frame.payload for frame in listener.heard], 60)
        await until(lambda: not bench.modem.memory("MT"))


async def test_corrupt_slots_stop_nobody_and_are_set_aside(bench: Bench) -> None:
    good = waiting_message(bench, "good")
    bench.sim.messages |= {
        1: (1, b"\xff" * 40),
        2: (1, b""),
        3: (1, good[:-2]),
        4: (0, good),
        5: (2, b"\x00\x01"),
    }
    async with GatewayLog(bench) as gateway:
        await gateway.holds(["good"])
        await until(lambda: list(bench.sim.messages) == [5])
        assert len(bench.spooled("aside")) == 3
        assert gateway.driver.stats().gauges["set_aside"] == 3
        assert "set aside" in gateway.driver.stats().note


async def test_a_right_pin_is_entered_once(tmp_path: Path, profile: str) -> None:
    bench = Bench(profile, tmp_path, pin="1234")
    async with running(bench):
        for _ in range(2):
            async with bench.driver(pin="1234") as driver:
                assert driver.stats().gauges["sim_ready"] == 1
        assert bench.sim.entered == ["1234"]
        assert bench.spooled("state") == []


async def test_a_wrong_pin_is_tried_once_however_often_we_start(tmp_path: Path, profile: str) -> None:
    bench = Bench(profile, tmp_path, pin="1234")
    async with running(bench):
        for _ in range(4):
            with pytest.raises(DriverConfigError, match="PIN"):
                async with bench.driver(pin="9999"):
                    pass
        assert bench.sim.entered == ["9999"]
        async with bench.driver(pin="1234"):
            pass
        assert bench.sim.entered == ["9999", "1234"]


@pytest.mark.parametrize("sim", [{"pin": "1234"}, {"pin": "1", "attempts_left": 0}])
async def test_a_locked_sim_needs_a_person(tmp_path: Path, sim: dict[str, Any]) -> None:
    bench = Bench("EC25", tmp_path, **sim)
    async with running(bench):
        with pytest.raises(DriverConfigError, match=r"PIN|PUK"):
            async with bench.driver():
                pass
        assert bench.sim.entered == []


# -- network


@pytest.mark.parametrize("stat", [2, 3, 0])
async def test_messages_wait_for_a_lost_registration(bench: Bench, stat: int) -> None:
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        bench.modem.register(stat)
        await until(lambda: gateway.driver.stats().gauges["registered"] == 0)
        await gateway.transmit(to_phone("later", timeout_s=0.1))
        bench.phone.send(GATEWAY, "from outside")
        assert "regist" in gateway.driver.stats().note
        bench.modem.register(5)
        assert await received(bench.phone) == "later"
        await gateway.holds(["from outside"])


@pytest.mark.parametrize("stat", [6, 7])
async def test_registered_for_messages_only_is_registered(bench: Bench, stat: int) -> None:
    bench.modem.register(stat)
    async with bench.driver() as driver:
        assert (await driver.transmit(to_phone("by SMS only"))).confirmed


async def test_a_bad_network_loses_no_message_that_it_delivers(bench: Bench) -> None:
    conditions = bench.network.conditions
    conditions.duplicate, conditions.reorder = 0.3, 0.5
    messages: list[str | bytes] = [f"message {number} " * 30 for number in range(6)]
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        for message in messages:
            bench.phone.send(GATEWAY, message)
        await gateway.holds(messages)


async def test_unsolicited_codes_in_the_wrong_places_disturb_nothing(bench: Bench) -> None:
    bench.modem.faults.urc_in_reply = '+CMTI: "SM",1'
    bench.modem.faults.urc_at_prompt = "RING"
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        bench.phone.send(GATEWAY, LONG)
        await gateway.holds([LONG])
        await gateway.transmit(to_phone(LONG))
        assert await received(bench.phone) == LONG


# -- sending


@pytest.mark.parametrize("fault", ["send_unanswered", "send_swallowed", "no_prompt"])
async def test_an_unknown_outcome_is_resynchronised_and_sent_again(bench: Bench, fault: str) -> None:
    setattr(bench.modem.faults, fault, 1)
    async with GatewayLog(bench) as gateway:
        await gateway.opened.wait()
        await gateway.transmit(to_phone(LONG))
        assert await received(bench.phone) == LONG
        await until(lambda: not bench.spooled("queue"))
        assert bench.phone.inbox.empty(), "parts sent twice join once"


async def test_a_message_the_network_refuses_is_set_aside_and_blocks_nobody(bench: Bench) -> None:
    async with bench.driver() as driver:
        bench.modem.faults.cms_error, bench.modem.faults.cms_errors = 28, 1
        with pytest.raises(TransmitRefused) as refusal:
            await driver.transmit(to_phone("poison"))
        assert refusal.value.reason == "no_route"
        assert (await driver.transmit(to_phone("next"))).confirmed
        assert await received(bench.phone) == "next"
        assert len(bench.spooled("aside")) == 1
        assert bench.spooled("queue") == []


async def test_a_message_that_fails_again_and_again_lets_others_pass_and_is_set_aside(bench: Bench) -> None:
    async with bench.driver(attempts=3) as driver:
        bench.modem.faults.cms_error, bench.modem.faults.cms_errors = 500, 3
        failing = asyncio.create_task(driver.transmit(to_phone("never", timeout_s=60)))
        await until(lambda: part_count(driver, "cms_500") >= 1)
        with pytest.raises(TransmitRefused):
            await failing
        assert (await driver.transmit(to_phone("next"))).confirmed
        assert part_count(driver, "set_aside") == 1


async def test_the_network_being_out_of_order_costs_no_attempt_and_no_money(bench: Bench) -> None:
    async with bench.driver(attempts=1) as driver:
        bench.modem.faults.cms_error, bench.modem.faults.cms_errors = 38, 2
        assert (await driver.transmit(to_phone("patience", timeout_s=60))).confirmed
        assert part_count(driver, "paid") == 1


async def test_the_daily_budget_is_kept_across_restarts_and_its_reserve_is_for_answers(bench: Bench) -> None:
    settings: dict[str, Any] = {"per_day": 4, "per_day_reserve": 1}
    async with bench.driver(**settings) as driver:
        for number in range(3):
            assert (await driver.transmit(to_phone(f"{number}"))).confirmed
        with pytest.raises(TransmitRefused) as refusal:
            await driver.transmit(to_phone("a notice"))
        assert refusal.value.reason == "budget"
        assert (await driver.transmit(to_phone("an answer", priority=0))).confirmed
        with pytest.raises(TransmitRefused):
            await driver.transmit(to_phone("another", priority=0))
    async with bench.driver(**settings) as driver:
        assert driver.stats().gauges["messages_left_today"] == 0


@pytest.mark.parametrize("profile", ["EC25"])
async def test_a_full_queue_has_room_for_the_most_urgent(bench: Bench) -> None:
    bench.modem.register(2)
    async with bench.driver(queue=1) as driver:
        await driver.transmit(to_phone("an answer", timeout_s=0))
        with pytest.raises(TransmitRefused) as refusal:
            await driver.transmit(to_phone("another", timeout_s=0))
        assert refusal.value.reason == "queue_full"
        for number in range(8):
            await driver.transmit(to_phone(f"urgent {number}", timeout_s=0, priority=0))
        with pytest.raises(TransmitRefused):
            await driver.transmit(to_phone("too much", timeout_s=0, priority=0))


async def test_what_was_queued_survives_and_is_queued_once(bench: Bench) -> None:
    bench.modem.register(2)
    async with bench.driver() as driver:
        for _ in range(3):
            receipt = await driver.transmit(to_phone("kept", timeout_s=0.05))
            assert not receipt.confirmed
        assert driver.stats().gauges["queue_messages"] == 1
    bench.modem.register(1)
    async with bench.driver():
        assert await received(bench.phone) == "kept"
        await until(lambda: not bench.spooled("queue"))
    assert bench.phone.inbox.empty()


async def test_a_status_report_that_failed_is_counted(bench: Bench) -> None:
    async with bench.driver() as driver:
        await driver.transmit(TxRequest(payload=b"x", reply_to="+49999", timeout_s=20))
        await until(lambda: part_count(driver, "undelivered") == 1)


# -- disk


@pytest.mark.parametrize("profile", ["EC25"])
async def test_a_disk_that_refuses_leaves_messages_on_the_sim(bench: Bench) -> None:
    spool = bench.directory / "spool" / "parts"
    async with bench.driver() as driver:
        listener = Listener(driver)
        await until(lambda: spool.exists())
        spool.rmdir()
        spool.write_bytes(b"in the way")
        bench.phone.send(GATEWAY, LONG)
        assert "spool" in str(await listener.lost())
    assert len(bench.modem.own_memory) + len(bench.sim.messages) >= 1
    spool.unlink()
    async with GatewayLog(bench) as gateway:
        await gateway.holds([LONG])


def waiting_message(bench: Bench, text: str) -> bytes:
    """A stored PDU, made by the network's own hand."""
    bench.network.text(PHONE, "+1", text)
    _, message = bench.network.submitted[-1]
    return with_smsc(write_deliver(PHONE, message, bench.network.now()), bench.network.smsc)
