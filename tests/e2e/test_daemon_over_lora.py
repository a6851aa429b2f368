"""The whole daemon on LoRa: wallets behind a simulated packet forwarder, through the real driver and link."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from daemon_rig import REPOSITORY, house, origin_of


async def test_ledgers_handed_over_by_lora_are_promised_cosigned_and_metered(tmp_path: Path) -> None:
    lora = {"frequency": 868, "region": "EU868", "options": {"host": "127.0.0.1", "port": 0}}
    gateway = {"type": "lora"}
    async with house(tmp_path) as here, here.daemon(lora=lora, gateway=gateway) as daemon:
        listening = await daemon.said("listening for packet forwarders", radio="lora")
        port = listening["address"].rsplit(":", 1)[1]
        wallets = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "simulators", "lora", "--port", port),
            *("--wallets", "2", "--payments", "4", "--every", "2"),
            cwd=REPOSITORY,
            stdout=asyncio.subprocess.PIPE,
        )
        told = json.loads((await wallets.communicate())[0])
        assert wallets.returncode == 0, told
        size = (await daemon.status())["store"]["size"]
        assert size > 0
        await here.coordinator.until(lambda counts: origin_of(counts)["size"] == size)
        figures = await daemon.figures(gateway_backlog_entries=0)
        heard = figures['gateway_radio_frames_total{outcome="ok",radio="lora"}']
        assert figures['gateway_radio_rssi_dbm_count{radio="lora"}'] == heard > 0
        assert figures['gateway_radio_airtime_seconds_total{direction="heard",radio="lora"}'] > 0
        assert figures['gateway_radio_airtime_seconds_total{direction="sent",radio="lora"}'] > 0
        left = [
            value for name, value in figures.items() if name.startswith("gateway_radio_duty_left_seconds")
        ]
        assert left and all(0 < seconds <= 360 for seconds in left)
        accepted = await here.coordinator.accepted()
        taken = figures['gateway_uploads_total{outcome="accepted",radio="lora"}']
        assert taken == len(accepted["snapshots"]) > 0
        radios = {heard["radio"] for one in accepted["snapshots"].values() for heard in one["heard"]}
        assert radios == {"lora"}
