"""The real daemon and its backup: a disk wiped while it runs, nobody in reach, a card with new keys."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import sys
from pathlib import Path
from typing import Any

from daemon_rig import GATEWAY, Daemon, House, house, upload_of, wallet_rows
from s3_server import make_bucket, s3_server

from gateway.backup import make_backup_key, read_key
from gateway.keys.generate import make_keys

ROWS = [row for row in wallet_rows() if row["expect"]["accept"]]
STATE = ("gateway.db*", "*.json", "audit.jsonl*", "coordinator.vkey")


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


def wipe(here: House) -> None:
    for pattern in STATE:
        for file in here.root.glob(pattern):
            if file.name != "coordinator.db":
                file.unlink()


def keys(here: House) -> str:
    """The gateway's backup key and the operator's; the operator's public half."""
    for name in ("backup.key", "operator.key"):
        (here.root / name).write_bytes(make_backup_key())
        (here.root / name).chmod(0o600)
    return read_key(here.root / "operator.key").recipient


async def test_a_disk_wiped_during_operation_comes_back_from_s3_and_catches_up(tmp_path: Path) -> None:
    with s3_server() as address:
        make_bucket(address, "village")
        async with house(tmp_path) as here:
            here.environment = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
            backup = {"target": "s3://village/here", "endpoint": address, "operator_key": keys(here)}
            async with here.daemon(backup=backup) as daemon:
                await hand_over(daemon, 0, 6)
                await acked(here, daemon, 6)
                code, out, error = await here.command("backup", "now")
                assert code == 0 and "6 leaves are backed up" in out, error
                await hand_over(daemon, 6, 9)  # newer than the backup, and with the coordinator
                before = (await acked(here, daemon, 9))["store"]
                wipe(here)
                daemon.kill()

            async with here.daemon() as daemon:
                told = await daemon.said("restored from a backup")
                assert told["leaves"] == 6
                await daemon.said("the restored log goes on")
                after = (await acked(here, daemon, 9))["store"]
                assert (after["origin"], after["root"]) == (before["origin"], before["root"])
                await hand_over(daemon, 9, 12)
                await acked(here, daemon, 12)
                while (await daemon.metrics())["gateway_backup_leaves"] != 12:
                    assert (await here.command("backup", "now"))[0] == 0
                code, out, error = await command_in(here, "test")
                assert code == 0 and "12 leaves, the same root" in out, error
                assert (await daemon.status())["backup"]["testPassed"] is True
                await daemon.end()


async def command_in(here: House, *arguments: str) -> tuple[int, str, str]:
    """As a person types it, with the credentials in the environment."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "backup", *arguments, "--config", str(here.config)),
        env={**os.environ, **here.environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return await process.wait(), out.decode(), error.decode()


async def test_restored_out_of_the_coordinators_reach_the_log_goes_on_in_a_new_epoch(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        (tmp_path / "stick").mkdir()
        backup = {"target": str(tmp_path / "stick"), "operator_key": keys(here)}
        async with here.daemon(backup=backup) as daemon:
            await hand_over(daemon, 0, 3)
            await acked(here, daemon, 3)
            assert (await here.command("backup", "now"))[0] == 0
            wipe(here)
            daemon.kill()
        away = {"ws_url": "ws://127.0.0.1:9"}
        async with here.daemon(network=away) as daemon:
            await daemon.said("restored from a backup: uploads wait for the coordinator's word")
            refused = await daemon.post(upload_of(ROWS[3]))
            assert refused.status == 503
            daemon.kill()
        assert (tmp_path / "gateway.db.restored").exists()  # a crash forgets nothing of that
        async with here.daemon(network=away, backup={"offline_after_seconds": 1}) as daemon:
            told = await daemon.said("the restored log goes on")
            assert told["origin"] == f"offgrid/{GATEWAY}/2"
            await hand_over(daemon, 3, 5)
            await daemon.end()
        async with here.daemon(network={"ws_url": here.coordinator.ws_url}) as daemon:
            await acked(here, daemon, 1 + 2)
            await daemon.end()


async def test_a_card_that_died_with_its_keys_goes_on_under_new_ones_by_the_operators(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        (tmp_path / "stick").mkdir()
        backup = {"target": str(tmp_path / "stick"), "operator_key": keys(here)}
        async with here.daemon(backup=backup) as daemon:
            await hand_over(daemon, 0, 3)
            await acked(here, daemon, 3)
            assert (await here.command("backup", "now"))[0] == 0
            await daemon.end()
        wipe(here)
        for name in ("gateway.key", "gateway.crt", "backup.key"):
            (tmp_path / name).unlink()
        make_keys(tmp_path / "gateway.key", tmp_path / "gateway.crt", GATEWAY)

        code, out, error = await here.command("restore", "--key", str(tmp_path / "operator.key"))

        assert code == 0, error
        assert "3 leaves" in out and "signed by another key" in out
        connection = sqlite3.connect(tmp_path / "gateway.db")
        assert connection.execute("SELECT epoch, signed_size FROM log").fetchone() == (2, 0)
        connection.close()
        code, _, error = await here.command("restore")
        assert code == 1 and "move it away first" in error


async def test_keygen_makes_the_backup_key_where_a_backup_is_configured(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.configure(backup={"target": str(tmp_path), "operator_key": keys(here)})
        (tmp_path / "backup.key").unlink()
        code, out, error = await here.command("keygen")
        assert code == 0, error
        assert "backup.key: made; opens age1" in out
        assert (tmp_path / "backup.key").stat().st_mode & 0o777 == 0o600
        assert "was there" in (await here.command("keygen"))[1]


async def test_an_empty_disk_whose_backup_cannot_be_reached_begins_no_second_log(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        backup = {"target": str(tmp_path / "unplugged"), "operator_key": keys(here)}
        async with here.daemon(backup=backup) as daemon:
            assert await daemon.ended() == 1
        assert not (tmp_path / "gateway.db").exists()
        assert (await here.command("restore", "--none"))[0] == 0
        async with here.daemon() as daemon:
            await hand_over(daemon, 0, 1)
            await daemon.end()
