"""How the daemon starts, is told, fails in parts, is killed, and stops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from daemon_rig import REPOSITORY, Daemon, House, command, house, origin_of, upload_of, wallet_rows

from gateway.app.lifetime import DRAIN_S

GOOD = [row for row in wallet_rows() if row["expect"]["accept"]]
PLENTY = {"device": {"messages_per_minute": 1000}}
IN_TIME = 0
"""Exit code: after ``DRAIN_S`` the daemon leaves undone what still runs, and exits otherwise."""


async def upload_until_gone(daemon: Daemon, promised: list[dict[str, Any]], enough: asyncio.Event) -> None:
    """Hand in ledgers as fast as they are answered; only what was answered counts as promised."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for row in GOOD:
            answer = await daemon.post(upload_of(row))
            assert answer.status == 200
            promised.append(answer.json)
            if len(promised) >= 5:
                enough.set()


async def until_enough(enough: asyncio.Event, uploading: asyncio.Task[None]) -> None:
    """Until some are promised; what ends the uploading before is told, not waited for."""
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait((waiting, uploading), return_when=asyncio.FIRST_COMPLETED)
    if not waiting.done():
        waiting.cancel()
        await uploading
        raise AssertionError("the daemon was gone before enough was promised")


async def logged_contents(house: House) -> set[str]:
    """Every H in the stopped gateway's own log."""
    code, out, error = await house.command("log", "show", "--json", "-n", "100")
    assert code == 0, error
    contents = set()
    for entry in json.loads(out)["entries"]:
        code, out, error = await house.command("log", "show", "--json", str(entry["index"]))
        contents |= {item["hash"] for item in json.loads(out)["entries"][0]["contents"]}
    return contents


