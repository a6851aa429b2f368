"""Receive image rejection and transmit carrier leakage, found by the chip's calibration image; no I/O."""

from __future__ import annotations

from dataclasses import dataclass

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.mcu import AGC, expect_firmware, load
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.steps import Steps, Wait

CAL_VERSION = 2
CALIBRATION_S = 2.3  # the image needs 2.1 to 2.2 s
MIX_GAINS = range(8, 16)  # mixer gains that offsets are found for


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


def calibrate(registers: Registers, board: Board, image: bytes) -> Steps[Calibration]:
    """Run the calibration image on the AGC's MCU: receive image rejection, transmit carrier leakage."""
    yield from load(registers, AGC, image, "calibration")
    yield from registers.write(reg.FORCE_HOST_RADIO, 0)
    transmit = board.tx_radios[0] << 2 | board.tx_radios[1] << 3
    yield from registers.write(reg.RADIO_SELECT, 0x03 | transmit | 0x10)  # 0x10: DAC gain 3
    yield from registers.write(reg.MCU_RESET[AGC], 0)
    yield from expect_firmware(registers, reg.AGC_RAM_ADDR, reg.AGC_RAM_DATA, CAL_VERSION, "calibration")
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
