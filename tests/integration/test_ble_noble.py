"""A central of another stack, noble from npm over an HCI UART, against the Bluetooth driver."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from ble_rig import Rig, receipt

from simulators.phones.controller import VirtualController
from simulators.phones.port import PtyPort

HERE = Path(__file__).parent / "noble"
TOOLS = HERE.parents[2] / ".tools" / "noble"
FETCH_TIMEOUT_S = 100


@pytest.fixture(scope="module")
def modules() -> Path:
    """Where node finds noble; fetched once by the lock file's hashes, where there is npm."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("node and npm are not installed")
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    folder = TOOLS / lock[:16]
    if not folder.exists():
        TOOLS.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=TOOLS) as half_done:
            fetch(Path(half_done))
            Path(half_done, "whole").rename(folder)
    return folder / "node_modules"


def fetch(folder: Path) -> None:
    """Into ``whole`` below. Without scripts: they compile what the packages bring compiled already, and want
    node's headers from the network for it."""
    whole = folder / "whole"
    whole.mkdir()
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, whole)
    quiet = ("--no-audit", "--no-fund", "--no-update-notifier", f"--cache={folder / 'cache'}")
    try:
        subprocess.run(
            ("npm", "ci", "--ignore-scripts", *quiet),
            cwd=whole,
            check=True,
            capture_output=True,
            text=True,
            timeout=FETCH_TIMEOUT_S,
        )
    except subprocess.SubprocessError as error:
        message = f"npm cannot fetch noble here: {error}\n{getattr(error, 'stderr', '')}"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)


async def test_noble_finds_the_service_and_uses_both_kinds_of_write(modules: Path) -> None:
    rig = Rig()
    async with rig.running():
        central = VirtualController(rig.air, "noble", public_address="C0:FF:EE:00:00:02/P")
        async with PtyPort(central) as port:
            process = await asyncio.create_subprocess_exec(
                "node",
                str(HERE / "central.js"),
                port.path,
                "OFFGRID_hill-1",
                env={**os.environ, "NODE_PATH": str(modules)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            try:
                out, err = await asyncio.wait_for(process.communicate(), 60)
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()
    assert process.returncode == 0, err.decode()
    seen = json.loads(out.splitlines()[-1])
    messages = [bytes([xid]) * size for xid, size in enumerate((100, 5_000, 100, 5_000), 1)]
    assert [frame.payload for frame in rig.heard] == messages
    assert seen["answers"] == [receipt(message).hex() for message in messages]
    assert seen["advertised"] == ["fff0"]
    assert seen["services"] == 1
    assert (seen["id"], seen["time"]) == ("hill-1", 9)
