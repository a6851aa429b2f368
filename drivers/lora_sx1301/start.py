"""Bring an SX1301 with two SX1257 radios up and down, step for step; no I/O.

The order and every value follow the behaviour of Semtech's reference driver (libloragw 5.0.1): the transfers
equal its recorded ones (``tests/vectors/sx1301``). What differs is what happens on failure: a firmware image
that does not read back raises here, and every failure says which part of the board it points to.
"""

from __future__ import annotations

from dataclasses import dataclass

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board, StandardChannel
from drivers.lora_sx1301.firmware import Firmware
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.steps import Steps, Wait

VERSION = 103
ARB, AGC = 0, 1
ARB_VERSION, AGC_VERSION, CAL_VERSION = 1, 4, 2
FIRMWARE_VERSION_AT = 0x20  # in each MCU's RAM
CALIBRATION_S = 2.3  # the image needs 2.1 to 2.2 s
MIX_GAINS = range(8, 16)  # mixer gains that calibration finds offsets for
PPM_OFFSET = 0x60
FSK_SYNC_WORD = 0xC194C1
MAX_GAINS = 16
LOAD_TRIES = 5  # a bit error in 10^5 spoils three loads of four


class StartFailure(Exception):
    """A step of the start failed. ``part`` is one word for metrics; the text names seen and expected."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part


@dataclass(frozen=True, slots=True)
class Offsets:
    """Transmit DC offsets by mixer gain 8..15, as register bytes: ``i[radio][mix - 8]``."""

    i: tuple[bytes, bytes]
    q: tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What the calibration image found. ``warnings`` are imperfections the radio works with."""

    status: int
    offsets: Offsets
    warnings: tuple[str, ...]


def start(
    registers: Registers, board: Board, firmware: Firmware, *, public: bool = True
) -> Steps[Calibration]:
    """From a chip in any state to one that receives. Takes about 2.9 s, nearly all of it waiting.

    ``public`` selects the LoRaWAN sync word (0x34) rather than the private one (0x12).
    Raises :class:`StartFailure`.
    """
    yield from probe(registers)
    yield from registers.select(0)
    yield from registers.reset()
    yield from registers.write(reg.GLOBAL_EN, 0)
    yield from registers.write(reg.CLK32M_EN, 0)
    yield from _power_radios(registers)
    for radio in (0, 1):
        yield from _set_up_radio(registers, board, radio)
    yield from registers.write(reg.GPIO_MODE, 31)
    yield from registers.write(reg.GPIO_SELECT_OUTPUT, 2)
    yield from registers.write(reg.GLOBAL_EN, 1)
    yield from registers.write(reg.CLK32M_EN, 1)
    calibration = yield from _calibrate(registers, board, firmware.cal)
    yield from _set_constants(registers, board, public)
    yield from _set_channels(registers, board)
    yield from _start_mcus(registers, board, firmware)
    yield from registers.write(reg.GPS_EN, 1)
    return calibration


def stop(registers: Registers) -> Steps[None]:
    """Soft reset: transmitter and receivers off at once."""
    yield from registers.reset()


def probe(registers: Registers) -> Steps[None]:
    """Is an SX1301 there, alone on its bus? Changes nothing.

    The three-byte frame would read an FPGA's version behind a multiplexer; a bare SX1301 answers it with its
    own version and the register after it.
    """
    miso = yield b"\x01\x01\x00"
    seen = yield from registers.read(reg.VERSION)
    if seen == VERSION:
        return
    if miso in (b"\0\0\0", b"\xff\xff\xff") and seen in (0, 0xFF):
        raise StartFailure(
            "chip",
            f"no concentrator answers: every byte read is 0x{seen:02x} (data line stuck or nothing there); "
            "check that the board is seated, powered, and that its reset line idles low",
        )
    raise StartFailure("version", f"chip version reads {seen}, expected {VERSION}: wrong chip or noisy SPI")


def _power_radios(registers: Registers) -> Steps[None]:
    for enable in reg.RADIO_EN:
        yield from registers.write(enable, 1)
    yield Wait(0.5)  # crystals settle
    yield from registers.write(reg.RADIO_RESET, 1)
    yield Wait(0.005)
    yield from registers.write(reg.RADIO_RESET, 0)


def write_radio(registers: Registers, radio: int, address: int, value: int) -> Steps[None]:
    """Write an SX1257 register through the SX1301's SPI master."""
    yield from _exchange_radio(registers, radio, 0x80 | address, value)


