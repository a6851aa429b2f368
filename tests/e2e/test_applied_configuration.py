"""Configuration by the coordinator's word: on trial, confirmed when link and health hold, undone when not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from daemon_rig import GATEWAY, Daemon, House, house

from simulators.coordinator.orders import JSON, REFUSED, Outcome

NOWHERE = {"network": {"ws_url": "ws://127.0.0.1:9/"}}


async def configure(house: House, version: int, settings: dict[str, Any]) -> Outcome:
    return await house.coordinator.order(GATEWAY, "configure", {"version": version, "settings": settings})


def applied(house: House) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((house.root / "applied.json").read_text())
    return document


def ends(house: House) -> list[tuple[str, str, str]]:
    lines = [json.loads(line) for line in (house.root / "audit.jsonl").read_text().splitlines()]
    return [(line["actor"], line["act"], line["state"]) for line in lines if line["state"] != "begun"]


@asynccontextmanager
async def living(root: Path, trial_seconds: int = 2) -> AsyncIterator[tuple[House, Daemon]]:
    async with house(root) as here, here.daemon(remote={"trial_seconds": trial_seconds}) as daemon:
        await daemon.said("coordinator connected")
        yield here, daemon


async def test_what_can_be_taken_at_once_is_confirmed_without_a_restart(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as (here, daemon):
        answer = await configure(here, 1, {"limits": {"max_upload_bytes": 5000}})
        assert (answer.kind, answer.result["restarts"]) == (JSON, False)
        await daemon.said("configuration confirmed", version=1)
        assert (applied(here)["version"], applied(here)["trial"]) == (1, None)
        again = await configure(here, 1, {})
        assert (again.kind, "not newer" in again.words) == (REFUSED, True)
        assert ends(here)[:2] == [
            ("coordinator", "configure", "done"),
            ("gateway", "configuration confirmed", "done"),
        ]


async def test_what_needs_a_restart_starts_the_daemon_anew_and_one_that_loses_the_link_rolls_back_by_itself(
    tmp_path: Path,
) -> None:
    async with living(tmp_path) as (here, daemon):
        good = await configure(here, 7, {"sync": {"heartbeat_seconds": 60}})
        assert good.result["restarts"]
        await daemon.said("configuration confirmed", version=7)
        before = len(daemon.lines)
        bad = await configure(here, 8, NOWHERE)
        assert (bad.result["restarts"], bad.result["trial_seconds"]) == (True, 2)

        await daemon.said("configuration rolled back", after=before, version=8)
        rolled = len(daemon.lines)
        await daemon.said("coordinator connected", after=rolled)
        told = (await here.coordinator.order(GATEWAY, "configuration")).result
        assert (told["version"], told["tried"], told["trial"]) == (7, 8, None)
        assert "the coordinator was not reached" in told["last"]
        assert ("gateway", "configuration rolled back", "done") in ends(here)
        assert daemon.errors == []


async def test_a_crash_in_the_middle_of_a_trial_rolls_it_back_at_the_next_start(tmp_path: Path) -> None:
    async with living(tmp_path, trial_seconds=3600) as (here, daemon):
        await configure(here, 3, NOWHERE)
        await daemon.said("starting anew")
        started = len(daemon.lines)
        await daemon.said("listening", after=started)
        assert applied(here)["trial"]["started"]
        daemon.kill()
        await daemon.ended()
        async with here.daemon() as daemon:
            await daemon.said("applied configuration not in force")
            await daemon.said("coordinator connected")
            assert (applied(here)["trial"], applied(here)["version"]) == (None, 0)
