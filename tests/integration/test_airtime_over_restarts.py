"""The duty cycle holds over restarts of the process and of the machine, however they come about."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random

import pytest

from gateway.core.lora.downlinks import Send
from gateway.core.lora.link import LoraLink
from gateway.core.lora.regions import EU868
from gateway.services.airtime import AirtimeBook, AirtimeUnsaved
from gateway.services.lora_intake import LoraIntake
from gateway.systemclock import SystemClock

CHANNEL = EU868.broadcast(10, 125_000)
NOTICES_S = 0.25 * 0.10 * 3600  # what notices may use of an hour in EU868's sub-band P
RADIO, CONCENTRATOR = "lora", "spidev:0.0"


class Machine:
    """Its steady clock begins at 0 with each boot; ``at`` is true time, in seconds."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.at = 1000.0
        self.boots = 0
        self.booted_at = 0.0

    def monotonic(self) -> float:
        return self.at - self.booted_at

    def unix_ns(self) -> int:
        raise AssertionError("the wall clock may be wrong")

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing waits here")

    def reboot(self) -> None:
        self.boots += 1
        self.booted_at = self.at

    def start(self) -> Process:
        return Process(self)


class Process:
    """A daemon's link and book; let go of without a word when it is killed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.book = AirtimeBook(machine.path, machine, f"boot-{machine.boots}")
        self.link = LoraLink(EU868, past=self.book.past(RADIO))
        self.book.keep(RADIO, self.link)

    async def send(self, message: bytes) -> list[Send]:
        """What was sent; nothing where the hour is used up."""
        assert CHANNEL is not None
        now = self.machine.monotonic()
        events = self.link.broadcast(message, CHANNEL, CONCENTRATOR, None, now)
        sends = [event for event in events if isinstance(event, Send)]
        for send in sends:
            await self.book.cover(RADIO, send)
        return sends

    async def send_until_refused(self, message: bytes) -> float:
        """Seconds sent, one after another."""
        total = 0.0
        while sends := await self.send(message):
            total += sum(send.booking.airtime_us for send in sends) / 1e6
            self.machine.at += 3.0
        return total


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "airtime.json")


def most_in_an_hour(sent: list[tuple[float, float]]) -> float:
    """The fullest window, which ends with some frame."""
    return max(sum(max(0.0, min(to, end) - max(start, end - 3600)) for start, to in sent) for _, end in sent)


@pytest.mark.parametrize("seed", range(4))
async def test_no_restart_allows_more_in_any_sliding_hour(machine: Machine, seed: int) -> None:
    random = Random(seed)
    process, sent, restarts = machine.start(), [], 0
    for _ in range(1500):
        machine.at += random.expovariate(1 / 8)
        for send in await process.send(random.randbytes(200)):
            start = send.booking.start + machine.booted_at
            sent.append((start, start + send.booking.airtime_us / 1e6))
        if random.random() < 0.05:
            restarts += 1
            machine.at += random.expovariate(1 / 5)
            if random.random() < 0.3:
                machine.reboot()
            process = machine.start()
    assert restarts > 20
    assert NOTICES_S / 2 < most_in_an_hour(sent) <= NOTICES_S


async def test_a_killed_process_goes_on_from_what_it_sent_and_its_credit(machine: Machine) -> None:
    used = await machine.start().send_until_refused(b"x" * 200)
    assert used > NOTICES_S - 5
    assert await machine.start().send(b"y" * 200) == []
    machine.at += 3600 + 700  # the credit is dated ten minutes ahead, and counts a little longer than an hour
    assert await machine.start().send_until_refused(b"z" * 200) == pytest.approx(used, abs=3)


async def test_an_orderly_end_leaves_no_credit_behind(machine: Machine) -> None:
    first = machine.start()
    await first.send(b"x" * 200)
    (spent,) = first.link.spent()
    first.book.close()
    second = machine.start()
    assert second.link.duty_used_s(machine.monotonic())["P"] == pytest.approx(spent.airtime_us / 1e6)


async def test_many_restarts_do_not_carry_the_past_along(machine: Machine) -> None:
    process = machine.start()
    await process.send_until_refused(b"x" * 200)
    process.book.close()
    content = machine.path.read_bytes()
    for _ in range(50):
        machine.at += 1.0
        process = machine.start()
        process.book.close()
        assert machine.path.read_bytes() == content


async def test_after_a_reboot_all_counts_as_sent_just_now(machine: Machine) -> None:
    used = await machine.start().send_until_refused(b"x" * 200)
    machine.at += 3000
    machine.reboot()
    after = machine.start()
    assert await after.send(b"y" * 200) == []
    machine.at += 3500
    assert await after.send(b"y" * 200) == []
    machine.at += 200
    assert await after.send_until_refused(b"y" * 200) == pytest.approx(used, abs=3)


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"boot": 1, "spent": [[1]]}'])
async def test_a_file_that_cannot_be_read_closes_the_hour(
    machine: Machine, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    machine.path.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        process = machine.start()
    assert "not known" in caplog.text
    assert await process.send(b"x" * 200) == []
    machine.at += 1800
    process.book.close()
    process = machine.start()  # nor does another restart open it
    assert await process.send(b"x" * 200) == []
    machine.at += 1801
    assert await process.send(b"x" * 200)


async def test_the_disk_is_written_a_twentieth_of_the_hour_at_a_time(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = 0
    real = AirtimeBook._draw

    async def counted(book: AirtimeBook, key: tuple[str, str, str]) -> None:
        nonlocal writes
        writes += 1
        await real(book, key)

    monkeypatch.setattr(AirtimeBook, "_draw", counted)
    frames = 0
    process = machine.start()
    while await process.send(b"x" * 200):
        frames += 1
        machine.at += 3.0
    assert writes <= 6 < frames / 5


async def test_what_cannot_be_kept_is_not_sent(machine: Machine) -> None:
    machine.path.parent.joinpath("gone").mkdir()
    machine.path = machine.path.parent / "gone" / "airtime.json"
    process = machine.start()
    machine.path.parent.rmdir()
    with pytest.raises(AirtimeUnsaved):
        await process.send(b"x" * 200)


class Deaf:
    """A radio that would send anything."""

    def __init__(self) -> None:
        self.sent = 0

    async def transmit(self, request: object) -> None:
        self.sent += 1


async def test_the_radio_never_sees_a_frame_whose_airtime_is_not_kept() -> None:
    async def refuses(send: Send) -> None:
        raise AirtimeUnsaved("disk full")

    assert CHANNEL is not None
    link, radio = LoraLink(EU868), Deaf()
    cover: Callable[[Send], Awaitable[None]] = refuses
    intake = LoraIntake("lora", radio, link, None, clock=SystemClock(), cover=cover)  # type: ignore[arg-type]
    (send,) = link.broadcast(b"x" * 150, CHANNEL, CONCENTRATOR, None, 0.0)
    assert isinstance(send, Send)
    used = link.duty_used_s(0.0)["P"]
    await intake._transmit(send, None)  # type: ignore[arg-type]
    assert radio.sent == 0
    assert link.counts["airtime_unsaved"] == 1
    assert (used > 0, link.duty_used_s(0.0)["P"]) == (True, 0)