def read_radio(registers: Registers, radio: int, address: int) -> Steps[int]:
    """Read an SX1257 register through the SX1301's SPI master."""
    yield from _exchange_radio(registers, radio, address, 0)
    return (yield from registers.read(reg.RADIO_SPI_READBACK[radio]))


def _exchange_radio(registers: Registers, radio: int, address: int, value: int) -> Steps[None]:
    select = reg.RADIO_SPI_CS[radio]
    yield from registers.write(select, 0)
    yield from registers.write(reg.RADIO_SPI_ADDR[radio], address)
    yield from registers.write(reg.RADIO_SPI_DATA[radio], value)
    yield from registers.write(select, 1)
    yield from registers.write(select, 0)


def _set_up_radio(registers: Registers, board: Board, radio: int) -> Steps[None]:
    """SX1257: clock output, gains and bandwidths, receive frequency, then the PLL."""
    word = frequency_word(board.centre_hz[radio])
    values = [
        (0x10, 3 if radio == board.clock_source else 1),
        (0x26, 0x2D),
        (0x08, 0x2E),
        (0x0A, 0x20),
        (0x0B, 0x05),
        (0x0C, 0x39),
        (0x0D, 0xF8),
        (0x0E, 0x00),
        (0x01, word >> 16 & 0xFF),
        (0x02, word >> 8 & 0xFF),
        (0x03, word & 0xFF),
    ]
    for address, value in values:
        yield from write_radio(registers, radio, address, value)
    yield from _lock_pll(registers, board, radio)


def _lock_pll(registers: Registers, board: Board, radio: int) -> Steps[None]:
    for _ in range(5):
        yield from write_radio(registers, radio, 0x00, 1)
        yield from write_radio(registers, radio, 0x00, 3)
        yield Wait(0.001)
        if (yield from read_radio(registers, radio, 0x11)) & 0x02:
            return
    name = "AB"[radio]
    raise StartFailure(
        "pll",
        f"the PLL of radio {name} does not lock at {board.centre_hz[radio] / 1e6:.3f} MHz after 5 tries: "
        "the radio, its clock or its supply is faulty, or the board is made for another band",
    )


def frequency_word(frequency_hz: int) -> int:
    """SX1257 frequency in steps of 32 MHz / 2^19 (61.035 Hz), rounded down."""
    return (frequency_hz << 19) // 32_000_000


def _load(registers: Registers, mcu: int, image: bytes, name: str) -> Steps[None]:
    """Write an image into an MCU held in reset, read it back, hand the memory over to the MCU."""
    yield from registers.write(reg.MCU_RESET[mcu], 1)
    yield from registers.write(reg.MCU_MUX[mcu], 0)
    wrong = 0
    for _ in range(LOAD_TRIES):
        yield from registers.write(reg.MCU_PROM_ADDR, 0)
        yield from registers.write_burst(reg.MCU_PROM, image)
        yield from registers.read(reg.MCU_PROM)  # the first read after a write is stale
        back = yield from registers.read_burst(reg.MCU_PROM, len(image))
        wrong = sum(a != b for a, b in zip(back, image, strict=True))
        if not wrong:
            yield from registers.write(reg.MCU_MUX[mcu], 1)
            return
    raise StartFailure(
        "spi",
        f"{name} firmware reads back wrong in {wrong} of {len(image)} bytes, {LOAD_TRIES} times: noisy SPI",
    )


def _calibrate(registers: Registers, board: Board, image: bytes) -> Steps[Calibration]:
    """Run the calibration image on the AGC's MCU: receive image rejection, transmit carrier leakage."""
    yield from _load(registers, AGC, image, "calibration")
    yield from registers.write(reg.FORCE_HOST_RADIO, 0)
    transmit = board.tx_radios[0] << 2 | board.tx_radios[1] << 3
    yield from registers.write(reg.RADIO_SELECT, 0x03 | transmit | 0x10)  # 0x10: DAC gain 3
    yield from registers.write(reg.MCU_RESET[AGC], 0)
    yield from _expect_firmware(registers, reg.AGC_RAM_ADDR, reg.AGC_RAM_DATA, CAL_VERSION, "calibration")
    yield from registers.select(3)  # the image waits for this page
    yield from registers.write(reg.FORCE_HOST_CTRL, 0)
    yield Wait(CALIBRATION_S)
    yield from registers.write(reg.FORCE_HOST_CTRL, 1)
    status = yield from registers.read(reg.AGC_STATUS)
    offsets = yield from _read_offsets(registers)
    return Calibration(status, offsets, _judge_calibration(status, board))


