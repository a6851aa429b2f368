"""SX1301 registers as a table, and how one is read and written over SPI; no I/O.

SPI mode 0, one frame a chip-select assertion::

    byte 0   bit 7: 1 = write | bits 6:0: address      byte 1...  data (MOSI to write, 0x00 to read)

The address increments for each byte, except on the data ports (4, 6, 10), where an internal pointer does.
Registers 33 to 124 exist once a page; the page is selected in register 0. Values of several bytes are
little-endian and travel in one frame; a field narrower than a byte is read, modified and written back.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.lora_sx1301.steps import Steps

WRITE = 0x80
PAGE_AND_RESET = 0
SOFT_RESET = 0x80
BURST_CHUNK = 1024  # bytes of one burst frame; spidev's buffer holds 4096 at most


@dataclass(frozen=True, slots=True)
class Field:
    """Where a value stands: page (None: on every page), first address, lowest bit, width, sign."""

    page: int | None
    address: int
    bit: int = 0
    bits: int = 8
    signed: bool = False

    @property
    def size(self) -> int:
        """Bytes the field spans."""
        return (self.bit + self.bits + 7) // 8

    @property
    def partial(self) -> bool:
        """Whether other fields share its only byte."""
        return self.bits < 8


VERSION = Field(None, 1)
RX_DATA_BUF = Field(None, 4)
TX_DATA_BUF_ADDR = Field(None, 5)
TX_DATA_BUF = Field(None, 6)
MCU_PROM_ADDR = Field(None, 9)
MCU_PROM = Field(None, 10)
RX_PACKET_FIFO = Field(None, 11)  # count, start address (2), status, size; any write pops the head
STD_MODEM_EN = Field(None, 16, 0, 1)
MULTI_MODEM_EN = Field(None, 16, 1, 1)
FSK_MODEM_EN = Field(None, 16, 2, 1)
GLOBAL_EN = Field(None, 16, 3, 1)
CLK32M_EN = Field(None, 17, 0, 1)
GPIO_SELECT_OUTPUT = Field(None, 28, 0, 4)
GPIO_MODE = Field(None, 29, 0, 5)
AGC_STATUS = Field(None, 32)
FORCE_HOST_CTRL = Field(None, 127, 0, 1)

MULTI_MODEM_INVERT_IQ = Field(0, 33, 5, 1)
RADIO_SELECT = Field(0, 35)  # one bit a multi-SF channel; the AGC's mailbox while it starts
IF_FREQ = tuple(Field(0, 36 + 2 * n, 0, 13, signed=True) for n in range(10))
CORRELATOR_EN = tuple(Field(0, 65 + n, 0, 7) for n in range(8))
MAC_GAIN = Field(0, 78, 4, 3)
MODEM_START_OFFSET = Field(0, 81, 0, 12)
MODEM_START_OFFSET_SF12 = Field(0, 83, 0, 12)
FREQ_TO_TIME_DRIFT = Field(0, 93, 0, 6)
SYNC_PEAK1 = Field(0, 95, 0, 4)
SYNC_PEAK2 = Field(0, 95, 4, 4)
SNR_AVG = Field(0, 99, 4, 2)
PPM_OFFSET = Field(0, 100, 0, 7)
DEC_GAIN_OFFSET = Field(0, 104, 0, 4)
CHAN_GAIN_OFFSET = Field(0, 104, 4, 4)
FORCE_HOST_RADIO = Field(0, 105, 1, 1)
FORCE_HOST_FE = Field(0, 105, 2, 1)
FORCE_DEC_GAIN = Field(0, 105, 3, 1)
MCU_RESET = (Field(0, 106, 0, 1), Field(0, 106, 1, 1))  # index 0 arbiter, 1 AGC
MCU_MUX = (Field(0, 106, 2, 1), Field(0, 106, 3, 1))
MCU_CORRUPTED = (Field(0, 106, 4, 1), Field(0, 106, 5, 1))
RSSI_BB_DEFAULT = Field(0, 108)
RSSI_DEC_DEFAULT = Field(0, 109)
RSSI_CHAN_DEFAULT = Field(0, 110)
RSSI_BB_ALPHA = Field(0, 111, 0, 5)
RSSI_DEC_ALPHA = Field(0, 112, 0, 5)
RSSI_CHAN_ALPHA = Field(0, 113, 0, 5)

TX_TRIG_ALL = Field(1, 33)
TX_TRIG_IMMEDIATE = Field(1, 33, 0, 1)
TX_TRIG_TIMESTAMP = Field(1, 33, 1, 1)
TX_TRIG_GPS = Field(1, 33, 2, 1)
TX_START_DELAY = Field(1, 34, 0, 16)
TX_SYNC_PEAK1 = Field(1, 36, 0, 4)
TX_SYNC_PEAK2 = Field(1, 36, 4, 4)
TX_OFFSET_I = Field(1, 39)
TX_OFFSET_Q = Field(1, 40)
TX_GAIN = Field(1, 42, 0, 2)
TX_SWAP_IQ = Field(1, 42, 7, 1)
STD_SYNC_PEAK1 = Field(1, 46, 0, 4)
STD_SYNC_PEAK2 = Field(1, 46, 4, 4)
STD_FREQ_TO_TIME_DRIFT = Field(1, 53, 0, 6)
STD_BW = Field(1, 58, 0, 2)
STD_RADIO = Field(1, 58, 2, 1)
STD_PPM = Field(1, 59, 6, 1)
STD_SF = Field(1, 60, 0, 4)
TX_STATUS = Field(1, 62)
FSK_BW = Field(1, 63, 0, 3)
FSK_RSSI_LENGTH = Field(1, 63, 3, 3)
FSK_RX_INVERT = Field(1, 63, 6, 1)
FSK_PKT_MODE = Field(1, 63, 7, 1)
FSK_PSIZE = Field(1, 64, 0, 3)
FSK_CRC_EN = Field(1, 64, 3, 1)
FSK_DCFREE = Field(1, 64, 4, 2)
FSK_OSR_TOL = Field(1, 65, 0, 5)
FSK_RADIO = Field(1, 65, 7, 1)
FSK_BR_RATIO = Field(1, 66, 0, 16)
FSK_SYNC_LSB = Field(1, 68, 0, 32)
FSK_SYNC_MSB = Field(1, 72, 0, 32)
FSK_PKT_LENGTH = Field(1, 76)
FSK_TX_BT = Field(1, 77, 1, 2)
FSK_TX_PSIZE = Field(1, 77, 5, 3)
FSK_PATTERN_TIMEOUT = Field(1, 83, 0, 10)

RADIO_SPI_DATA = (Field(2, 33), Field(2, 38))  # index 0 radio A, 1 radio B
RADIO_SPI_READBACK = (Field(2, 34), Field(2, 39))
RADIO_SPI_ADDR = (Field(2, 35), Field(2, 40))
RADIO_SPI_CS = (Field(2, 37, 0, 1), Field(2, 42, 0, 1))
RADIO_EN = (Field(2, 43, 0, 1), Field(2, 43, 1, 1))
RADIO_RESET = Field(2, 43, 2, 1)
ARB_RAM_DATA = Field(2, 64)
AGC_RAM_DATA = Field(2, 65)
TIMESTAMP = Field(2, 70, 0, 32)
ARB_RAM_ADDR = Field(2, 80)
AGC_RAM_ADDR = Field(2, 81)
GPS_EN = Field(2, 89, 0, 1)


class Registers:
    """Register access for one chip; remembers the page, which changes only through here."""

    def __init__(self) -> None:
        self._page: int | None = None

    def reset(self) -> Steps[None]:
        """Soft reset; the chip falls back to page 0 and to the reset value of every register."""
        yield bytes((WRITE | PAGE_AND_RESET, SOFT_RESET))
        self._page = 0

    def select(self, page: int | None) -> Steps[None]:
        """Make ``page`` the current one; no transfer when it is already, or when any will do."""
        if page is None or page == self._page:
            return
        self._page = None  # unknown until the transfer returned
        yield bytes((WRITE | PAGE_AND_RESET, page))
        self._page = page

    def read(self, field: Field) -> Steps[int]:
        """The field's value, sign-extended where it is signed."""
        yield from self.select(field.page)
        miso = yield bytes((field.address,)) + bytes(field.size)
        value = (int.from_bytes(miso[1:], "little") >> field.bit) & ((1 << field.bits) - 1)
        if field.signed and value >> (field.bits - 1):
            value -= 1 << field.bits
        return value

    def write(self, field: Field, value: int) -> Steps[None]:
        """Write a whole field; two transfers (read, write back) when it shares its byte."""
        yield from self.select(field.page)
        if field.partial:
            miso = yield bytes((field.address, 0))
            mask = ((1 << field.bits) - 1) << field.bit
            value = (miso[1] & ~mask) | ((value << field.bit) & mask)
        data = (value & ((1 << 8 * field.size) - 1)).to_bytes(field.size, "little")
        yield bytes((WRITE | field.address,)) + data

    def read_burst(self, field: Field, size: int) -> Steps[bytes]:
        """``size`` bytes from a data port or from consecutive addresses, in frames of at most 1024."""
        yield from self.select(field.page)
        data = bytearray()
        while len(data) < size:
            miso = yield bytes((field.address,)) + bytes(min(BURST_CHUNK, size - len(data)))
            data += miso[1:]
        return bytes(data)

    def write_burst(self, field: Field, data: bytes) -> Steps[None]:
        """All of ``data`` to a data port, in frames of at most 1024 bytes.

        Consecutive addresses are a matter of one frame: a longer write would start over at the first.
        """
        yield from self.select(field.page)
        for start in range(0, len(data), BURST_CHUNK):
            yield bytes((WRITE | field.address,)) + data[start : start + BURST_CHUNK]
