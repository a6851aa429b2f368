"""``test-lora`` and ``firmware`` as a technician types them, on a simulated board."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from concentrator_house import RATE, home
from daemon_rig import command

from gateway.cli import firmware, main, selftest
from simulators.concentrator.images import TEST_IMAGES
from simulators.concentrator.rig import Rig
from simulators.gps.receiver import GpsReceiver

STEPS = ["firmware", "SPI", "reset", "version", "burst", "PLL", "calibration", "microcontrollers", "counter"]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    board = tmp_path / "board"
    board.mkdir()
    with Rig(board, rate=RATE) as rig:
        yield rig


def configured(root: Path, rig: Rig, lora: dict[str, Any], **sections: Any) -> Path:
    path = root / "c.yml"
    document = {
        "gateway": {"id": "gw_1", "location": {"lat": 1.0, "lon": 2.0, "name": "Here"}, "type": "lora"},
        "network": {"api_url": "https://c.example", "ws_url": "wss://c.example"},
        "storage": {"path": "gateway.db"},
        "runtime_dir": "run",
        "lora": {"frequency": 868, "driver": "lora_sx1301", "options": rig.settings(), **lora},
        **sections,
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def run(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """``test-lora`` with these options, on the model's clock."""
    monkeypatch.setattr(selftest, "SystemClock", lambda: rig.clock)

    def typed(*options: str, lora: dict[str, Any] | None = None, **sections: Any) -> Result:
        path = configured(tmp_path, rig, {"region": "EU868"} if lora is None else lora, **sections)
        return CliRunner().invoke(main, ["test-lora", "--config", str(path), "--seconds", "2", *options])

    return typed


def checks(result: Result) -> dict[str, dict[str, str]]:
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


@contextmanager
def traffic(rig: Rig) -> Iterator[None]:
    """A device that sends as long as the chip receives."""
    over = threading.Event()

    def send() -> None:
        while not over.wait(0.02):
            if rig.chip.receiving:
                with suppress(RuntimeError):  # while it transmits
                    rig.hear(b"a device that is tried out", frequency_hz=868_300_000)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_a_board_that_is_well_passes_every_step(rig: Rig, run: Any) -> None:
    zero_s = 1_830_000_000
    rig.clock.set_rate(1.0)  # a frame is programmed 30 ms before it leaves; a busy host needs them all
    with GpsReceiver(rig.clock.micros, unix_at_zero_s=zero_s) as gps, traffic(rig):
        result = run("--json", "--yes", gps={"address": gps.path})
    assert result.exit_code == 0, result.output
    seen = checks(result)
    assert list(seen) == [*STEPS, "PPS", "TX", "RX", "GPS"]
    assert {check["verdict"] for check in seen.values()} == {"pass"}
    assert "frames in 2 s" in seen["RX"]["seen"]
    document = json.loads(result.stdout)
    (channel,) = document["channels"]
    assert (channel["frequencyHz"], channel["spreadingFactor"]) == (868_300_000, 7)
    (sent,) = rig.emissions()
    assert abs(sent.frequency_hz - 869_525_000) < 62
    assert "869.525 MHz, SF7, 125 kHz, 14 dBm EIRP" in seen["TX"]["seen"]


@pytest.mark.parametrize(
    ("fault", "value", "step", "verdict", "words"),
    [
        ("missing_chip", True, "version", "fail", "no concentrator answers: every byte read is 0xff"),
        ("stuck_miso", 0x42, "version", "fail", "chip version reads 66"),
        ("bit_error_rate", 1e-3, "burst", "fail", "read back wrong"),
        ("pll", "A", "PLL", "fail", "the PLL of radio A does not lock"),
        ("calibration", 0x80, "calibration", "fail", "calibration status 0x80"),
        ("corrupt_firmware", 4097, "calibration", "fail", "the chip's memory is damaged"),
        ("frozen_counter", "never", "counter", "fail", "the counter is frozen"),
        ("calibration", 0xF7, "calibration", "warn", "receive image of radio A not calibrated"),
        ("agc_stuck", "never", "microcontrollers", "fail", "gain control status 0x00"),
        ("spi_gone", True, "SPI", "fail", "SPI device vanished"),
        ("no_pps", True, "PPS", "warn", "latched no pulse"),
    ],
)
def test_what_is_wrong_has_its_line_and_what_to_do(
    rig: Rig, run: Any, fault: str, value: object, step: str, verdict: str, words: str
) -> None:
    rig.set_fault(fault, value)
    result = run("--json")
    seen = checks(result)
    assert seen[step]["verdict"] == verdict
    assert words in seen[step]["seen"]
    assert seen[step]["fix"]
    assert seen[step]["fix"] not in seen[step]["seen"]
    assert result.stderr == ""
    assert result.exit_code == (1 if verdict == "fail" else 0)
    names = list(seen)
    assert all(seen[name]["verdict"] == "pass" for name in names[: names.index(step)])
    if verdict == "fail":
        assert names[-1] == step


