"""A central of another stack, noble from npm over an HCI UART, against the Bluetooth driver."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest
from ble_rig import Rig, receipt
from npm_modules import node_modules

from simulators.phones.controller import VirtualController
from simulators.phones.port import PtyPort

HERE = Path(__file__).parent / "noble"


@pytest.fixture(scope="module")
def modules() -> Path:
    return node_modules(HERE)


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
