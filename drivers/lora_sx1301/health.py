"""Questions to a running or fresh chip: does the wire hold, is the set-up still there; no I/O.

Both use the correlator registers, eight in a row: the reference driver reads them back too, so they are known
to be readable on silicon.
"""

from __future__ import annotations

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board
from drivers.lora_sx1301.counter import read_live
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.start import ALL_FACTORS, probe
from drivers.lora_sx1301.steps import Steps

WIRE_ROUNDS = 250
WIDTH = len(reg.CORRELATOR_EN)
MODEM_ENABLES = reg.Field(None, 16, 0, 4)


def wire_test(registers: Registers, rounds: int = WIRE_ROUNDS) -> Steps[None]:
    """Write and read back 2,000 bytes through plain registers of a chip that is about to be set up.

    Needs no clock and no firmware. Raises :class:`StartFailure`.
    """
    yield from probe(registers)
    yield from registers.reset()
    wrong = 0
    for n in range(rounds):
        pattern = bytes((n * 151 + at * 89 + 0x55) & 0x7F for at in range(WIDTH))  # 7 bits are stored
        yield from registers.select(0)
        yield from registers.write_burst(reg.CORRELATOR_EN[0], pattern)
        back = yield from registers.read_burst(reg.CORRELATOR_EN[0], WIDTH)
        wrong += sum(a != b & 0x7F for a, b in zip(pattern, back, strict=True))
    if wrong:
        raise StartFailure("spi", f"burst test: {wrong} of {rounds * WIDTH} bytes read back wrong: noisy SPI")


def configured(registers: Registers, board: Board) -> Steps[bool]:
    """Whether modems and spreading factors still read as they were set: 2 or 3 transfers."""
    enables = yield from registers.read(MODEM_ENABLES)
    factors = yield from registers.read_burst(reg.CORRELATOR_EN[0], WIDTH)
    expected = 0x0A | (board.standard is not None) | (board.fsk is not None) << 2
    return enables == expected and all(byte & 0x7F == ALL_FACTORS for byte in factors)


def vitals(registers: Registers, board: Board) -> Steps[tuple[int, int, bool, int]]:
    """Version, gain control status, set-up intact, live counter: 9 to 11 transfers."""
    version = yield from registers.read(reg.VERSION)
    agc_status = yield from registers.read(reg.AGC_STATUS)
    intact = yield from configured(registers, board)
    return version, agc_status, intact, (yield from read_live(registers))