async def test_sigterm_answers_what_runs_loses_nothing_promised_and_ends_within_five_seconds(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        promised: list[dict[str, Any]] = []
        enough = asyncio.Event()
        async with here.daemon(limits=PLENTY) as daemon:
            uploading = asyncio.create_task(upload_until_gone(daemon, promised, enough))
            await until_enough(enough, uploading)
            assert await daemon.end(signal.SIGTERM) == IN_TIME
            await uploading
        assert daemon.lines[-1]["message"] == "stopped"
        assert daemon.errors == []
        assert {one["content"] for one in promised[:3]} <= await logged_contents(here)
        code, out, _ = await here.command("log", "verify")
        assert (code, "every leaf, the root and the checkpoints hold" in out) == (0, True)


async def test_a_client_that_hangs_in_its_upload_does_not_keep_the_daemon_from_stopping(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        host, port = (await daemon.address("http")).rsplit(":", 1)
        _, idle = await asyncio.open_connection(host, int(port))
        _, hanging = await asyncio.open_connection(host, int(port))
        head = "POST /v1/snapshots HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        hanging.write(f"{head}Content-Length: 500\r\n\r\n{{".encode())
        await hanging.drain()
        assert (await daemon.get("/livez")).status == 200
        assert await daemon.end(signal.SIGTERM) == IN_TIME
        idle.close()
        hanging.close()


STUBBORN = """
import asyncio
from gateway.app import lifetime

async def never_ends():
    print("running", flush=True)
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

lifetime.DRAIN_S = 0.01
asyncio.run(lifetime.until_told(never_ends(), lambda: None))
"""


async def test_what_does_not_end_in_time_is_left_undone_before_five_seconds_are_over() -> None:
    assert DRAIN_S < 5
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STUBBORN), cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"running\n"
    process.send_signal(signal.SIGTERM)
    _, error = await process.communicate()
    assert (process.returncode, error) == (1, b"what still ran was left undone\n")


async def test_after_kill_9_the_next_start_is_as_any_and_everything_promised_is_cosigned(
    tmp_path: Path,
) -> None:
    async with house(tmp_path) as here:
        promised: list[dict[str, Any]] = []
        enough = asyncio.Event()
        async with here.daemon(limits=PLENTY) as daemon:
            uploading = asyncio.create_task(upload_until_gone(daemon, promised, enough))
            await until_enough(enough, uploading)
            daemon.kill()
            await uploading
            assert await daemon.ended() == -signal.SIGKILL
        async with here.daemon() as daemon:
            status = await daemon.status()
            assert status["store"]["size"] >= len(promised)
            size, root = status["store"]["size"], status["store"]["root"]
            counts = await here.coordinator.until(lambda counts: origin_of(counts)["size"] == size)
            assert origin_of(counts)["root"] == root
            accepted = await here.coordinator.accepted()
            assert {one["content"] for one in promised} <= set(accepted["snapshots"])
            assert [len(one["heard"]) for one in accepted["snapshots"].values()] == [1] * size


async def test_sighup_takes_what_can_be_taken_and_says_what_waits_for_a_restart(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        await daemon.address("http")
        here.configure(
            logging={"level": "info"},
            storage={"max_snapshots": 7},
            limits={"peer": {"messages_per_minute": 1}},
            http={"port": 1234},
        )
        daemon.process.send_signal(signal.SIGHUP)
        said = await daemon.said("configuration read again")
        assert said["taken"] == "limits.peer.messages_per_minute, logging.level, storage.max_snapshots"
        assert said["waiting_for_restart"] == "http.port"
        first, second = [await daemon.get("/v1/beacon") for _ in range(2)]
        assert (first.status, second.status) == (200, 429)

        here.config.write_text("gateway: {id: WRONG")
        daemon.process.send_signal(signal.SIGHUP)
        assert "config.yml:1" in (await daemon.said("configuration not taken"))["problems"]
        assert (await daemon.get("/livez")).status == 200


async def test_a_dead_only_radio_pages_while_http_and_the_link_go_on(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.7.7.7", 0))  # where no other test takes a port
        port = taken.getsockname()[1]
        radios = {"hill": {"driver": "lora_gwmp", "options": {"host": "127.7.7.7", "port": port}}}
        async with house(tmp_path) as here, here.daemon(radios=radios) as daemon:
            await daemon.said("service halted", service="hill")
            await daemon.said("coordinator connected")
            answer = await daemon.post(upload_of(GOOD[0]))
            assert answer.status == 200
            await here.coordinator.until(lambda counts: origin_of(counts)["size"] == 1)
            health = await daemon.get("/health")
            while health.json["score"] != 40:  # the link's own deduction goes with the next reading
                health = await daemon.get("/health")
            assert health.status == 503
            (reason,) = health.json["reasons"]
            assert reason.startswith("no radio works (hill: cannot listen on UDP 127.7.7.7:")
            assert "stop the other server" in reason
            figures = await daemon.metrics()
            assert figures['gateway_health{gateway_id="gw_e2e"}'] == 40
            assert figures['gateway_radio_up{radio="hill"}'] == 0
            assert figures['gateway_health_deduction_points{reason="no_radio"}'] == 60
            assert (await daemon.get("/readyz")).status == 200

            taken.close()  # a technician has stopped the other server, and says so
            code, _, error = await here.command("restart", "hill")
            assert (code, error) == (0, "")
            await daemon.said("listening for packet forwarders")
            while (await daemon.get("/health")).json["score"] != 100:
                await asyncio.sleep(0.01)


async def test_a_driver_that_cannot_be_loaded_halts_only_itself(tmp_path: Path) -> None:
    radios = {"odd": {"driver": "acme_nonesuch"}, "hill": {"driver": "lora_gwmp", "options": {"port": 0}}}
    async with house(tmp_path) as here, here.daemon(radios=radios) as daemon:
        halted = await daemon.said("service halted", service="odd")
        assert "no driver named 'acme_nonesuch'" in halted["reason"]
        await daemon.said("coordinator connected")
        while (status := (await daemon.get("/status")).json)["score"] != 80:
            await asyncio.sleep(0.01)
        assert status["services"]["odd"]["state"] == "halted"
        assert (status["radios"]["odd"]["state"], status["radios"]["hill"]["state"]) == ("down", "works")
        assert (await daemon.get("/health")).status == 200


async def test_a_gateway_that_was_never_registered_takes_uploads_and_says_what_to_do(tmp_path: Path) -> None:
    async with house(tmp_path, registered=False) as here:
        async with here.daemon(network={"coordinator_key": None}) as daemon:
            halted = await daemon.said("service halted", service="link")
            assert "offgrid-gateway register" in halted["reason"]
            assert (await daemon.post(upload_of(GOOD[0]))).status == 200
            token = tmp_path / "token"
            token.write_text("a-token")
            token.chmod(0o600)
            assert (await here.command("register", "--token-file", str(token)))[0] == 0
            assert (await here.command("sync"))[0] == 0
            await here.coordinator.until(lambda counts: origin_of(counts)["size"] == 1)


async def test_a_coordinator_out_of_reach_costs_points_but_never_pages(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon(network={"ws_url": "ws://127.0.0.1:9"}) as daemon:
        await daemon.said("coordinator link ended")
        while "coordinator unreachable" not in str((health := await daemon.get("/health")).json["reasons"]):
            await asyncio.sleep(0.01)
        assert (health.status, health.json["status"]) == (200, "degraded")
        figures = await daemon.metrics()
        assert (figures["gateway_link_up"], figures["gateway_ready"]) == (0, 1)


async def test_a_full_disk_refuses_with_its_code_and_readyz_says_so(tmp_path: Path) -> None:
    free_mb = shutil.disk_usage(tmp_path).free >> 20
    async with house(tmp_path) as here, here.daemon(storage={"min_free_mb": free_mb * 2}) as daemon:
        answer = await daemon.post(upload_of(GOOD[0]))
        assert (answer.status, answer.json["code"]) == (507, "storage_full")
        assert int(answer.fields["Retry-After"]) > 0
        ready = await daemon.get("/readyz")
        assert (ready.status, (await daemon.get("/livez")).status) == (503, 200)
        assert b"must stay" in ready.body
        assert (await daemon.get("/health")).status == 503
        figures = await daemon.metrics()
        assert figures['http_requests_total{status="507"}'] == 1
        assert figures['http_requests_total{status="503"}'] == 0  # probes do not count


async def test_what_ends_the_daemon_has_its_own_exit_code(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        async with here.daemon() as daemon:
            await daemon.address("http")
            code, _, error = await here.command("run")  # a second one on the same database
            assert (code, "another process holds the database" in error) == (1, True)
            assert (await daemon.get("/livez")).status == 200
        (tmp_path / "gateway.key").chmod(0o644)
        code, _, error = await here.command("run")
        assert (code, "chmod 600" in error) == (1, True)
        here.config.write_text("gateway: 7\n")
        code, _, error = await here.command("run")
        assert (code, "config.yml:1:10: gateway" in error) == (2, True)


async def test_status_and_log_work_while_the_daemon_runs_and_log_after_it_has_stopped(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        async with here.daemon() as daemon:
            answer = await daemon.post(upload_of(GOOD[1]))
            await daemon.said("acked", size=1)
            await daemon.figures(gateway_log_size=1)
            code, screen, _ = await here.command("status")
            assert code == 0
            assert len(screen.splitlines()) <= 24
            assert "score" in screen and "1 leaves" in screen
            assert json.loads((await here.command("status", "--json"))[1])["store"]["size"] == 1
            proofs = [(await here.command("log", "prove", answer.json["content"]))[1]]
            shown = [(await here.command("log", "show", "0"))[1]]
            verified = [(await here.command("log", "verify"))[:2]]
            await daemon.end()
        assert (await here.command("status"))[0] == 1
        proofs.append((await here.command("log", "prove", answer.json["content"]))[1])
        shown.append((await here.command("log", "show", "0"))[1])
        verified.append((await here.command("log", "verify"))[:2])
        for pair in (proofs, shown, verified):
            assert pair[0] == pair[1]
        assert (verified[0][0], json.loads(proofs[0])["cosigned"]) == (0, True)
        code, _, error = await here.command("log", "show", "7")
        assert (code, error) == (1, "error: no leaf 7; the log has 1\n")


async def test_log_verify_names_what_somebody_changed_in_the_database(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        async with here.daemon() as daemon:
            for row in GOOD[:3]:
                await daemon.post(upload_of(row))
            await daemon.end()
        with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as database, database:
            [(pack,)] = database.execute("SELECT pack FROM bodies WHERE leaf = 0")
            changed = pack[:-1] + bytes([pack[-1] ^ 1])
            database.execute("UPDATE bodies SET pack = ? WHERE leaf = 0", (changed,))
        code, _, error = await here.command("log", "verify")
        assert (code, "leaf 0: the bytes of object" in error) == (1, True)


async def test_systemd_is_told_when_the_daemon_listens_and_when_it_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "100000")
        monkeypatch.delenv("WATCHDOG_PID", raising=False)
        loop = asyncio.get_running_loop()
        async with house(tmp_path) as here, here.daemon() as daemon:
            assert await loop.sock_recv(listening, 100) == b"READY=1"
            assert (await daemon.get("/livez")).status == 200
            assert await loop.sock_recv(listening, 100) == b"WATCHDOG=1"
            assert await loop.sock_recv(listening, 100) == b"WATCHDOG=1"
            await daemon.end()
            told = [await loop.sock_recv(listening, 100)]
            while told[-1] != b"STOPPING=1":
                told.append(await loop.sock_recv(listening, 100))


async def test_promtool_has_nothing_to_say_about_the_real_page(tmp_path: Path) -> None:
    if shutil.which("promtool") is None:
        message = "promtool is not on PATH (Debian package prometheus); ./scripts/test.sh fetches it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    radios = {"hill": {"driver": "lora_gwmp", "options": {"port": 0}}}
    async with house(tmp_path) as here, here.daemon(radios=radios) as daemon:
        await daemon.post(upload_of(GOOD[1]))
        await daemon.said("acked", size=1)
        page = await daemon.get("/metrics", "metrics")
        assert page.fields["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        judged = await asyncio.to_thread(
            subprocess.run,
            ["promtool", "check", "metrics"],
            input=page.body,
            capture_output=True,
            check=False,
        )
        assert (judged.returncode, judged.stdout, judged.stderr) == (0, b"", b"")


def test_the_daemon_imports_nothing_heavy_that_it_does_not_use() -> None:
    modules = (
        "gateway.app.plan, gateway.services.http.pages, gateway.services.http.uploads, drivers.lora_gwmp"
    )
    heavy = (
        "aiohttp",
        "bumble",
        "cryptography",
        "gateway.app.support",
        "gateway.services.backup",
        "gateway.services.doctor",
        "gateway.services.mesh",
        "obstore",
        "requests",
        "serial",
        "simulators",
        "sqlite_utils",
    )
    code = f"import sys, {modules}; print(*sorted(set({heavy}) & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == []


async def test_help_lists_every_command() -> None:
    code, out, _ = await command("--help")
    assert code == 0
    for name in ("check-config", "keygen", "log", "register", "reload", "restart", "run", "status", "sync"):
        assert f"  {name} " in out


async def test_a_key_that_the_coordinator_does_not_know_waits_for_a_person_with_the_command_to_type(
    tmp_path: Path,
) -> None:
    async with house(tmp_path, registered=False) as here, here.daemon() as daemon:
        told = await daemon.said("the coordinator waits for a person")
        assert f"run: offgrid-gateway register --config {here.config} (" in told["reason"]
        assert told["level"] == "warning"
        code, _, error = await here.command("sync")
        assert (code, "does not know this gateway" in error) == (1, True)
        token = tmp_path / "token"
        token.write_text("a-token")
        token.chmod(0o600)
        code, out, _ = await here.command("register", "--token-file", str(token))
        assert (code, out.splitlines()[-1]) == (0, "the running gateway tries the coordinator now")
        await daemon.said("coordinator connected")
        code, out, _ = await here.command("sync")
        assert (code, out) == (0, "connected; 0 of 0 leaves are cosigned, nothing waits\n")
        assert (await daemon.get("/status")).json["link"]["state"] == "connected"


async def test_a_sighup_before_anybody_listens_for_it_is_taken_later(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        while not _blocks_sighup(daemon.process.pid):
            await asyncio.sleep(0.001)
        daemon.process.send_signal(signal.SIGHUP)
        await daemon.said("configuration read again")
        assert (await daemon.get("/livez")).status == 200


def _blocks_sighup(pid: int) -> bool:
    """SigBlk of proc(5): bit n-1 is signal n."""
    status = Path(f"/proc/{pid}/status").read_text()
    [mask] = [line.split()[1] for line in status.splitlines() if line.startswith("SigBlk")]
    return bool(int(mask, 16) & 1 << (signal.SIGHUP - 1))
