"""The real daemon after a restored card, with a forked log and beside a clone: it heals, says what to do."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from daemon_rig import GATEWAY, Daemon, House, house, upload_of, wallet_rows

ROWS = [row for row in wallet_rows() if row["expect"]["accept"]]


async def hand_over(daemon: Daemon, first: int, last: int) -> None:
    for row in ROWS[first:last]:
        assert (await daemon.post(upload_of(row))).status == 200


async def acked(here: House, daemon: Daemon, size: int) -> dict[str, Any]:
    """The status, once the coordinator has acked a log of that size."""
    while True:
        status: dict[str, Any] = (await daemon.get("/status")).json
        store = status["store"]
        counts = await here.coordinator.counts()
        there = counts["gateways"][GATEWAY]["origins"].get(store["origin"])
        if there == {"size": size, "root": store["root"]} and store["ackedSize"] == size:
            return status
        await asyncio.sleep(0.02)


def put_back(here: House, copy: Path) -> None:
    for file in here.root.glob("gateway.db*"):
        file.unlink()
    shutil.copy(copy, here.root / "gateway.db")


async def test_a_restored_card_catches_up_and_one_that_had_gone_on_begins_again_and_says_so(
    tmp_path: Path,
) -> None:
    copy = tmp_path / "older.copy"
    async with house(tmp_path) as here:
        async with here.daemon() as daemon:
            await hand_over(daemon, 0, 4)
            await acked(here, daemon, 4)
            await daemon.end()
        shutil.copy(here.root / "gateway.db", copy)
        async with here.daemon() as daemon:
            await hand_over(daemon, 4, 10)
            newest = (await acked(here, daemon, 10))["store"]
            await daemon.end()

        put_back(here, copy)
        async with here.daemon() as daemon:
            await daemon.said("caught up")
            assert (await acked(here, daemon, 10))["store"]["root"] == newest["root"]
            await daemon.end()

        put_back(here, copy)
        async with here.daemon(network={"ws_url": "ws://127.0.0.1:9"}) as daemon:
            await hand_over(daemon, 10, 12)  # out of reach: in the places of others
            await daemon.end()
        async with here.daemon(network={"ws_url": here.coordinator.ws_url}) as daemon:
            told = await daemon.said("the log begins again")
            assert "older copy" in told["seen"] and "log resume" in told["fix"]
            status = await acked(here, daemon, 1 + 2)
            assert status["store"]["origin"] == f"offgrid/{GATEWAY}/2"
            assert [one["points"] for one in status["deductions"] if one["code"] == "epoch_begun"] == [20]
            code, out, _ = await here.command("log", "epochs")
            assert code == 0 and "epoch 1: 4 leaves cosigned" in out and "nobody has looked yet" in out
            code, out, _ = await here.command("log", "resume")
            assert code == 0 and "the log goes on" in out and "nobody has looked yet" not in out
            while any(one["code"] == "epoch_begun" for one in status["deductions"]):
                status = (await daemon.get("/status")).json
            await daemon.end()
    accepted = await _accepted(tmp_path)
    assert accepted == 12


async def _accepted(root: Path) -> int:
    """Snapshots at the coordinator, each once."""
    connection = sqlite3.connect(root / "coordinator.db")
    (count,) = connection.execute("SELECT COUNT(*) FROM objects WHERE kind = 3").fetchone()
    connection.close()
    return int(count)


async def test_a_clone_halts_for_a_person_a_link_that_comes_again_does_not(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        async with here.daemon() as daemon:
            await hand_over(daemon, 0, 2)
            await acked(here, daemon, 2)
            connects = sum(line["message"] == "coordinator connected" for line in daemon.lines)
            assert (await here.command("sync"))[0] == 0  # the same boot, again: as after a half-open socket
            while sum(line["message"] == "coordinator connected" for line in daemon.lines) == connects:
                await asyncio.sleep(0.01)
            assert (await daemon.get("/readyz")).status == 200

            second = House(tmp_path / "second", here.coordinator, here.public_key)
            second.root.mkdir()
            for name in ("gateway.key", "gateway.crt"):
                shutil.copy(here.root / name, second.root / name)
            async with second.daemon(runtime_dir="run2") as clone:
                await clone.said("caught up")
                await daemon.said("sync halts", reason="clone")
                status = (await daemon.get("/status")).json
                assert "two gateways with this key" in status["store"]["reason"]
                assert "log resume" in " ".join(status["reasons"])
                await clone.end()
            await here.coordinator.lift(GATEWAY)
            assert (await here.command("log", "resume"))[0] == 0
            await hand_over(daemon, 2, 3)
            await acked(here, daemon, 3)
            await daemon.end()
