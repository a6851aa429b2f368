"""A blocked event loop and a slow store are noticed while they last."""

from __future__ import annotations

import asyncio

import pytest

from gateway.services.promptness import BEAT_S, STORE_EVERY, Promptness


class Beats:
    """Sleeping takes no time but what each beat is late; at the end of the script it ends the service."""

    def __init__(self, *late_s: float) -> None:
        self._late_s = list(late_s)
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def unix_ns(self) -> int:
        return int(self.now * 1e9)

    async def sleep(self, seconds: float) -> None:
        if not self._late_s:
            raise asyncio.CancelledError
        self.now += seconds + self._late_s.pop(0)


async def counted(beats: Beats, store_takes_s: float = 0.0) -> dict[str, int]:
    async def ask_store() -> None:
        beats.now += store_takes_s

    promptness = Promptness(ask_store, beats)
    with pytest.raises(asyncio.CancelledError):
        await promptness.run()
    return dict(promptness.slowness.counts)


async def test_a_blocked_event_loop_is_told_once_an_hour_and_counted_each_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await counted(Beats(0.1, 2.0, 0.0, 3.0)) == {"event_loop": 2, "store": 0}
    told = [(line.message, vars(line)["part"], vars(line)["longest_s"]) for line in caplog.records]
    assert told == [("slow", "event_loop", 2.0)]


async def test_a_store_that_answers_late_is_no_fault_of_the_event_loop() -> None:
    minute = [0.0] * int(60 / BEAT_S)
    assert await counted(Beats(*minute), 5.0) == {"event_loop": 0, "store": 60 // STORE_EVERY}
