"""The SX1301's transmit buffer and trigger; no I/O.

Header of 16 bytes, big-endian, before the payload::

    0-2   frequency word; bits 7:6 of byte 0 choose the filter: b7 500 kHz LoRa, b6 125 kHz LoRa (notch)
    3-6   counter at the trigger (timestamped), else 0
    7     radio << 5 | FSK << 4 | gain table index          8   0
    9     LoRa: SF | CR << 4 | CRC << 7                     FSK: deviation in kHz
    10    payload size
    11    LoRa: BW | implicit << 2 | PPM << 3 | IQ << 4     FSK: 1 | CRC << 1 | 2 << 2
    12-13 preamble                                          14-15  FSK: 32 MHz / bit rate

An FSK payload is preceded by its length. The chip holds one pending transmission: another one replaces it.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass

from drivers.airtime import CODING_RATES, fsk_airtime_us, lora_airtime_us
from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import TxGain
from drivers.lora_sx1301.calibration import MIX_GAINS, Offsets
from drivers.lora_sx1301.radio import frequency_word
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.start import long_symbols
from drivers.lora_sx1301.steps import Steps

MAX_PAYLOAD = 255
BANDWIDTHS_HZ = (125_000, 250_000, 500_000)
PROGRAMMED, EMITTING = 0x10, 0x60  # bits of TX_STATUS


class Trigger(enum.Enum):
    """What starts the emission."""

    IMMEDIATE = "immediate"
    TIMESTAMP = "timestamp"
    GPS = "gps"


TRIGGER_FIELDS = {
    Trigger.IMMEDIATE: reg.TX_TRIG_IMMEDIATE,
    Trigger.TIMESTAMP: reg.TX_TRIG_TIMESTAMP,
    Trigger.GPS: reg.TX_TRIG_GPS,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoraModulation:
    """LoRa transmit parameters."""

    spreading_factor: int
    bandwidth_hz: int
    coding_rate: str
    crc: bool
    invert_iq: bool
    preamble: int = 8
    implicit_header: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FskModulation:
    """FSK transmit parameters."""

    bit_rate: int
    deviation_khz: int
    crc: bool = True
    preamble: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Emission:
    """One frame to send; ``counter_us`` (32 bits) is when its first symbol leaves, if timestamped."""

    frequency_hz: int
    gain_index: int
    modulation: LoraModulation | FskModulation
    payload: bytes
    trigger: Trigger = Trigger.TIMESTAMP
    counter_us: int | None = None
    radio: int = 0

    @property
    def airtime_us(self) -> int:
        """Time on air."""
        rate = self.modulation
        if isinstance(rate, FskModulation):
            return fsk_airtime_us(
                len(self.payload), bit_rate=rate.bit_rate, preamble=rate.preamble, crc=rate.crc
            )
        return lora_airtime_us(
            len(self.payload),
            spreading_factor=rate.spreading_factor,
            bandwidth_hz=rate.bandwidth_hz,
            coding_rate=rate.coding_rate,
            preamble=rate.preamble,
            crc=rate.crc,
            implicit_header=rate.implicit_header,
        )


def gain_index(gains: Sequence[TxGain], power_dbm: float) -> int:
    """The highest entry that does not exceed ``power_dbm``; the lowest when all do."""
    fitting = [index for index, gain in enumerate(gains) if gain.power_dbm <= power_dbm]
    return fitting[-1] if fitting else 0


def start_delay_us(modulation: LoraModulation | FskModulation) -> int:
    """From the trigger to the first symbol: the filters' delay differs with the notch filter of 125 kHz."""
    narrow = isinstance(modulation, LoraModulation) and modulation.bandwidth_hz == 125_000
    return 1495 if narrow else 1497


def send(registers: Registers, emission: Emission, gain: TxGain, offsets: Offsets) -> Steps[None]:
    """Program one emission and arm its trigger: 11 transfers, or 10 where the page is already right."""
    index = gain.mix - MIX_GAINS.start
    yield from registers.write(reg.TX_OFFSET_I, offsets.i[emission.radio][index])
    yield from registers.write(reg.TX_OFFSET_Q, offsets.q[emission.radio][index])
    yield from registers.write(reg.TX_GAIN, gain.digital)
    yield from registers.write(reg.TX_START_DELAY, start_delay_us(emission.modulation))
    yield from registers.write(reg.TX_TRIG_ALL, 0)
    yield from registers.write(reg.TX_DATA_BUF_ADDR, 0)
    yield from registers.write_burst(reg.TX_DATA_BUF, encode(emission))
    yield from registers.write(TRIGGER_FIELDS[emission.trigger], 1)


def abort(registers: Registers) -> Steps[None]:
    """Forget the pending emission; one on the air is cut off."""
    yield from registers.write(reg.TX_TRIG_ALL, 0)


def encode(emission: Emission) -> bytes:
    """Header and payload as the transmit buffer holds them. ValueError when they cannot be."""
    rate, payload = emission.modulation, emission.payload
    if not 0 < len(payload) <= MAX_PAYLOAD:
        raise ValueError(f"payload of {len(payload)} bytes, 1 to {MAX_PAYLOAD} fit")
    header = bytearray(16)
    header[0:3] = frequency_word(emission.frequency_hz).to_bytes(3, "big")
    if emission.trigger is Trigger.TIMESTAMP:
        if emission.counter_us is None:
            raise ValueError("a timestamped emission needs a counter value")
        header[3:7] = ((emission.counter_us - start_delay_us(rate)) % (1 << 32)).to_bytes(4, "big")
    header[7] = emission.radio << 5 | isinstance(rate, FskModulation) << 4 | emission.gain_index
    header[10] = len(payload)
    header[12:14] = rate.preamble.to_bytes(2, "big")
    if isinstance(rate, LoraModulation):
        _encode_lora(header, rate)
        return bytes(header) + payload
    _encode_fsk(header, rate)
    return bytes(header) + bytes((len(payload),)) + payload


def _encode_lora(header: bytearray, rate: LoraModulation) -> None:
    wide = {500_000: 0x80, 125_000: 0x40}.get(rate.bandwidth_hz, 0)
    header[0] = header[0] & 0x3F | wide
    header[9] = rate.spreading_factor | CODING_RATES[rate.coding_rate] << 4 | rate.crc << 7
    slow = long_symbols(rate.spreading_factor, rate.bandwidth_hz)
    header[11] = (
        BANDWIDTHS_HZ.index(rate.bandwidth_hz) | rate.implicit_header << 2 | slow << 3 | rate.invert_iq << 4
    )


def _encode_fsk(header: bytearray, rate: FskModulation) -> None:
    header[0] &= 0x7F
    header[9] = rate.deviation_khz
    header[11] = 1 | rate.crc << 1 | 2 << 2
    header[14:16] = (32_000_000 // rate.bit_rate).to_bytes(2, "big")
