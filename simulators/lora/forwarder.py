"""A packet forwarder that speaks the Semtech UDP protocol v2 to the daemon, as ``lora_pkt_fwd`` does.

Its counter is the host's clock in microseconds, so lateness is real: a downlink asked for too late is refused
as the real one refuses it. With ``compressed`` a downlink that was accepted reaches the devices at once, not
at its instant (the ether judges it by its timestamp): an answer for RX1 then takes no second of real time.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Any, Self

from simulators.lora.ether import Ether, Transmission

PUSH_DATA, PUSH_ACK, PULL_DATA, PULL_RESP, PULL_ACK, TX_ACK = range(6)
WRAP = 1 << 32
LEAD_US = 32_500  # lora_pkt_fwd's jit queue: 1.5 ms start delay, 1 ms margin, 30 ms of its thread
HORIZON_US = 512_000_000

Judge = Callable[[Mapping[str, Any]], str | None]


@dataclass(slots=True)
class UdpFaults:
    """What the network does to the forwarder's datagrams; shares of them, 0 to 1."""

    lose: float = 0.0
    double: float = 0.0
    delay: float = 0.0  # these overtake nobody: they come 50 ms later


class SimForwarder:
    """One forwarder behind one concentrator. ``judge`` may answer a txpk with an error word of its own.

    ``counts`` tells what was sent and heard: ``pushed``, ``push_acked``, ``pulls``, ``pull_acked``,
    ``emitted`` and one ``tx_<error>`` for each refused downlink.
    """

    def __init__(
        self,
        eui: bytes,
        server: tuple[str, int],
        ether: Ether,
        random: Random,
        *,
        keepalive_s: float = 5.0,
        compressed: bool = True,
        snr_db: float = 9.0,
        counter_start_us: int = 0,
        acknowledges: bool = True,
        judge: Judge | None = None,
        faults: UdpFaults | None = None,
    ) -> None:
        self.name = eui.hex()
        self.counts: Counter[str] = Counter()
        self.pulled = asyncio.Event()  # a PULL_ACK came: the way down is open
        self._eui = eui
        self._server = server
        self._ether = ether
        self._random = random
        self._keepalive_s = keepalive_s
        self._compressed = compressed
        self._snr_db = snr_db
        self._zero_us = time.monotonic_ns() // 1000 - counter_start_us
        self._acknowledges = acknowledges
        self._judge = judge
        self._faults = faults or UdpFaults()
        self._programmed: list[tuple[int, int]] = []  # (start, end) in unwrapped microseconds
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _Socket(self._received), remote_addr=self._server
        )
        self._ether.ears.append(self)
        self._start(self._keep_alive())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ether.ears.remove(self)
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._transport is not None:
            self._transport.close()

    def counter_us(self) -> int:
        """The concentrator's counter, not wrapped."""
        return time.monotonic_ns() // 1000 - self._zero_us

    def hear(self, uplink: Transmission) -> int:
        """A frame ended at the antenna: forward it; the counter's 32 bits at that moment."""
        stamp = self.counter_us() % WRAP
        self.push({"rxpk": [self.rxpk(uplink, stamp)]})
        return stamp

    def rxpk(self, uplink: Transmission, stamp: int, *, crc: int = 1) -> dict[str, Any]:
        frequency, spreading_factor, bandwidth = uplink.tuning
        channels = self._ether.plan.channels_hz
        return {
            "tmst": stamp,
            "chan": channels.index(frequency) if frequency in channels else 8,
            "rfch": 1,
            "freq": frequency / 1e6,
            "stat": crc,
            "modu": "LORA",
            "datr": f"SF{spreading_factor}BW{bandwidth // 1000}",
            "codr": "4/5",
            "rssi": -71,
            "lsnr": self._snr_db,
            "size": len(uplink.payload),
            "data": base64.b64encode(uplink.payload).decode(),
        }

    def push(self, body: Mapping[str, Any]) -> None:
        """A PUSH_DATA with this JSON, through the network's faults."""
        self.counts["pushed"] += 1
        if self._random.random() < self._faults.lose:
            self.counts["push_lost"] += 1
            return
        datagram = self._datagram(PUSH_DATA, self._random.randbytes(2)) + json.dumps(body).encode()
        copies = 2 if self._random.random() < self._faults.double else 1
        late = self._random.random() < self._faults.delay
        for _ in range(copies):
            if late:
                asyncio.get_running_loop().call_later(0.05, self.send_raw, datagram)
            else:
                self.send_raw(datagram)

    def send_raw(self, datagram: bytes) -> None:
        """Any bytes, from this forwarder's socket."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(datagram)

    async def _keep_alive(self) -> None:
        while True:
            self.counts["pulls"] += 1
            self.send_raw(self._datagram(PULL_DATA, self._random.randbytes(2)))
            await asyncio.sleep(self._keepalive_s)

    def _received(self, datagram: bytes) -> None:
        kind = datagram[3]
        if kind == PUSH_ACK:
            self.counts["push_acked"] += 1
        elif kind == PULL_ACK:
            self.counts["pull_acked"] += 1
            self.pulled.set()
        elif kind == PULL_RESP:
            self._asked_to_send(datagram[1:3], json.loads(datagram[4:])["txpk"])

    def _asked_to_send(self, token: bytes, txpk: Mapping[str, Any]) -> None:
        sent = _transmission(txpk)
        start = self._instant(txpk)
        error = (self._judge(txpk) if self._judge is not None else None) or self._schedule(start, sent)
        if self._acknowledges:
            body = json.dumps({"txpk_ack": {"error": error}}).encode()
            self.send_raw(self._datagram(TX_ACK, token) + body)
        if error != "NONE":
            self.counts[f"tx_{error}"] += 1
            return
        self._start(self._emit(sent, start))

    def _instant(self, txpk: Mapping[str, Any]) -> int:
        """When to send, unwrapped; as the real one does it, by the shortest way round from now."""
        now = self.counter_us()
        if txpk.get("imme"):
            return now + LEAD_US
        ahead = (int(txpk["tmst"]) - now) % WRAP
        return now + (ahead if ahead < WRAP // 2 else ahead - WRAP)

    def _schedule(self, start: int, sent: Transmission) -> str:
        now, end = self.counter_us(), start + sent.airtime_us
        self._programmed = [(begin, over) for begin, over in self._programmed if over > now]
        if start - now < LEAD_US - 1000:
            return "TOO_LATE"
        if start - now > HORIZON_US:
            return "TOO_EARLY"
        if self._ether.plan.band(sent.tuning[0]) is None:
            return "TX_FREQ"
        if any(start < over and begin < end for begin, over in self._programmed):
            return "COLLISION_PACKET"
        self._programmed.append((start, end))
        return "NONE"

    async def _emit(self, sent: Transmission, start: int) -> None:
        if not self._compressed:
            await asyncio.sleep((start + sent.airtime_us - self.counter_us()) / 1e6)
        self.counts["emitted"] += 1
        stamped = Transmission(sent.payload, sent.tuning, sent.inverted_iq, start % WRAP, sent.crc)
        self._ether.downlink(self.name, stamped)

    def _start(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _datagram(self, kind: int, token: bytes) -> bytes:
        return bytes([2]) + token + bytes([kind]) + self._eui


class _Socket(asyncio.DatagramProtocol):
    def __init__(self, received: Callable[[bytes], None]) -> None:
        self._received = received

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        self._received(data)

    def error_received(self, exc: Exception) -> None:
        """The daemon is not there (yet): UDP forgets, and the next PULL_DATA tries again."""


def _transmission(txpk: Mapping[str, Any]) -> Transmission:
    spreading_factor, bandwidth = txpk["datr"].removeprefix("SF").split("BW")
    payload = base64.b64decode(txpk["data"])
    if len(payload) != txpk["size"]:
        raise ValueError("size is not the length of data")
    tuning = (round(txpk["freq"] * 1e6), int(spreading_factor), int(bandwidth) * 1000)
    return Transmission(payload, tuning, bool(txpk["ipol"]), crc=not txpk.get("ncrc", False))
