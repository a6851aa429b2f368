"""The transmit side: buffer, the one pending emission, and what becomes of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from simulators.concentrator.air import Emission, lora_us

NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class Header:
    """The 16 bytes before a payload, decoded."""

    frequency_hz: int
    trigger: int
    radio: int
    fsk: bool
    gain_index: int
    spreading_factor: int
    coding_rate: int
    crc: bool
    size: int
    bandwidth_hz: int
    inverted_iq: bool
    preamble: int
    bit_rate: int

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        """Filter bits stand where the top of the frequency word would; both bands have 0b11 there."""
        word = int.from_bytes(bytes((raw[0] | 0xC0,)) + raw[1:3], "big")
        fsk = bool(raw[7] >> 4 & 1)
        return cls(
            frequency_hz=round(word * 32e6 / (1 << 19)),
            trigger=int.from_bytes(raw[3:7], "big"),
            radio=raw[7] >> 5,
            fsk=fsk,
            gain_index=raw[7] & 0x0F,
            spreading_factor=0 if fsk else raw[9] & 0x0F,
            coding_rate=0 if fsk else 4 + (raw[9] >> 4 & 0x07),
            crc=bool(raw[11] >> 1 & 1) if fsk else bool(raw[9] >> 7),
            size=raw[10],
            bandwidth_hz=0 if fsk else 125_000 << (raw[11] & 0x03),
            inverted_iq=not fsk and bool(raw[11] >> 4 & 1),
            preamble=int.from_bytes(raw[12:14], "big"),
            bit_rate=32_000_000 // max(1, int.from_bytes(raw[14:16], "big")) if fsk else 0,
        )

    @property
    def airtime_us(self) -> int:
        """Time on air."""
        if self.fsk:
            octets = self.preamble + 4 + self.size + 2 * self.crc
            return octets * 8_000_000 // self.bit_rate
        size = self.size + 2 * self.crc
        return lora_us(size, self.spreading_factor, self.bandwidth_hz, self.coding_rate, self.preamble)


class Transmitter:
    """Buffer port and the one emission that can be pending or on the air."""

    def __init__(self) -> None:
        self.buffer = bytearray(512)
        self.pointer = 0
        self.current: Emission | None = None

    def write(self, byte: int) -> None:
        """A byte through the port; the pointer advances."""
        self.buffer[self.pointer % len(self.buffer)] = byte
        self.pointer += 1

    def read(self) -> int:
        """A byte back through the port; the pointer advances."""
        byte = self.buffer[self.pointer % len(self.buffer)]
        self.pointer += 1
        return byte

    @property
    def header(self) -> Header:
        """The header in the buffer."""
        return Header.decode(bytes(self.buffer[:16]))

    def arm(self, start_us: int, counter_us: int, power_code: int) -> None:
        """Take what is in the buffer as the pending emission; another one pending is forgotten."""
        header = self.header
        first = 17 if header.fsk else 16
        self.current = Emission(
            start_us=start_us,
            end_us=start_us + header.airtime_us,
            counter_us=counter_us,
            frequency_hz=header.frequency_hz,
            power_code=power_code,
            payload=bytes(self.buffer[first : first + header.size]),
            spreading_factor=header.spreading_factor,
            bandwidth_hz=header.bandwidth_hz,
            coding_rate=header.coding_rate,
            crc=header.crc,
            inverted_iq=header.inverted_iq,
        )

    def cut(self, now_us: int) -> Emission | None:
        """Abort: forget the pending one; what was on the air ends now and is returned."""
        current, self.current = self.current, None
        if current is None or now_us < current.start_us:
            return None
        return replace(current, end_us=now_us)

    def status(self, now_us: int) -> int:
        """Register TX_STATUS."""
        if self.current is None:
            return 0x80
        return 0xF0 if now_us >= self.current.start_us else 0x90
