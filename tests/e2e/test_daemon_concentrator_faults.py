"""Each fault of a concentrator through the daemon: named in /status and log, mended; nobody else notices."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from concentrator_house import RATE, ROWS, SMALL, Home, home

from gateway.cli.running import ask as tell
from simulators.concentrator.images import TEST_IMAGES
from simulators.concentrator.rig import Rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    board = tmp_path / "board"
    board.mkdir()
    with Rig(board, rate=RATE) as rig:
        yield rig


async def lora_hears_and_answers(there: Home, case: int) -> None:
    """A payment's ledger goes in by radio, and its promise comes back."""
    await there.until(lambda: there.rig.chip.receiving)
    await there.service(state="running")
    await there.heard_by_lora(SMALL[case])


async def http_takes_another(there: Home, row: int) -> None:
    assert (await there.post(ROWS[row])).status == 200


@pytest.mark.parametrize(
    ("fault", "value", "words"),
    [
        ("missing_chip", True, "no concentrator answers: every byte read is 0xff"),
        ("stuck_miso", 0x00, "no concentrator answers: every byte read is 0x00"),
        ("bit_error_rate", 1e-3, "SPI; tried at 2 MHz and 1 MHz"),
        ("pll", "B", "the PLL of radio B does not lock at 868.500 MHz"),
        ("calibration", 0x80, "calibration status 0x80"),
        ("corrupt_firmware", 4097, "firmware reads back wrong in 1 of 8192 bytes"),
        ("spi_gone", True, "SPI device vanished"),
    ],
)
async def test_a_fault_at_the_start_is_named_and_over_when_it_is_over(
    rig: Rig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    value: object,
    words: str,
) -> None:
    rig.set_fault(fault, value)
    async with home(tmp_path, rig, caplog, monkeypatch) as there:
        await http_takes_another(there, 0)
        told = await there.service(state="waiting", reason=words)
        assert told["restarts"] >= 1
        assert there.said(words)
        while words not in " ".join((await there.get("/health"))["reasons"]):
            await asyncio.sleep(0.02)
        await http_takes_another(there, 1)
        rig.set_fault(fault, None)
        await lora_hears_and_answers(there, 0)
        await there.all_promised_is_cosigned(3)


async def test_noise_of_1e_5_costs_nothing_but_repetitions(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.set_fault("bit_error_rate", 1e-5)
    async with home(tmp_path, rig, caplog, monkeypatch) as there:
        await there.until(lambda: rig.chip.receiving)
        await there.service(state="running")
        for case in range(3):
            await lora_hears_and_answers(there, case)
            await http_takes_another(there, case)
        await there.all_promised_is_cosigned(3)


async def test_missing_firmware_halts_that_radio_with_the_command_to_run(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (rig.folder / "agc.bin").unlink()
    (rig.folder / "cal.bin").write_bytes(TEST_IMAGES["cal"][:-2] + b"\x01\x00")
    async with home(tmp_path, rig, caplog, monkeypatch) as there:
        told = await there.service(state="halted")
        assert "agc: missing; cal: the word at byte 8190 fails its parity" in told["reason"]
        assert "offgrid-gateway firmware import" in told["reason"]
        await http_takes_another(there, 0)
        assert told["restarts"] == 0
        for name, image in TEST_IMAGES.items():
            (rig.folder / f"{name}.bin").write_bytes(image)
        control = tmp_path / "run" / "control.sock"
        await asyncio.to_thread(tell, control, "restart", {"service": "lora"})
        await lora_hears_and_answers(there, 0)
        await there.all_promised_is_cosigned(2)


@pytest.mark.parametrize(
    ("fault", "value", "words"),
    [
        ("frozen_counter", "soft_reset", "the counter is frozen at"),
        ("frozen_counter", "hard_reset", "the counter is frozen at"),
        ("agc_stuck", "hard_reset", "gain control status"),
        ("spi_gone", True, "SPI device vanished"),
        ("missing_chip", True, "no concentrator answers: every byte read is 0xff"),
    ],
)
async def test_a_fault_while_it_runs_is_named_and_over_when_it_is_over(
    rig: Rig,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    fault: str,
    value: object,
    words: str,
) -> None:
    cured = isinstance(value, str)  # by a reset, of itself
    async with home(tmp_path, rig, caplog, monkeypatch) as there:
        await lora_hears_and_answers(there, 0)
        rig.set_fault(fault, value)
        await there.until(lambda: there.said(words))
        await http_takes_another(there, 0)
        if cured:
            await there.service(note=f"last reset: {words}")
            while not (await there.service())["gauges"][f"resets_{str(value).removesuffix('_reset')}"]:
                await asyncio.sleep(0.02)
        else:
            await there.service(state="waiting", reason=words if fault == "spi_gone" else "no concentrator")
            rig.set_fault(fault, None)
            await there.service(state="running")
        await lora_hears_and_answers(there, 1)
        await there.all_promised_is_cosigned(3)


async def test_deaf_receivers_are_reset_when_silence_is_unusual(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = rig.settings(watchdog_s=0.5, silence_s=1.0)
    lora = {"options": options, "frequency": 868, "region": "EU868", "driver": "lora_sx1301"}
    async with home(tmp_path, rig, caplog, monkeypatch, lora=lora) as there:
        await there.until(lambda: rig.chip.receiving)
        for n in range(25):
            rig.hear(b"another network's %d" % n)
            await asyncio.sleep(0.005)
        rig.set_fault("rx_dead", "soft_reset")
        await there.until(lambda: there.said("nothing received for"))
        await http_takes_another(there, 0)
        told = await there.service(note="last reset: nothing received for")
        assert told["gauges"]["resets_soft"] == 1
        await lora_hears_and_answers(there, 0)
        await there.all_promised_is_cosigned(2)
