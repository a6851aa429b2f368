"""The receive side: which chain hears a frame, the packet FIFO and its 1,024-byte buffer."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from simulators.concentrator.air import Uplink

FIFO_DEPTH, BUFFER_SIZE, METADATA_SIZE = 16, 1024, 16
STATUS = {"ok": 5, "bad": 7, "missing": 1}


@dataclass(frozen=True, slots=True)
class Chain:
    """One IF chain as the registers set it up now. ``factors``: spreading factors, or 0 for FSK."""

    number: int
    frequency_hz: float
    bandwidth_hz: int
    factors: frozenset[int]

    def hears(self, uplink: Uplink) -> bool:
        """Right rate, right width, and less than a quarter of the width off."""
        if uplink.spreading_factor not in self.factors:
            return False
        width = self.bandwidth_hz
        same_width = uplink.spreading_factor == 0 or uplink.bandwidth_hz == width
        return same_width and abs(self.frequency_hz - uplink.frequency_hz) <= width / 4


@dataclass(frozen=True, slots=True)
class Packet:
    """A packet in the buffer."""

    start: int
    status: int
    size: int
    data: bytes


class Fifo:
    """At most 16 packets, at most 1,024 bytes with their metadata."""

    def __init__(self) -> None:
        self._packets: deque[Packet] = deque()
        self._write_at = 0
        self._read_at = 0

    def __len__(self) -> int:
        return len(self._packets)

    def push(self, uplink: Uplink, chain: int, stamp: int) -> str | None:
        """Store a demodulated frame; why not, if not."""
        data = uplink.payload + metadata(uplink, chain, stamp)
        if len(self._packets) >= FIFO_DEPTH:
            return "fifo full"
        if sum(len(packet.data) for packet in self._packets) + len(data) > BUFFER_SIZE:
            return "buffer full"
        self._packets.append(Packet(self._write_at, STATUS[uplink.crc], len(uplink.payload), data))
        self._write_at = (self._write_at + len(data)) % BUFFER_SIZE
        if len(self._packets) == 1:
            self._read_at = 0
        return None

    def head(self) -> bytes:
        """The five bytes at register 11."""
        if not self._packets:
            return bytes(5)
        packet = self._packets[0]
        return bytes((len(self._packets), packet.start & 0xFF, packet.start >> 8, packet.status, packet.size))

    def read(self) -> int:
        """The next byte of the data port."""
        data = self._packets[0].data if self._packets else b""
        byte = data[self._read_at] if self._read_at < len(data) else 0
        self._read_at += 1
        return byte

    def pop(self) -> bool:
        """Drop the head; False when there is none."""
        self._read_at = 0
        if not self._packets:
            return False
        self._packets.popleft()
        return True


def metadata(uplink: Uplink, chain: int, stamp: int) -> bytes:
    """The 16 bytes behind a payload."""
    snr = round(uplink.snr_db * 4)
    rate = uplink.spreading_factor << 4 | (uplink.coding_rate - 4) << 1 | (uplink.crc != "missing")
    if uplink.spreading_factor == 0:
        rate = 0
    body = bytes((chain, rate, snr & 0xFF, (snr - 2) & 0xFF, (snr + 2) & 0xFF, raw_rssi(uplink, chain)))
    return body + stamp.to_bytes(4, "little") + crc16(uplink.payload).to_bytes(2, "little") + bytes(4)


def raw_rssi(uplink: Uplink, chain: int) -> int:
    """The RSSI byte that this strength makes on this chain (RAK2245: 166 dB offset)."""
    if chain == 9:
        candidates = range(256)
        return min(candidates, key=lambda raw: abs(_fsk_dbm(raw) - uplink.rssi_dbm))
    return max(0, min(255, round(uplink.rssi_dbm) + 166 - (35 if chain < 8 else 0)))


def _fsk_dbm(raw: int) -> float:
    level = raw - 166
    return 60 + 1.5351 * level + 0.003 * level * level


def crc16(payload: bytes) -> int:
    """CRC-16/CCITT, initial value 0."""
    crc = 0
    for byte in payload:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
    return crc
