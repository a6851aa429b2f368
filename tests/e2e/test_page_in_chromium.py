"""The page in a real browser, as wide as a phone and as a screen: live, accessible, all of it from here."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from pathlib import Path
from random import Random
from typing import Any

import pytest
from daemon_rig import house
from npm_modules import node_modules
from vector_wallet import CASES, VectorWallet

from simulators.lora.device import LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import US915

HERE = Path(__file__).parent / "page"
LORA = {"frequency": 915, "region": "US915", "options": {"host": "127.0.0.1", "port": 0}}
TIMEOUT_S = 100
FORWARDER = bytes.fromhex("b827ebfffe000001")


@pytest.fixture(scope="module")
def modules() -> Path:
    if shutil.which("chromium") is None:
        message = "chromium is not on PATH (Debian package chromium); as root ./scripts/test.sh installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return node_modules(HERE)


async def look(modules: Path, address: str, token: str, folder: Path, meanwhile: Any) -> dict[str, Any]:
    """What look.cjs saw; ``meanwhile`` is awaited once it looks."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(HERE / "look.cjs"), address, token, str(folder)),
        env={**os.environ, "NODE_PATH": str(modules), "HOME": str(folder)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(TIMEOUT_S):
            first = await process.stdout.readline()
            if first == b"looking\n":
                await meanwhile
                process.stdin.write(b"go on\n")
                process.stdin.close()
            out, error = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, error.decode()
    seen: dict[str, Any] = json.loads(out)
    return seen


async def test_the_page_is_live_accessible_and_asks_nobody_else(modules: Path, tmp_path: Path) -> None:
    async with house(tmp_path) as here, here.daemon(lora=LORA) as daemon:
        address = await daemon.address("http")
        port = int((await daemon.said("listening for packet forwarders"))["address"].rpartition(":")[2])
        code, token, error = await here.command(
            "token", "add", "office", "--scope", "sync", "--scope", "restart"
        )
        assert code == 0, error
        ether = Ether(US915, Random(1), airtime_scale=0.01)
        async with SimForwarder(FORWARDER, ("127.0.0.1", port), ether, Random(2)) as forwarder:
            await forwarder.pulled.wait()
            wallet = VectorWallet(here.public_key, f"offgrid/{here.settings['gateway']['id']}/1", CASES[:1])
            device = LoraDevice(wallet, ether, Random(3), pause_scale=0.01)
            seen = await look(modules, address, token.strip(), tmp_path, device.run())
    assert seen["outside"] == []
    assert seen["console"] == []
    assert seen["overflow"] == {"phone": 0, "phone-dark": 0, "screen": 0}
    assert seen["violations"] == {"phone": [], "phone-dark": [], "screen": [], "acted": []}
    assert seen["words"] == {"phone": "État", "phone-dark": "Health", "screen": "Health"}
    assert seen["live"] == ["0", "1"]
    assert "lora" in seen["heard"]
    assert seen["buttonsBefore"] == 0, "who has no token sees no button"
    assert "not known here" in seen["refusal"]
    assert "no answer from the gateway" in seen["lost"]
