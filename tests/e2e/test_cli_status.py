"""``status``, ``sync``, ``restart`` and ``doctor`` beside a running daemon, as a technician types them."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner
from daemon_rig import REPOSITORY, house

from gateway.cli import main


async def typed(config: Path, *arguments: str) -> tuple[int, str, str]:
    """In this process, beside the loop: a dozen interpreters would take a dozen seconds to start."""
    command = [*arguments, "--config", str(config)]
    done = await asyncio.to_thread(lambda: CliRunner().invoke(main, command))
    return done.exit_code, done.stdout, done.stderr


def on_a_terminal(*arguments: str, until: str = "", **environment: str) -> str:
    """What the command draws on a pseudo-terminal; Ctrl-C once ``until`` is seen."""
    ours, theirs = pty.openpty()
    environment = {"TERM": "xterm", **{k: v for k, v in os.environ.items() if k != "NO_COLOR"}, **environment}
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", *arguments], cwd=REPOSITORY, stdout=theirs, env=environment
    )
    os.close(theirs)
    seen = b""
    try:
        while piece := os.read(ours, 1 << 16):
            seen += piece
            if until and until.encode() in seen:
                process.send_signal(signal.SIGINT)
                until = ""
    except OSError:  # EIO: the last writer of a pseudo-terminal has gone
        pass
    os.close(ours)
    assert process.wait() == 0
    return seen.decode()


async def test_a_running_gateway_tells_how_it_fares_and_does_what_it_is_told(tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon() as daemon:
        await daemon.said("coordinator connected")
        await daemon.address("http")
        socket = str(tmp_path / "run" / "control.sock")

        plain = (await typed(here.config, "status"))[1]
        assert plain.startswith("gw_e2e  ") and "\x1b" not in plain

        bare = await asyncio.to_thread(on_a_terminal, "status", "--socket", socket, NO_COLOR="1")
        assert "\x1b" not in bare
        watched = await asyncio.to_thread(
            on_a_terminal, "status", "--socket", socket, "--watch", "--every", "0.2", until="retention"
        )
        assert "\x1b[H\x1b[1mgw_e2e\x1b[0m" in watched

        code, out, _ = await typed(here.config, "restart", "retention")
        assert (code, out) == (0, "retention: runs anew\n")
        code, out, _ = await typed(here.config, "sync")
        assert (code, out) == (0, "connected; 0 of 0 leaves are cosigned, nothing waits\n")

        code, out, _ = await typed(here.config, "doctor", "--json")
        told = json.loads(out)
        found = {one["name"]: one for one in told["checks"]}
        assert found["coordinator"]["verdict"] == "pass", found["coordinator"]
        assert (found["database"]["verdict"], found["database"]["seen"][:4]) == ("pass", "open")
        assert found["ports"]["seen"] == "the gateway has them"
        assert code == {"pass": 0, "warn": 1, "fail": 2}[told["verdict"]]

        code, out, _ = await typed(here.config, "doctor", "--within", "--only", "keys", "--only", "services")
        assert (code, [line.split()[:2] for line in out.splitlines()[:2]]) == (
            0,
            [["ok", "services"], ["ok", "keys"]],
        )

        here.config.write_text("gateway: {id: WRONG")
        assert (await typed(here.config, "status"))[0] == 1
        assert (await typed(here.config, "status", "--socket", socket))[1].startswith("gw_e2e  ")
        code, out, _ = await here.command(
            "doctor", "--socket", socket, "--only", "configuration", "--only", "gateway"
        )
        assert code == 2
        assert "FAIL  configuration" in out and "score" in out


async def test_a_stopped_gateway_is_examined_too(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        here.configure()
        code, out, error = await typed(here.config, "status")
        assert (code, out) == (1, "")
        assert "the gateway does not run (nobody answers at" in error
        code, out, _ = await typed(here.config, "doctor", "--only", "gateway", "--only", "keys")
        assert code == 1
        lines = out.splitlines()
        assert lines[0].startswith("WARN  gateway") and lines[0].endswith("the gateway does not run")
        assert "-> run: sudo systemctl start offgrid-gateway" in lines[2]
        assert lines[3].startswith("ok    keys")
        assert lines[4] == "1 fine, 1 warnings"
        assert (await typed(here.config, "doctor", "--only", "nonsense"))[0] == 2


def test_the_status_script_of_a_bare_clone_installs_nothing(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "status.sh").write_bytes((REPOSITORY / "scripts" / "status.sh").read_bytes())
    done = subprocess.run(
        ["bash", str(scripts / "status.sh")], capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "no gateway is installed here: ./scripts/install.sh" in done.stderr
    assert not (tmp_path / ".venv").exists()
