"""What is assumed of an SX1301 and not proven by a recording, asked of a real one. Each answer is printed.

    export OFFGRID_SX1301=spidev:0.0 OFFGRID_FIRMWARE_DIR=/var/lib/offgrid/firmware
    pytest -m hardware -s tests/hardware

``OFFGRID_SX1301_TRANSMIT=EU868`` (or ``US915``) also allows the one question that may make it send, at its
lowest power: connect an antenna or a load first.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.lora_sx1301 import counter, health, send
from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.boards import rak2245
from drivers.lora_sx1301.calibration import Calibration
from drivers.lora_sx1301.firmware import NAMES, Firmware
from drivers.lora_sx1301.radio import power_radios
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.send import Emission, LoraModulation
from drivers.lora_sx1301.start import start, stop
from drivers.lora_sx1301.steps import Steps, Wait
from drivers.lora_sx1301.watchdog import AGC_DEAD
from drivers.transport.gpio import open_output
from drivers.transport.spi import Spi, open_spi

T = TypeVar("T")
ADDRESS = os.environ.get("OFFGRID_SX1301", "")
FIRMWARE = os.environ.get("OFFGRID_FIRMWARE_DIR", "")
PLAN = os.environ.get("OFFGRID_SX1301_TRANSMIT", "")

pytestmark = [
    pytest.mark.hardware,
    pytest.mark.skipif(not ADDRESS, reason="no RAK2245: set OFFGRID_SX1301 to its SPI address"),
]


class Board:
    """A freshly reset concentrator."""

    def __init__(self, spi: Spi) -> None:
        self.registers = Registers()
        self._spi = spi

    def run(self, steps: Steps[T]) -> T:
        answer: bytes | None = None
        try:
            while True:
                step = next(steps) if answer is None else steps.send(answer)
                if isinstance(step, Wait):
                    time.sleep(step.seconds)
                    answer = b""
                else:
                    answer = self._spi.transfer(step)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]

    def started(self) -> Calibration:
        images = {name: (Path(FIRMWARE) / f"{name}.bin").read_bytes() for name in NAMES}
        return self.run(start(self.registers, rak2245(PLAN or "EU868"), Firmware(**images)))


@pytest.fixture
def board() -> Iterator[Board]:
    spi = open_spi(ADDRESS, 2_000_000)
    line = open_output(ADDRESS if ADDRESS.startswith("unix:") else "gpio:17")
    try:
        for level in (False, True, False):
            line.set(level)
            time.sleep(0.1)
        board = Board(spi)
        yield board
        board.run(stop(board.registers))
    finally:
        line.close()
        spi.close()


needs_firmware = pytest.mark.skipif(not FIRMWARE, reason="set OFFGRID_FIRMWARE_DIR to the imported images")


def settled(text: str) -> None:
    sys.stdout.write(f"settled: {text}\n")


def test_registers_take_and_give_bursts_before_any_clock_runs(board: Board) -> None:
    board.run(health.wire_test(board.registers))
    settled("correlator registers read back 2,000 bytes before the clocks run")


def test_the_counter_stands_until_clk32m_is_enabled_and_then_runs(board: Board) -> None:
    registers = board.registers

    def two_readings() -> int:
        first = board.run(counter.read_live(registers))
        time.sleep(0.05)
        return (board.run(counter.read_live(registers)) - first) % counter.WRAP

    board.run(registers.reset())
    board.run(registers.write(reg.GLOBAL_EN, 0))
    board.run(registers.write(reg.CLK32M_EN, 0))
    standing = two_readings()
    board.run(power_radios(registers))
    board.run(registers.write(reg.GLOBAL_EN, 1))
    board.run(registers.write(reg.CLK32M_EN, 1))
    running = two_readings()
    settled(f"the counter advanced {standing} us in 50 ms before CLK32M_EN, {running} us after")
    assert standing == 0
    assert 50_000 <= running < 70_000


@needs_firmware
def test_the_gain_controls_status_never_looks_dead_while_it_works(board: Board) -> None:
    board.started()
    seen = set()
    for _ in range(200):
        seen.add(board.run(board.registers.read(reg.AGC_STATUS)))
        time.sleep(0.01)
    settled(f"gain control status while receiving: {', '.join(f'0x{value:02x}' for value in sorted(seen))}")
    assert not seen & AGC_DEAD


@needs_firmware
def test_the_counter_keeps_the_hosts_time_within_a_hundred_ppm(board: Board) -> None:
    board.started()
    began, first = time.monotonic(), board.run(counter.read_live(board.registers))
    time.sleep(10)
    passed, last = time.monotonic() - began, board.run(counter.read_live(board.registers))
    drift_ppm = ((last - first) % counter.WRAP / (passed * 1e6) - 1) * 1e6
    settled(f"counter against host over 10 s: {drift_ppm:+.0f} ppm")
    assert abs(drift_ppm) < 300  # two unsteady ends of a millisecond each


@needs_firmware
@pytest.mark.skipif(not PLAN, reason="set OFFGRID_SX1301_TRANSMIT to the region to allow an emission")
def test_a_trigger_in_the_past_waits_for_the_counter_to_wrap(board: Board) -> None:
    calibration = board.started()
    past = (board.run(counter.read_live(board.registers)) - 10_000) % counter.WRAP
    frame = Emission(
        frequency_hz={"EU868": 869_525_000, "US915": 923_300_000}[PLAN],
        gain_index=0,
        modulation=LoraModulation(
            spreading_factor=7, bandwidth_hz=125_000, coding_rate="4/5", crc=False, invert_iq=True
        ),
        payload=b"assumption",
        counter_us=past,
    )
    board.run(send.send(board.registers, frame, rak2245(PLAN).gains[0], calibration.offsets))
    time.sleep(0.5)
    status = board.run(board.registers.read(reg.TX_STATUS))
    board.run(send.abort(board.registers))
    after = board.run(board.registers.read(reg.TX_STATUS))
    settled(
        f"half a second after a trigger in the past TX_STATUS is 0x{status:02x}, 0x{after:02x} once aborted"
    )
    assert status & send.PROGRAMMED
    assert not status & send.EMITTING
    assert not after & send.PROGRAMMED
