"""The demo as somebody runs it: it ends well, says so, and leaves nothing running."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest
from daemon_rig import REPOSITORY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Longer than a Unix socket's address can be, as TMPDIR may be."""
    long = tmp_path / ("long-" * 20)
    long.mkdir()
    return long


async def demo(*arguments: str, folder: Path) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "simulators", "demo", *arguments),
        cwd=REPOSITORY,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )


def running_in(folder: Path) -> dict[int, str]:
    """Command lines of all processes that name this folder, by process id."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # it has just ended
        if str(folder) in line:
            found[int(path.parent.name)] = line
    return found


def left_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_the_demo_ends_with_nothing_lost_and_a_report_that_says_so(folder: Path) -> None:
    report = folder / "report.json"
    process = await demo("--seconds", "5", "--json", str(report), folder=folder)
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said
    told = json.loads(report.read_text())
    assert told["ok"] and told["roots_equal"] and told["failures"] == []
    radios = {radio["radio"]: radio for radio in told["radios"]}
    assert set(radios) == {"lora", "village", "ble", "gsm", "http"}
    for radio in radios.values():
        assert radio["accepted"] == radio["acked"] > 0
        assert (radio["lost"], radio["duplicated"]) == (0, 0)
    assert sum(radio["accepted"] for radio in radios.values()) == told["promises_verified"]
    assert told["promises_failed"] == told["proofs_failed"] == told["payments_stored_twice"] == 0
    assert told["proofs_verified"] > 0
    assert set(radios["http"]["refused"]) <= {"signature", "count", "root"}
    assert told["conflicts_kept"] == told["double_spends_made"] == 1
    assert told["payments_verified_by_coordinator"] == told["payments"]
    assert told["backhaul_down_s"] > 1
    assert told["checkpoints_by_text"] <= 1
    assert "the backhaul is cut" in said and "Everything accepted is at the coordinator" in said
    assert running_in(folder) == {}
    assert left_in(folder) == [report]


async def test_ctrl_c_stops_the_demo_and_leaves_nothing_behind(folder: Path) -> None:
    process = await demo("--seconds", "60", folder=folder)
    assert process.stdout is not None
    async for line in process.stdout:
        if b"the link to the coordinator is up" in line:
            break
    assert len(running_in(folder)) == 3
    process.send_signal(signal.SIGINT)
    rest = (await process.stdout.read()).decode()
    assert (await process.wait(), "nothing was left running" in rest) == (130, True)
    assert running_in(folder) == {}
    assert left_in(folder) == []


async def test_a_daemon_that_dies_ends_the_demo_with_its_log_kept(folder: Path) -> None:
    process = await demo("--seconds", "60", folder=folder)
    assert process.stdout is not None
    async for line in process.stdout:
        if b"the link to the coordinator is up" in line:
            break
    [daemon] = [pid for pid, line in running_in(folder).items() if "-m gateway run" in line]
    os.kill(daemon, signal.SIGKILL)
    rest = (await process.stdout.read()).decode()
    assert await process.wait() == 1
    assert "gateway ended in the middle of the play" in rest
    [kept] = left_in(folder)
    assert str(kept) in rest
    assert (kept / "gateway.log").stat().st_size > 0
    assert running_in(folder) == {}
