"""The block list in the daemon: over HTTP and LoRa, before any verification, and changed while it runs."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from daemon_rig import Daemon, house

from simulators.lora.device import LoraDevice
from simulators.lora.ether import Ether
from simulators.lora.forwarder import SimForwarder
from simulators.lora.plans import US915
from simulators.textbook.cbor import decode
from simulators.wallets.uploads import snapshot_cbor, snapshot_json
from simulators.wallets.wallet import HandOver, Wallet

LORA = {"frequency": 915, "region": "US915", "options": {"host": "127.0.0.1", "port": 0}}
NACK, PROMISE, BLOCKED = 17, 16, 8


def grown(wallet: Wallet) -> HandOver:
    """The wallet's ledger with one more payment."""
    now_ms = time.time_ns() // 1_000_000
    wallet.pay("00112233aabbccdd", 1.5, now_ms)
    return wallet.hand_over(now_ms)


@dataclass
class OneUpload:
    """A wallet behind a LoRa device that hands over once and keeps the first answer."""

    message: bytes | None
    answer: list[object] = field(default_factory=list)

    def next_message(self) -> bytes | None:
        message, self.message = self.message, None
        return message

    def on_answer(self, answer: bytes) -> bool:
        fields = decode(answer)
        assert isinstance(fields, list)
        self.answer = fields
        return True


class Air:
    """Radio contact with the daemon."""

    def __init__(self, ether: Ether) -> None:
        self._ether = ether

    async def answer_to(self, over: HandOver) -> list[object]:
        wallet = OneUpload(snapshot_cbor(over))
        await LoraDevice(wallet, self._ether, Random(3), pause_scale=0.01).run()
        return wallet.answer


@asynccontextmanager
async def air(daemon: Daemon) -> AsyncIterator[Air]:
    listening = await daemon.said("listening for packet forwarders")
    address = "127.0.0.1", int(listening["address"].rpartition(":")[2])
    ether = Ether(US915, Random(1), airtime_scale=0.01)
    async with SimForwarder(bytes.fromhex("b827ebfffe000001"), address, ether, Random(2)) as forwarder:
        await forwarder.pulled.wait()
        yield Air(ether)


async def over_http(daemon: Daemon, over: HandOver) -> tuple[int, str]:
    answer = await daemon.post(snapshot_json(over).encode())
    return answer.status, answer.json.get("code", answer.json["status"])


async def test_blocked_devices_are_refused_on_every_radio_and_a_reload_changes_who_they_are(
    tmp_path: Path,
) -> None:
    alice, bob = Wallet(b"a" * 32), Wallet(b"b" * 32)
    async with house(tmp_path) as here:
        by_id = {"blocked_devices": [alice.device_id]}
        async with here.daemon(lora=LORA, limits=by_id) as daemon, air(daemon) as radio:
            assert await over_http(daemon, grown(alice)) == (403, "blocked")
            assert (await radio.answer_to(grown(alice)))[:2] == [NACK, BLOCKED]
            forged = snapshot_json(grown(alice)).replace('"timestamp":1', '"timestamp":2').encode()
            assert (await daemon.post(forged)).json["code"] == "blocked"  # nothing of it is verified
            assert await over_http(daemon, grown(bob)) == (200, "accepted")
            promised = grown(bob)
            assert (await radio.answer_to(promised))[0] == PROMISE

            here.configure(limits={"blocked_devices": [bob.key.hex().upper()]})
            daemon.process.send_signal(signal.SIGHUP)
            assert (await daemon.said("configuration read again"))["taken"] == "limits.blocked_devices"
            assert await over_http(daemon, grown(alice)) == (200, "accepted")
            assert (await radio.answer_to(grown(alice)))[0] == PROMISE
            assert await over_http(daemon, grown(bob)) == (403, "blocked")
            assert (await radio.answer_to(grown(bob)))[:2] == [NACK, BLOCKED]
            receipt = await daemon.get(f"/v1/receipts/{promised.content.hex()}")
            assert receipt.status == 200  # what was promised stays so

            figures = await daemon.figures(gateway_log_size=4)
            assert figures['gateway_uploads_total{outcome="blocked",radio="http"}'] == 3
            assert figures['gateway_uploads_total{outcome="blocked",radio="lora"}'] >= 2