def _judge_calibration(status: int, board: Board) -> tuple[str, ...]:
    """Status bit 7 and 0 are needed; of the others each zero is a warning. Raises :class:`StartFailure`."""
    if status & 0x81 != 0x81:
        raise StartFailure(
            "calibration",
            f"calibration status 0x{status:02x}, expected bits 7 (finished) and 0 (registers reachable) set: "
            "the radios' supply or clock is faulty",
        )
    meanings = {
        1: "radio A unreachable",
        2: "radio B unreachable",
        3: "receive image of radio A not calibrated",
        4: "receive image of radio B not calibrated",
    }
    if board.tx_radios[0]:
        meanings[5] = "transmit offset of radio A not calibrated"
    if board.tx_radios[1]:
        meanings[6] = "transmit offset of radio B not calibrated"
    return tuple(meaning for bit, meaning in meanings.items() if not status >> bit & 1)


def _read_offsets(registers: Registers) -> Steps[Offsets]:
    found: list[tuple[int, int, int, int]] = []
    for index in range(len(MIX_GAINS)):
        row = []
        for base in (0xA0, 0xA8, 0xB0, 0xB8):  # A.I, A.Q, B.I, B.Q
            yield from registers.write(reg.AGC_RAM_ADDR, base + index)
            row.append((yield from registers.read(reg.AGC_RAM_DATA)))
        found.append((row[0], row[1], row[2], row[3]))
    a_i, a_q, b_i, b_q = (bytes(column) for column in zip(*found, strict=True))
    return Offsets(i=(a_i, b_i), q=(a_q, b_q))


def _expect_firmware(
    registers: Registers, address: reg.Field, data: reg.Field, expected: int, name: str
) -> Steps[None]:
    yield from registers.write(address, FIRMWARE_VERSION_AT)
    seen = yield from registers.read(data)
    if seen != expected:
        raise StartFailure(
            "firmware", f"{name} firmware reports version {seen}, expected {expected}: it does not run"
        )


