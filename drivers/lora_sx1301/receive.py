"""What the SX1301's receive FIFO holds, and what it means; no I/O.

FIFO head, five bytes at register 11::

    count | start address, 2, LE | status | payload size

Data at that address, payload then 16 bytes::

    0 IF chain | 1 SF << 4, CR << 1, CRC present | 2 SNR mean | 3 SNR min | 4 SNR max (int8, dB/4)
    5 RSSI | 6-9 counter at reception, LE | 10-11 payload CRC, LE | 12-15 unused

The counter is stamped when the demodulator is done; :func:`demodulation_us` later than the frame's end.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.start import long_symbols
from drivers.lora_sx1301.steps import Steps

FIFO_DEPTH = 16
METADATA_SIZE = 16
STANDARD_CHAIN, FSK_CHAIN = 8, 9
WRAP = 1 << 32


class Crc(enum.Enum):
    """What the demodulator says of the payload."""

    OK = 5
    BAD = 7
    MISSING = 1
    UNKNOWN = 0


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet as the FIFO held it; raw values, nothing corrected."""

    payload: bytes
    crc: Crc
    if_chain: int
    spreading_factor: int  # 0 on the FSK chain
    coding_rate: str  # "" on the FSK chain
    snr_db: float
    snr_min_db: float
    snr_max_db: float
    raw_rssi: int
    raw_counter: int
    payload_crc: int


@dataclass(frozen=True, slots=True)
class Reception:
    """A packet with the board's corrections: when its last symbol ended, how strong, where."""

    packet: Packet
    counter_us: int  # 32 bits
    rssi_dbm: float
    frequency_hz: int
    bandwidth_hz: int


class FifoGarbled(Exception):
    """The FIFO head cannot be: SPI noise or a chip that lost itself. ``before``: packets read until then."""

    def __init__(self, message: str, before: list[Packet]) -> None:
        super().__init__(message)
        self.before = before


def receive(registers: Registers, limit: int = FIFO_DEPTH) -> Steps[list[Packet]]:
    """Empty the FIFO, at most ``limit`` packets: one transfer when it is empty, three a packet.

    Raises :class:`FifoGarbled`, which holds the packets read before it.
    """
    packets: list[Packet] = []
    while len(packets) < limit:
        count, _low, _high, status, size = yield from registers.read_burst(reg.RX_PACKET_FIFO, 5)
        if count == 0:
            break
        if count > FIFO_DEPTH:
            raise FifoGarbled(
                f"the receive FIFO says it holds {count} packets, at most {FIFO_DEPTH} fit", packets
            )
        data = yield from registers.read_burst(reg.RX_DATA_BUF, size + METADATA_SIZE)
        yield from registers.write(reg.RX_PACKET_FIFO, 0)
        packets.append(parse_packet(status, data))
    return packets


def parse_packet(status: int, data: bytes) -> Packet:
    """Payload and metadata as read from the data buffer."""
    payload, meta = data[:-METADATA_SIZE], data[-METADATA_SIZE:]
    fsk = meta[0] == FSK_CHAIN
    code = meta[1] >> 1 & 0x07
    return Packet(
        payload=payload,
        crc=next((crc for crc in Crc if crc.value == status & 0x07), Crc.UNKNOWN),
        if_chain=meta[0],
        spreading_factor=0 if fsk else meta[1] >> 4,
        coding_rate="" if fsk or not 1 <= code <= 4 else f"4/{4 + code}",
        snr_db=_signed(meta[2]) / 4,
        snr_min_db=_signed(meta[3]) / 4,
        snr_max_db=_signed(meta[4]) / 4,
        raw_rssi=meta[5],
        raw_counter=int.from_bytes(meta[6:10], "little"),
        payload_crc=int.from_bytes(meta[10:12], "little"),
    )


def _signed(byte: int) -> int:
    return byte - 256 if byte > 127 else byte


def correct(packet: Packet, board: Board) -> Reception | None:
    """Apply the board's corrections; None when the packet names a chain or rate that is not set up."""
    channel = board.channel(packet.if_chain)
    if channel is None:
        return None
    fsk = packet.if_chain == FSK_CHAIN
    if not fsk and not (7 <= packet.spreading_factor <= 12 and packet.coding_rate):
        return None
    bandwidth_hz = int(getattr(channel, "bandwidth_hz", 125_000))
    late_us = fsk_demodulation_us(board) if fsk else demodulation_us(packet, bandwidth_hz)
    return Reception(
        packet=packet,
        counter_us=(packet.raw_counter - late_us) % WRAP,
        rssi_dbm=rssi_dbm(packet.if_chain, packet.raw_rssi, board.rssi_offset_db),
        frequency_hz=board.frequency_hz(packet.if_chain),
        bandwidth_hz=bandwidth_hz,
    )


def rssi_dbm(if_chain: int, raw: int, offset_db: float) -> float:
    """Signal strength; the multi-SF chains sit 35 dB above, the FSK chain follows a parabola."""
    level = raw + offset_db
    if if_chain == FSK_CHAIN:
        return 60 + 1.5351 * level + 0.003 * level**2
    return level if if_chain == STANDARD_CHAIN else level + 35


def demodulation_us(packet: Packet, bandwidth_hz: int) -> int:
    """How long after the frame's end the LoRa demodulator stamps it (integer arithmetic of the reference)."""
    sf = packet.spreading_factor
    code = int(packet.coding_rate[-1]) - 4
    slow = int(long_symbols(sf, bandwidth_hz))
    widths = bandwidth_hz // 125_000
    base = 114 if packet.if_chain < STANDARD_CHAIN else 64 // widths
    size = len(packet.payload) + (2 if packet.crc in (Crc.OK, Crc.BAD) else 0)
    symbol = 1 << (sf - 4)
    if 2 * size - (sf - 7) <= 0:  # the whole payload stands in the header's block
        delay_us = ((1 << (sf - 1)) * (sf + 1) + 3 * symbol) // widths
        decode_us = 32 * (2 * size + 5) // widths
        return base + delay_us + decode_us
    delay_us = ((1 << (sf - 1)) * (sf + 1) + (4 - slow) * symbol) // widths
    nibbles = (2 * size - sf + 6) % (sf - 2 * slow) + 1
    decode_us = (16 + 4 * code) * nibbles // widths
    return base + delay_us + decode_us


def fsk_demodulation_us(board: Board) -> int:
    """How long after the frame's end the FSK demodulator stamps it."""
    return 0 if board.fsk is None else 680_000 // board.fsk.bit_rate - 20
