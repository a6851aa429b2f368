"""Questions to a running or fresh chip: does the wire hold, is the set-up still there; no I/O."""

from __future__ import annotations

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import Board
from drivers.lora_sx1301.counter import read_live
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.start import intermediate_frequency, probe
from drivers.lora_sx1301.steps import Steps

WIRE_ROUNDS = 100
PATTERN_SIZE = 20  # the ten IF frequency registers, two bytes each
IF_MASK = bytes((0xFF, 0x1F)) * 10  # 13 bits each


def wire_test(registers: Registers, rounds: int = WIRE_ROUNDS) -> Steps[None]:
    """Write and read back 2,000 bytes through plain registers of a chip that is about to be set up.

    Needs no clock and no firmware. Raises :class:`StartFailure`.
    """
    yield from probe(registers)
    yield from registers.reset()
    wrong = 0
    for n in range(rounds):
        pattern = _masked(
            bytes((n * 151 + at * 89 + (0xAA if at % 2 else 0x55)) & 0xFF for at in range(PATTERN_SIZE))
        )
        yield from registers.select(0)
        yield from registers.write_burst(reg.IF_FREQ[0], pattern)
        back = _masked((yield from registers.read_burst(reg.IF_FREQ[0], PATTERN_SIZE)))
        wrong += sum(a != b for a, b in zip(pattern, back, strict=True))
    if wrong:
        raise StartFailure(
            "spi", f"burst test: {wrong} of {rounds * PATTERN_SIZE} bytes read back wrong: noisy SPI"
        )


def _masked(data: bytes) -> bytes:
    return bytes(a & b for a, b in zip(data, IF_MASK, strict=True))


def configured(registers: Registers, board: Board) -> Steps[bool]:
    """Whether the IF frequencies and spreading factors still read as they were set."""
    words = b"".join(
        (intermediate_frequency(channel.offset_hz) & 0x1FFF).to_bytes(2, "little")
        for channel in (*board.multi, *filter(None, (board.standard, board.fsk)))
    )
    back = yield from registers.read_burst(reg.IF_FREQ[0], len(words))
    factors = yield from registers.read_burst(reg.CORRELATOR_EN[0], len(reg.CORRELATOR_EN))
    return bytes(a & b for a, b in zip(back, IF_MASK, strict=False)) == words and set(factors) == {0x7E}


def vitals(registers: Registers, board: Board) -> Steps[tuple[int, int, bool, int]]:
    """Version, gain control status, set-up intact, live counter: 9 to 11 transfers."""
    version = yield from registers.read(reg.VERSION)
    agc_status = yield from registers.read(reg.AGC_STATUS)
    intact = yield from configured(registers, board)
    return version, agc_status, intact, (yield from read_live(registers))
