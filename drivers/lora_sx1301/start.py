"""Bring an SX1301 with two SX1257 radios up and down, step for step; no I/O.

The order and every value follow the behaviour of Semtech's reference driver (libloragw 5.0.1): the transfers
equal its recorded ones (``tests/vectors/sx1301``). What differs is what happens on failure: a firmware image
that does not read back raises here, and every failure says which part of the board it points to.
"""

from __future__ import annotations

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board, StandardChannel
from drivers.lora_sx1301.calibration import Calibration, calibrate
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.firmware import Firmware
from drivers.lora_sx1301.mcu import AGC, ARB, expect_firmware, load
from drivers.lora_sx1301.radio import power_radios, set_up_radio
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.steps import Steps, Wait

VERSION = 103
ARB_VERSION, AGC_VERSION = 1, 4
PPM_OFFSET = 0x60
ALL_FACTORS = 0x7E  # bit 1 is SF7, bit 6 SF12
FSK_SYNC_WORD = 0xC194C1
MAX_GAINS = 16
SEAT = "seat the board on all 40 pins, power it, and check that its reset line idles low"


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
    yield from power_radios(registers)
    for radio in (0, 1):
        yield from set_up_radio(registers, board, radio)
    yield from registers.write(reg.GPIO_MODE, 31)
    yield from registers.write(reg.GPIO_SELECT_OUTPUT, 2)
    yield from registers.write(reg.GLOBAL_EN, 1)
    yield from registers.write(reg.CLK32M_EN, 1)
    calibration = yield from calibrate(registers, board, firmware.cal)
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
            f"no concentrator answers: every byte read is 0x{seen:02x} (data line stuck or nothing there)"
            f"; {SEAT}",
        )
    raise StartFailure("version", f"chip version reads {seen}, expected {VERSION}: wrong chip or noisy SPI")


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
        yield from registers.write(field, ALL_FACTORS)
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
    yield from load(registers, ARB, firmware.arb, "arbiter")
    yield from load(registers, AGC, firmware.agc, "gain control")
    for field in (reg.FORCE_HOST_RADIO, reg.FORCE_HOST_FE, reg.FORCE_DEC_GAIN):
        yield from registers.write(field, 0)
    yield from registers.write(reg.RADIO_SELECT, 0)
    for field in reg.MCU_RESET:
        yield from registers.write(field, 0)
    yield from expect_firmware(registers, reg.AGC_RAM_ADDR, reg.AGC_RAM_DATA, AGC_VERSION, "gain control")
    yield from expect_firmware(registers, reg.ARB_RAM_ADDR, reg.ARB_RAM_DATA, ARB_VERSION, "arbiter")
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
