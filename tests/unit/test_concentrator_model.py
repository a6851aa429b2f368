"""The SX1301 register model: it answers as the recording does, and refuses what silicon would not survive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TypeVar

import pytest

from drivers.lora_sx1301 import boards, calibration, counter, receive, send, start
from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.calibration import Calibration
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.firmware import Firmware
from drivers.lora_sx1301.radio import write_radio
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.send import Emission, LoraModulation, Trigger
from drivers.lora_sx1301.steps import Steps, Wait
from simulators.concentrator.air import Uplink
from simulators.concentrator.chip import Chip, SpiBroken
from simulators.concentrator.images import TEST_IMAGES

T = TypeVar("T")
TRACES = Path(__file__).parents[1] / "vectors" / "sx1301"
FIRMWARE = Firmware(**TEST_IMAGES)
BOARD = boards.rak2245("EU868")


class Bench:
    """A chip on a clock that we turn: 30 us a transfer, and the waits that a sequence asks for."""

    def __init__(self) -> None:
        self.now_us = 10_000_000
        self.chip = Chip(lambda: self.now_us)
        self.registers = Registers()

    def run(self, steps: Steps[T]) -> T:
        answer: bytes | None = None
        try:
            while True:
                step = next(steps) if answer is None else steps.send(answer)
                answer = self.turn(step) if isinstance(step, Wait) else self.transfer(step)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]

    def turn(self, wait: Wait) -> bytes:
        self.now_us += int(wait.seconds * 1e6)
        return b""

    def transfer(self, mosi: bytes) -> bytes:
        self.now_us += 30
        return self.chip.transfer(mosi)

    def started(self) -> Calibration:
        return self.run(start.start(self.registers, BOARD, FIRMWARE))

    def complaints(self) -> str:
        found = "; ".join(self.chip.violations)
        self.chip.violations.clear()
        return found


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def started(bench: Bench) -> Bench:
    bench.started()
    assert bench.chip.receiving and not bench.chip.violations
    return bench


def emission(bench: Bench, lead_us: int, **changes: object) -> Emission:
    rate = LoraModulation(
        spreading_factor=9, bandwidth_hz=125_000, coding_rate="4/5", crc=False, invert_iq=True
    )
    settings = {
        "frequency_hz": 869_525_000,
        "gain_index": 9,
        "modulation": rate,
        "payload": b"promise",
        "counter_us": (bench.chip.counter() + lead_us) % (1 << 32),
        **changes,
    }
    return Emission(**settings)  # type: ignore[arg-type]


def program(bench: Bench, frame: Emission, calibration: Calibration) -> None:
    bench.run(send.send(bench.registers, frame, BOARD.gains[frame.gain_index], calibration.offsets))


def test_the_model_answers_the_recorded_start_as_recorded(bench: Bench) -> None:
    rows = [json.loads(line) for line in (TRACES / "eu868_start.jsonl").read_text().splitlines()]
    begin_us = bench.now_us
    loads = ((257, "cal"), (266, "cal"), (482, "arb"), (491, "arb"), (506, "agc"), (515, "agc"))
    for row in rows:
        bench.now_us = max(bench.now_us, begin_us + row["t_us"])
        if "sha256" in row["tx"]:
            first, name = max((first, name) for first, name in loads if first <= row["n"])
            content = TEST_IMAGES[name][(row["n"] - first) * 1024 :][:1024]
            writes = row["tx"].startswith("8a")
            miso = bench.chip.transfer(bytes.fromhex(row["tx"][:2]) + (content if writes else bytes(1024)))
            assert writes or miso[1:] == content
            continue
        miso = bench.chip.transfer(bytes.fromhex(row["tx"]))
        if row["rx"] is not None and row["n"] not in (265, 490, 514):  # the dummy read shows image bytes
            assert miso.hex() == row["rx"], f"transfer {row['n']}"
    assert bench.chip.receiving
    assert not bench.chip.violations


@pytest.mark.parametrize("chain", range(10))
def test_a_frame_of_each_chain_is_stamped_at_its_last_symbol(started: Bench, chain: int) -> None:
    channel = BOARD.channel(chain)
    factor = 0 if chain == 9 else getattr(channel, "spreading_factor", 7 + chain % 6)
    uplink = Uplink(
        frequency_hz=BOARD.frequency_hz(chain),
        payload=b"snapshot",
        spreading_factor=factor,
        bandwidth_hz=getattr(channel, "bandwidth_hz", 125_000),
        rssi_dbm=-101,
        snr_db=-4.5,
    )
    end_us = started.now_us
    assert started.chip.hear(uplink) is None
    (packet,) = started.run(receive.receive(started.registers))
    reception = receive.correct(packet, BOARD)
    assert reception is not None
    assert reception.counter_us == started.chip.counter(end_us)
    assert reception.frequency_hz == BOARD.frequency_hz(chain)
    assert reception.rssi_dbm == pytest.approx(-101, abs=0 if chain < 9 else 1)
    assert (packet.payload, packet.snr_db, packet.if_chain) == (b"snapshot", -4.5, chain)


@pytest.mark.parametrize(
    ("uplink", "reason"),
    [
        (Uplink(frequency_hz=869_900_000, payload=b"x"), "no channel"),
        (Uplink(frequency_hz=868_100_000, payload=b"x", spreading_factor=6), "no channel"),
        (Uplink(frequency_hz=868_100_000, payload=b"x", inverted_iq=True), "inverted IQ"),
    ],
)
def test_what_is_not_programmed_is_not_heard(started: Bench, uplink: Uplink, reason: str) -> None:
    assert started.chip.hear(uplink) == reason


def test_a_seventeenth_packet_is_lost(started: Bench) -> None:
    uplink = Uplink(frequency_hz=868_100_000, payload=b"x")
    assert [started.chip.hear(uplink) for _ in range(17)] == [None] * 16 + ["fifo full"]
    assert len(started.run(receive.receive(started.registers))) == 16
    assert not started.chip.violations


def test_the_buffer_of_1024_bytes_fills_before_the_fifo(started: Bench) -> None:
    uplink = Uplink(frequency_hz=868_100_000, payload=bytes(222))
    assert [started.chip.hear(uplink) for _ in range(5)] == [None] * 4 + ["buffer full"]


def test_a_timestamped_frame_leaves_at_its_counter_and_deafens_the_receiver() -> None:
    bench = Bench()
    calibration = bench.started()
    frame = emission(bench, 25_000)
    program(bench, frame, calibration)
    bench.now_us += 30_000
    assert bench.chip.hear(Uplink(frequency_hz=868_100_000, payload=b"x")) == "transmitting"
    bench.now_us += 1_000_000
    bench.chip.pass_time()
    (sent,) = bench.chip.take_ended()
    assert sent.counter_us == frame.counter_us
    assert sent.end_us - sent.start_us == frame.airtime_us
    assert sent.payload == b"promise"
    assert abs(sent.frequency_hz - 869_525_000) < 62
    assert sent.inverted_iq and not sent.crc
    assert not bench.complaints()


def test_one_emission_can_be_pending_a_second_replaces_it() -> None:
    bench = Bench()
    calibration = bench.started()
    program(bench, emission(bench, 50_000), calibration)
    program(bench, emission(bench, 90_000, payload=b"other"), calibration)
    bench.now_us += 2_000_000
    bench.chip.pass_time()
    assert [sent.payload for sent in bench.chip.take_ended()] == [b"other"]


def test_a_trigger_in_the_past_waits_for_the_wrap() -> None:
    bench = Bench()
    calibration = bench.started()
    program(bench, emission(bench, -10_000), calibration)
    assert "in the past" in bench.complaints()
    bench.now_us += 4_200_000_000
    assert bench.chip.busy()
    bench.now_us += 100_000_000
    bench.chip.pass_time()
    assert bench.chip.take_ended()


def test_an_immediate_frame_leaves_after_the_start_delay_and_a_gps_frame_after_the_pps() -> None:
    bench = Bench()
    calibration = bench.started()
    program(bench, emission(bench, 0, trigger=Trigger.IMMEDIATE, counter_us=None), calibration)
    before_us = bench.now_us
    bench.now_us += 2_000_000
    bench.chip.pass_time()
    program(bench, emission(bench, 0, trigger=Trigger.GPS, counter_us=None), calibration)
    bench.now_us += 2_000_000
    bench.chip.pass_time()
    immediate, on_pps = bench.chip.take_ended()
    assert immediate.start_us - before_us == 1495
    assert on_pps.start_us % 1_000_000 == 1495


# -- what the chip refuses


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        (b"\x01", "frame under 2 bytes"),
        (bytes((0x80 | 1, 5)), "read-only register 1"),
        (bytes((0x80 | 32, 5)), "read-only register 32"),
        (bytes((0x80 | 11, 0)), "empty FIFO"),
    ],
)
def test_a_frame_against_the_rules_is_noted(bench: Bench, frame: bytes, complaint: str) -> None:
    bench.transfer(frame)
    assert complaint in bench.complaints()


def test_swapped_images_do_not_run(bench: Bench) -> None:
    swapped = Firmware(arb=FIRMWARE.agc, agc=FIRMWARE.arb, cal=FIRMWARE.cal)
    with pytest.raises(StartFailure, match="gain control firmware reports version 2, expected 4"):
        bench.run(start.start(bench.registers, BOARD, swapped))
    assert "released with the agc image" in bench.complaints()


def test_an_unknown_image_does_not_run(bench: Bench) -> None:
    unknown = Firmware(arb=FIRMWARE.arb, agc=FIRMWARE.agc, cal=bytes(8192))
    with pytest.raises(StartFailure, match="calibration firmware reports version 0"):
        bench.run(start.start(bench.registers, BOARD, unknown))
    assert "unknown image" in bench.complaints()


def test_an_mcu_released_while_the_host_has_its_memory_does_not_run(bench: Bench) -> None:
    bench.run(bench.registers.reset())
    bench.run(bench.registers.write(reg.MCU_RESET[1], 0))
    assert "released while the host has its memory" in bench.complaints()


def test_an_mcu_released_without_clock_does_not_run(bench: Bench) -> None:
    bench.run(bench.registers.reset())
    bench.run(bench.registers.write(reg.MCU_MUX[1], 1))
    bench.run(bench.registers.write(reg.MCU_RESET[1], 0))
    assert "clock gated" in bench.complaints()


def test_program_memory_is_closed_while_the_mcu_runs(started: Bench) -> None:
    started.run(started.registers.write_burst(reg.MCU_PROM, b"\0\0"))
    assert "outside reset" in started.complaints()


def test_the_host_does_not_write_while_calibration_owns_the_registers(bench: Bench) -> None:
    steps = start.start(bench.registers, BOARD, FIRMWARE)
    answer: bytes | None = None
    while True:
        step = next(steps) if answer is None else steps.send(answer)
        if isinstance(step, Wait) and step.seconds == calibration.CALIBRATION_S:
            break
        answer = bench.turn(step) if isinstance(step, Wait) else bench.transfer(step)
    bench.transfer(bytes((0x80 | 35, 0)))
    assert "while the MCU owns the registers" in bench.complaints()


def test_calibration_taken_back_early_fails(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration, "CALIBRATION_S", 1.0)
    with pytest.raises(StartFailure, match="calibration status 0x01"):
        bench.started()
    assert "taken back early" in bench.complaints()


def test_a_mailbox_value_without_wait_is_not_taken(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def without_wait(registers: Registers, value: int, status: int) -> Steps[None]:
        yield from registers.write(reg.RADIO_SELECT, value)
        seen = yield from registers.read(reg.AGC_STATUS)
        assert seen != status
        raise StartFailure("agc", "stop here")

    monkeypatch.setattr(start, "_tell_agc", without_wait)
    with pytest.raises(StartFailure, match="stop here"):
        bench.started()
    assert "without WAIT" in bench.complaints()


def test_the_radios_are_the_gain_controls_once_it_runs(started: Bench) -> None:
    started.run(write_radio(started.registers, 0, 0x01, 0))
    assert "radio SPI while the gain control owns it" in started.complaints()


def test_nothing_is_sent_before_the_gain_control_runs(bench: Bench) -> None:
    bench.run(bench.registers.reset())
    bench.run(bench.registers.write(reg.TX_TRIG_ALL, 1))
    assert "before the gain control runs" in bench.complaints()


# -- what can be made to fail


@pytest.mark.parametrize(
    ("fault", "value", "part", "words"),
    [
        ("missing_chip", True, "chip", "no concentrator answers: every byte read is 0xff"),
        ("stuck_miso", 0, "chip", "every byte read is 0x00"),
        ("stuck_miso", 0x55, "version", "chip version reads 85, expected 103"),
        ("pll", "A", "pll", "PLL of radio A does not lock at 867.500 MHz"),
        ("pll", "B", "pll", "PLL of radio B"),
        ("calibration", 0x01, "calibration", "calibration status 0x01"),
        ("corrupt_firmware", 5000, "firmware", "wrong in 1 of 8192 bytes, 5 times, byte 5000 each time"),
        ("agc_stuck", "never", "agc", "gain control status 0x00, expected 0x10"),
    ],
)
def test_each_fault_of_the_start_is_named_and_is_over_when_it_is_over(
    bench: Bench, fault: str, value: object, part: str, words: str
) -> None:
    bench.chip.faults.set(fault, value)
    with pytest.raises(StartFailure, match=words) as caught:
        bench.started()
    assert caught.value.part == part
    bench.chip.faults.set(fault, None)
    bench.registers = Registers()
    bench.started()
    assert bench.chip.receiving


def test_half_a_calibration_is_a_warning(bench: Bench) -> None:
    bench.chip.faults.set("calibration", 0xBF & ~0x20)
    assert bench.started().warnings == ("transmit offset of radio A not calibrated",)


def test_bit_errors_come_at_their_rate_and_only_above_the_given_clock(bench: Bench) -> None:
    bench.chip.faults.set("bit_error_rate", 1e-3)
    bench.chip.faults.set("bit_errors_above_hz", 1_000_000)
    clean = bytes((0x2B,)) + bytes(1000)
    assert len({bench.chip.transfer(clean, 1_000_000) for _ in range(20)}) == 1
    assert len({bench.chip.transfer(clean, 2_000_000) for _ in range(20)}) > 5


def test_a_frozen_counter_thaws_with_the_reset_that_cures_it(started: Bench) -> None:
    started.chip.faults.set("frozen_counter", "soft_reset")
    first = started.run(counter.read_live(started.registers))
    started.now_us += 5_000_000
    assert started.run(counter.read_live(started.registers)) == first
    started.started()
    assert started.run(counter.read_live(started.registers)) > 0
    assert started.chip.faults.frozen_counter is None


def test_a_dead_receiver_survives_a_soft_reset_when_only_the_pin_cures_it(started: Bench) -> None:
    uplink = Uplink(frequency_hz=868_100_000, payload=b"x")
    started.chip.faults.set("rx_dead", "hard_reset")
    started.started()
    assert started.chip.hear(uplink) == "receiver dead"
    started.chip.set_reset(True)
    started.chip.set_reset(False)
    started.started()
    assert started.chip.hear(uplink) is None


def test_without_pps_the_latched_counter_stays(started: Bench) -> None:
    first = started.run(counter.read_latched(started.registers))
    started.now_us += 3_000_000
    assert started.run(counter.read_latched(started.registers)) - first == 3_000_000
    started.chip.faults.set("no_pps", True)
    latched = started.run(counter.read_latched(started.registers))
    started.now_us += 3_000_000
    assert started.run(counter.read_latched(started.registers)) == latched


def test_the_counter_wraps_where_it_is_told_to(started: Bench) -> None:
    started.chip.set_counter((1 << 32) - 1000)
    started.now_us += 2000
    assert started.chip.counter() == 1000


def test_a_vanished_bus_raises(started: Bench) -> None:
    started.chip.faults.set("spi_gone", True)
    with pytest.raises(SpiBroken):
        started.transfer(b"\x01\x00")


def test_an_unknown_fault_is_refused(bench: Bench) -> None:
    with pytest.raises(ValueError, match="no fault 'gremlin'"):
        bench.chip.faults.set("gremlin", True)