def test_noise_that_half_the_clock_cures_is_a_warning(rig: Rig, run: Any) -> None:
    rig.set_fault("bit_error_rate", 1e-3)
    rig.set_fault("bit_errors_above_hz", 1_500_000)
    seen = checks(run("--json"))
    assert seen["burst"]["verdict"] == "warn"
    assert "at 1 MHz, but not at 2 MHz" in seen["burst"]["seen"]


def test_missing_firmware_is_named_with_the_command_and_the_pins_are_tested_all_the_same(
    rig: Rig, run: Any
) -> None:
    (rig.folder / "arb.bin").unlink()
    result = run()
    assert result.exit_code == 1
    assert "FAIL  firmware" in result.stdout
    assert "offgrid-gateway firmware import" in result.stdout
    assert "ok    reset" in result.stdout
    assert "ok    burst" in result.stdout
    assert "PLL" not in result.stdout
    rig.set_fault("missing_chip", True)
    seen = checks(run("--json"))
    assert [seen[name]["verdict"] for name in ("firmware", "SPI", "version")] == ["fail", "pass", "fail"]


def test_nothing_is_sent_without_a_yes_or_without_a_region(rig: Rig, run: Any) -> None:
    assert "TX" not in checks(run("--json"))
    assert "TX" not in checks(run("--json", "--yes", lora={}))
    assert rig.emissions() == []


def test_silence_is_a_warning_and_a_gps_that_is_not_there_a_failure(
    rig: Rig, run: Any, tmp_path: Path
) -> None:
    result = run(gps={"address": str(tmp_path / "none")})
    assert result.exit_code == 1
    assert "WARN  RX               nothing heard in 2 s" in result.stdout
    assert "FAIL  GPS" in result.stdout
    assert result.stdout.endswith("lora: 10 pass, 1 warn, 1 fail\n")


async def test_it_refuses_while_the_gateway_holds_the_radio_and_says_how_to_stop_it(
    rig: Rig, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with home(tmp_path, rig, caplog, monkeypatch) as there:
        await there.until(lambda: rig.chip.receiving)
        code, out, error = await command("test-lora", "--config", str(there.house.config))
        assert (code, out) == (1, "")
        assert "the gateway is running and holds the radio 'lora'" in error
        assert "sudo systemctl stop offgrid-gateway" in error
        await there.service(state="running")


def test_firmware_is_imported_where_the_radio_looks_for_it(rig: Rig, tmp_path: Path) -> None:
    path = configured(tmp_path, rig, {})
    images = tmp_path / "libloragw"
    images.mkdir()
    for name, image in TEST_IMAGES.items():
        body = ",".join(f"0x{byte:02X}" for byte in image)
        (images / f"{name}_fw.var").write_text(f"static uint8_t {name}_firmware[8192] = {{{body}}};")
        (rig.folder / f"{name}.bin").unlink()
    typed = CliRunner()
    missing = typed.invoke(main, ["firmware", "status", "--config", str(path)])
    assert (missing.exit_code, missing.stdout.count("missing")) == (1, 3)
    assert "offgrid-gateway firmware import" in missing.stderr
    done = typed.invoke(main, ["firmware", "import", "--config", str(path), str(images)])
    assert done.exit_code == 0
    assert done.stdout.count(": right") == 3
    assert done.stdout.endswith("offgrid-gateway restart lora\n")
    status = typed.invoke(main, ["firmware", "status", "--json", "--config", str(path)])
    assert status.exit_code == 0
    assert [(one["image"], one["problem"]) for one in json.loads(status.stdout)["lora"]] == [
        ("arb", None),
        ("agc", None),
        ("cal", None),
    ]


def test_a_damaged_image_is_refused_and_nothing_is_stored(rig: Rig, tmp_path: Path) -> None:
    options = {**rig.settings(), "firmware": str(tmp_path / "new")}
    path = configured(tmp_path, rig, {"options": options})
    damaged = bytearray(TEST_IMAGES["agc"])
    damaged[100] ^= 1
    (rig.folder / "agc.bin").write_bytes(damaged)
    done = CliRunner().invoke(main, ["firmware", "import", "--config", str(path), str(rig.folder)])
    assert done.exit_code == 1
    assert "not found: agc" in done.stderr
    assert not (tmp_path / "new").exists()


def test_without_a_concentrator_configured_firmware_goes_where_one_would_look(tmp_path: Path) -> None:
    path = tmp_path / "c.yml"
    path.write_text(
        "gateway: {id: gw_1, location: {lat: 1, lon: 2, name: Here}, type: mesh}\n"
        "network: {api_url: https://c.example, ws_url: wss://c.example}\n"
        "storage: {path: state/gateway.db}\n"
    )
    done = CliRunner().invoke(firmware.command, ["status", "--config", str(path)])
    assert str(tmp_path / "state" / "firmware" / "arb.bin") in done.stdout
