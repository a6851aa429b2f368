"""How a trial of applied settings ends, by the signs it is given; time passes only as it sleeps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from gateway.app import settings
from gateway.app.lifetime import Live
from gateway.app.trial import Configuration, Signs
from gateway.config import applied as disk
from gateway.config import load
from gateway.core.admission import Admission
from gateway.core.applied import Applied
from gateway.core.health import Deduction, Health
from gateway.errors import CommandError
from gateway.services.acts import Perform

SICK = Health(80, (Deduction(20, "radio_down", "radio not working: lora"),))
WELL = Health(100, ())
LIVE = {"storage": {"retention_days": 5}}


class Bench:
    """A configuration in a folder, signs that a test sets, and the acts that ended trials."""

    def __init__(self, root: Path) -> None:
        self.path = root / "config.yml"
        self.path.write_text(
            yaml.safe_dump(
                {
                    "gateway": {"id": "g", "location": {"lat": 1.0, "lon": 2.0, "name": "x"}, "type": "mesh"},
                    "network": {"api_url": "https://c.example", "ws_url": "wss://c.example"},
                    "storage": {"path": "gateway.db"},
                    "remote": {"trial_seconds": 60},
                }
            )
        )
        config = load(self.path)
        self.live = Live(self.path, config, Admission(settings.rates(config)))
        self.health, self.connected, self.now = WELL, True, 0.0
        self.ended: asyncio.Queue[tuple[str, Mapping[str, Any]]] = asyncio.Queue()
        self.anew = asyncio.Event()
        signs = Signs(self.vitals, lambda: self.connected)
        self.configuration = Configuration(self.live, signs, self, self.anew, self.perform)

    async def vitals(self) -> Any:
        return SimpleNamespace(health=self.health)

    async def perform(self, name: str, act: Perform, arguments: Mapping[str, Any]) -> object:
        done = await act(arguments)
        self.ended.put_nowait((name, arguments))
        return done

    def monotonic(self) -> float:
        return self.now

    def unix_ns(self) -> int:
        return 0

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await asyncio.sleep(0)

    async def order(self, version: int, wanted: Mapping[str, Any]) -> Any:
        return await self.configuration.acts()["configure"]({"version": version, "settings": wanted})

    async def end(self) -> tuple[str, Mapping[str, Any]]:
        running = asyncio.create_task(self.configuration.run())
        try:
            return await self.ended.get()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    @property
    def applied(self) -> Applied:
        return disk.read(self.path.with_name("applied.json"))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_link_and_health_that_hold_confirm_it(bench: Bench) -> None:
    await bench.order(1, LIVE)
    assert bench.live.config.storage.retention_days == 5
    name, _ = await bench.end()
    assert (name, bench.applied.version, bench.now) == ("configuration confirmed", 1, 15.0)


async def test_health_that_does_not_return_rolls_it_back_and_says_why(bench: Bench) -> None:
    await bench.order(1, LIVE)
    bench.health = SICK
    name, told = await bench.end()
    assert name == "configuration rolled back"
    assert told["why"] == "after 60 s the score was 80, 100 before: radio not working: lora"
    assert (bench.applied.version, bench.applied.in_force) == (0, {})


async def test_health_that_was_no_better_before_is_no_fault_of_the_settings(bench: Bench) -> None:
    bench.health = SICK
    await bench.order(1, LIVE)
    assert (await bench.end())[0] == "configuration confirmed"


async def test_a_second_version_waits_for_the_end_of_the_first_and_none_is_tried_twice(bench: Bench) -> None:
    await bench.order(1, LIVE)
    with pytest.raises(CommandError, match="version 1 is still on trial"):
        await bench.order(2, {})
    await bench.end()
    with pytest.raises(CommandError, match="not newer than 1"):
        await bench.order(1, {})


async def test_a_trial_that_needs_a_start_asks_for_one_and_is_not_judged_before_it(bench: Bench) -> None:
    answer = await bench.order(1, {"sync": {"batch_entries": 5}})
    assert (answer["restarts"], bench.anew.is_set()) == (True, True)
    assert bench.applied.trial is not None
    assert not bench.applied.trial.started
    assert bench.live.config.sync.batch_entries == 256


@pytest.mark.parametrize("arguments", [{}, {"version": 0, "settings": {}}, {"version": 1, "settings": []}])
async def test_what_is_no_version_with_settings_is_refused(bench: Bench, arguments: dict[str, Any]) -> None:
    with pytest.raises(CommandError, match="expected"):
        await bench.configuration.acts()["configure"](arguments)


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (
            {"network": {"coordinator_key": "x"}, "http": {"port": 1}},
            "not for the coordinator to set: http.port, network.coordinator_key",
        ),
        (
            {"sync": {"heartbeat_seconds": 1}},
            (
                "applied by the coordinator: sync.heartbeat_seconds: saw 1; "
                "allowed: a whole number from 5 to 3600"
            ),
        ),
        ({"gsm": {"per_day": 5}}, "this gateway has no gsm"),
        ({"nonsense": {}}, "not for the coordinator to set: nonsense"),
    ],
)
async def test_keys_doors_and_wrong_values_are_refused_in_the_words_of_check_config(
    bench: Bench, wanted: dict[str, Any], words: str
) -> None:
    with pytest.raises(CommandError) as refused:
        await bench.order(1, wanted)
    assert str(refused.value) == words
    assert bench.applied == Applied()