def _set_constants(registers: Registers, board: Board, public: bool) -> Steps[None]:
    """Filter, gain, sync word and FSK constants, and the drift ratios of the radios' clocks."""
    peak1, peak2 = (3, 4) if public else (1, 2)
    centre_hz = board.centre_hz[0]
    for field, value in (
        (reg.RSSI_BB_ALPHA, 6),
        (reg.RSSI_DEC_ALPHA, 7),
        (reg.RSSI_CHAN_ALPHA, 7),
        (reg.RSSI_BB_DEFAULT, 23),
        (reg.RSSI_CHAN_DEFAULT, 85),
        (reg.RSSI_DEC_DEFAULT, 66),
        (reg.DEC_GAIN_OFFSET, 7),
        (reg.CHAN_GAIN_OFFSET, 6),
        (reg.SNR_AVG, 3),
        (reg.SYNC_PEAK1, peak1),
        (reg.SYNC_PEAK2, peak2),
        (reg.STD_SYNC_PEAK1, peak1),
        (reg.STD_SYNC_PEAK2, peak2),
        (reg.MODEM_START_OFFSET, 1),
        (reg.MODEM_START_OFFSET_SF12, 4094),
        (reg.MAC_GAIN, 7),
        (reg.FSK_RX_INVERT, 1),
        (reg.MULTI_MODEM_INVERT_IQ, 1),
        (reg.FSK_RSSI_LENGTH, 4),
        (reg.FSK_PKT_MODE, 1),
        (reg.FSK_CRC_EN, 1),
        (reg.FSK_DCFREE, 2),
        (reg.FSK_OSR_TOL, 10),
        (reg.FSK_PKT_LENGTH, 255),
        (reg.FSK_PATTERN_TIMEOUT, 128),
        (reg.TX_START_DELAY, 1497),
        (reg.TX_SWAP_IQ, 1),
        (reg.TX_SYNC_PEAK1, peak1),
        (reg.TX_SYNC_PEAK2, peak2),
        (reg.FSK_TX_BT, 2),
        (reg.FREQ_TO_TIME_DRIFT, min(63, 4_096_000_000 // (centre_hz >> 1))),
        (reg.STD_FREQ_TO_TIME_DRIFT, min(63, 4_096_000_000 // (centre_hz >> 3))),
    ):
        yield from registers.write(field, value)


def intermediate_frequency(offset_hz: int) -> int:
    """The register's unit is 15.625 kHz / 32; rounded toward zero."""
    steps = abs(offset_hz) * 32 // 15_625
    return steps if offset_hz >= 0 else -steps


def _set_channels(registers: Registers, board: Board) -> Steps[None]:
    for n, channel in enumerate(board.multi):
        yield from registers.write(reg.IF_FREQ[n], intermediate_frequency(channel.offset_hz))
    for field in reg.CORRELATOR_EN:
        yield from registers.write(field, 0x7E)  # SF7 to SF12
    yield from registers.write(reg.PPM_OFFSET, PPM_OFFSET)
    yield from registers.write(reg.MULTI_MODEM_EN, 1)
    if board.standard is not None:
        yield from _set_standard(registers, board.standard)
    yield from _set_fsk(registers, board)


def _set_standard(registers: Registers, channel: StandardChannel) -> Steps[None]:
    sf, bandwidth = channel.spreading_factor, channel.bandwidth_hz
    yield from registers.write(reg.IF_FREQ[8], intermediate_frequency(channel.offset_hz))
    yield from registers.write(reg.STD_RADIO, channel.radio)
    yield from registers.write(reg.STD_BW, (125_000, 250_000, 500_000).index(bandwidth))
    yield from registers.write(reg.STD_SF, sf)
    yield from registers.write(reg.STD_PPM, long_symbols(sf, bandwidth))
    yield from registers.write(reg.STD_MODEM_EN, 1)


def long_symbols(spreading_factor: int, bandwidth_hz: int) -> bool:
    """Low data rate optimisation: on where a symbol lasts more than 16 ms."""
    return (1 << spreading_factor) * 1000 > 16 * bandwidth_hz


def _set_fsk(registers: Registers, board: Board) -> Steps[None]:
    channel = board.fsk
    if channel is None:
        return
    yield from registers.write(reg.IF_FREQ[9], intermediate_frequency(channel.offset_hz))
    yield from registers.write(reg.FSK_PSIZE, 2)
    yield from registers.write(reg.FSK_TX_PSIZE, 2)
    word = FSK_SYNC_WORD << 40  # left-aligned in eight bytes
    yield from registers.write(reg.FSK_SYNC_LSB, word & 0xFFFFFFFF)
    yield from registers.write(reg.FSK_SYNC_MSB, word >> 32)
    yield from registers.write(reg.FSK_RADIO, channel.radio)
    yield from registers.write(reg.FSK_BR_RATIO, 32_000_000 // channel.bit_rate)
    yield from registers.write(reg.FSK_BW, {500_000: 1, 250_000: 2, 125_000: 3}[channel.bandwidth_hz])
    yield from registers.write(reg.FSK_MODEM_EN, 1)


def _start_mcus(registers: Registers, board: Board, firmware: Firmware) -> Steps[None]:
    """Load arbiter and gain control, give them the radios, hand over the gain table."""
    yield from _load(registers, ARB, firmware.arb, "arbiter")
    yield from _load(registers, AGC, firmware.agc, "gain control")
    for field in (reg.FORCE_HOST_RADIO, reg.FORCE_HOST_FE, reg.FORCE_DEC_GAIN):
        yield from registers.write(field, 0)
    yield from registers.write(reg.RADIO_SELECT, 0)
    for field in reg.MCU_RESET:
        yield from registers.write(field, 0)
    yield from _expect_firmware(registers, reg.AGC_RAM_ADDR, reg.AGC_RAM_DATA, AGC_VERSION, "gain control")
    yield from _expect_firmware(registers, reg.ARB_RAM_ADDR, reg.ARB_RAM_DATA, ARB_VERSION, "arbiter")
    yield Wait(0.001)
    yield from _expect_agc(registers, 0x10)
    for index, gain in enumerate(board.gains):
        yield from _tell_agc(registers, gain.code, 0x30 + index)
    if len(board.gains) < MAX_GAINS:
        yield from _tell_agc(registers, 17, 0x30)  # the table ends here
    yield from _tell_agc(registers, 3, 0x33)  # top bits of the transmit frequency
    yield from _tell_agc(registers, 0, 0x30)  # channel selection
    yield from _tell_agc(registers, board.radio_select, 0x40)


def _tell_agc(registers: Registers, value: int, status: int) -> Steps[None]:
    """One value through the mailbox: wait command, value, then the status that says it was taken."""
    yield from registers.write(reg.RADIO_SELECT, 16)
    yield Wait(0.001)
    yield from registers.write(reg.RADIO_SELECT, value)
    yield Wait(0.001)
    yield from _expect_agc(registers, status)


def _expect_agc(registers: Registers, expected: int) -> Steps[None]:
    seen = yield from registers.read(reg.AGC_STATUS)
    if seen != expected:
        raise StartFailure(
            "agc", f"gain control status 0x{seen:02x}, expected 0x{expected:02x}: it does not start"
        )
