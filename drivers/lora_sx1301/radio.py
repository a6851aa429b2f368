"""SX1257 radios behind the SX1301's SPI master: registers, frequency, PLL; no I/O."""

from __future__ import annotations

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.steps import Steps, Wait


def power_radios(registers: Registers) -> Steps[None]:
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


def set_up_radio(registers: Registers, board: Board, radio: int) -> Steps[None]:
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
