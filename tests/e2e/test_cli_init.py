"""``init`` as a new user meets it: five questions at a terminal, or options; nothing is ever overwritten."""

from __future__ import annotations

import asyncio
import os
import pty
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from daemon_rig import REPOSITORY

from gateway.cli import main
from gateway.cli.questions import READERS
from gateway.config import load
from gateway.config.explained import Answers, explained
from gateway.services.doctor import Account, Host
from gateway.services.doctor.discovery import Found, look_around
from gateway.systemclock import SystemClock
from simulators.coordinator import Coordinator
from simulators.gps.receiver import GpsReceiver

OPTIONS = (
    *("--region", "EU868"),
    *("--id", "gw_hill"),
    *("--place", "48.2,16.3,Market, by the well"),
    *("--radios", "lora"),
)


async def init(config: Path, *options: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", "init", "--config", str(config), *options),
        cwd=REPOSITORY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    return await process.wait(), out.decode(), error.decode()


async def test_from_nothing_to_a_registered_gateway_by_options(tmp_path: Path) -> None:
    token, config = tmp_path / "token", tmp_path / "here" / "config.yml"
    token.write_text("a-token")
    token.chmod(0o600)
    async with Coordinator(db=tmp_path / "coordinator.db", token="a-token") as coordinator:
        where = f"{coordinator.api_url} {coordinator.ws_url}"
        code, out, error = await init(config, *OPTIONS, "--coordinator", where, "--token-file", str(token))
        assert (code, error) == (0, "")
        assert f"{config}: written" in out
        assert "gw_hill: registered" in out
        assert f"offgrid-gateway run --config {config}" in out
        judged = load(config, clock=SystemClock())
        assert (judged.gateway.id, judged.gateway.location.name) == ("gw_hill", "Market, by the well")
        assert judged.lora is not None and (judged.lora.frequency, judged.lora.region) == (868, "EU868")
        assert judged.storage.path == config.parent / "data" / "gateway.db"
        assert stat.S_IMODE((config.parent / "keys" / "gateway.key").stat().st_mode) == 0o600

        config.write_text(text := config.read_text() + "# mine\n")
        code, out, _ = await init(config, *OPTIONS, "--coordinator", where)
        assert (code, config.read_text()) == (0, text)
        assert f"{config}: was there, left as it is" in out
        assert "gateway.key: was there, left as it is" in out


async def test_a_token_that_is_refused_is_told_at_the_end_and_everything_else_stands(tmp_path: Path) -> None:
    token, config = tmp_path / "token", tmp_path / "config.yml"
    token.write_text("wrong")
    token.chmod(0o600)
    async with Coordinator(db=tmp_path / "coordinator.db", token="a-token") as coordinator:
        where = f"{coordinator.api_url} {coordinator.ws_url}"
        code, out, error = await init(config, *OPTIONS, "--coordinator", where, "--token-file", str(token))
        assert code == 1
        assert "refused the token (401)" in error
        assert f"register --config {config}" in out
        assert (tmp_path / "keys" / "gateway.crt").exists()


def refused(*options: str | Path) -> tuple[int, str]:
    """Exit code and what stands on either stream; in this process, for nothing comes of it."""
    done = CliRunner().invoke(main, ["init", *map(str, options)])
    return done.exit_code, done.output


def test_without_a_terminal_every_answer_is_an_option(tmp_path: Path) -> None:
    code, said = refused("--config", tmp_path / "config.yml", "--region", "EU868")
    assert code == 2
    assert "no terminal to ask at; give --id, --place, --coordinator, --radios" in said
    assert not (tmp_path / "config.yml").exists()


@pytest.mark.parametrize(
    ("option", "value", "code", "words"),
    [
        ("--id", "Hill!", 2, "1 to 20 of the characters"),
        ("--place", "91,0,Pole", 2, "degrees from -90 to 90"),
        ("--place", "here", 2, "such as 48.2082"),
        ("--place", "gps,Hill", 2, "no GPS receiver is found"),
        ("--coordinator", "c.example", 2, "https://HOST"),
        ("--coordinator", "http://c.example", 1, "can be read and changed on the way"),
        ("--radios", "gsm", 2, "no 'gsm' here"),
    ],
)
def test_an_answer_that_cannot_be_is_refused_and_nothing_is_written(
    tmp_path: Path, option: str, value: str, code: int, words: str
) -> None:
    config = tmp_path / "config.yml"
    seen, said = refused("--config", config, *OPTIONS, "--coordinator", "https://c.example", option, value)
    assert (seen, words in said) == (code, True), said
    assert list(tmp_path.iterdir()) == []


def test_at_a_terminal_five_things_are_asked_and_a_wrong_one_again(tmp_path: Path) -> None:
    config = tmp_path / "config.yml"
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gateway", "init", "--config", str(config)],
        cwd=REPOSITORY,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    asked = b""
    for prompt, answer in (
        (b"none): ", b"nowhere\n"),
        (b"none): ", b"868\n"),
        (b"]: ", b"gw_1\n"),
        (b"NAME: ", b"1,2,Here\n"),
        (b"): ", b"https://c.example\n"),
        (b"[all]: ", b"\n"),
    ):
        seen = b""
        while not seen.endswith(prompt):
            seen += os.read(ours, 1)
        asked += seen
        os.write(ours, answer)
    out = process.communicate()[0].decode()
    os.close(ours)
    assert process.returncode == 0
    assert b"one of EU868, US915, 868, 915, none" in asked
    assert "the gateway listens and NEVER TRANSMITS until it is" in out
    judged = load(config, clock=SystemClock())
    assert judged.lora is not None and judged.lora.region is None
    assert judged.network.ws_url == "wss://c.example"


def test_radios_are_found_by_names_that_stay(tmp_path: Path) -> None:
    host = Host(root=tmp_path, account=Account("me", 0, frozenset()))
    assert look_around(host).radios == {"lora": ""}
    for name in (
        "dev/spidev0.0",
        "dev/ttyAMA0",
        "dev/serial/by-id/usb-Quectel_EC25-if02-port0",
        "dev/serial/by-id/usb-ZEPHYR_Zephyr_HCI_UART_sample-if00",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    pytest.importorskip("bumble")
    assert look_around(host).radios == {
        "lora": "/dev/spidev0.0",
        "ble": "serial:/dev/serial/by-id/usb-ZEPHYR_Zephyr_HCI_UART_sample-if00,1000000,rtscts",
        "gsm": "/dev/serial/by-id/usb-Quectel_EC25-if02-port0",
        "gps": "/dev/ttyAMA0",
    }
    (tmp_path / "dev/offgrid").mkdir()
    (tmp_path / "dev/offgrid/modem").touch()
    assert look_around(host).modem == "/dev/offgrid/modem"


def test_the_place_is_the_receivers_own_where_gps_is_answered() -> None:
    with GpsReceiver(
        lambda: time.monotonic_ns() // 1000, unix_at_zero_s=1_795_000_000, tick_s=0.02
    ) as receiver:
        receiver.sky.latitude_deg, receiver.sky.longitude_deg = 48.20816, 16.37382
        latitude, longitude, name = READERS["place"]("gps, Market", Found(gps=str(receiver.path)))
    assert (latitude, longitude) == (pytest.approx(48.20816, abs=1e-4), pytest.approx(16.37382, abs=1e-4))
    assert name == "Market"


@pytest.mark.parametrize("folder", [Path("/etc/offgrid"), Path("/srv/gw")])
@pytest.mark.parametrize("gateway_id", ["gw_1", "on", "12", "1e5"])
def test_what_is_written_is_sound_with_every_radio(tmp_path: Path, folder: Path, gateway_id: str) -> None:
    answers = Answers(
        gateway_id=gateway_id,
        latitude_deg=-1.5,
        longitude_deg=170.0,
        place='Ängel "East": #1',
        api_url="https://c.example",
        ws_url="wss://c.example",
        frequency=915,
        region="US915",
        radios={
            "lora": "/dev/spidev0.0",
            "ble": "usb:1-1.2",
            "gsm": "/dev/offgrid/modem",
            "gps": "/dev/ttyAMA0",
        },
    )
    path = tmp_path / "config.yml"
    path.write_text(text := explained(answers, folder))
    judged = load(path, clock=SystemClock())
    assert (judged.gateway.id, judged.gateway.location.name) == (gateway_id, 'Ängel "East": #1')
    assert judged.lora is not None and judged.lora.driver == "lora_sx1301"
    assert (judged.storage.path == Path("/var/lib/offgrid/gateway.db")) == (folder == Path("/etc/offgrid"))
    assert max(map(len, text.splitlines())) < 110
