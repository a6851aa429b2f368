"""The model's two sockets, and the model as a process of its own."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from drivers.base import LoraDownlink, TxRequest
from drivers.lora_sx1301 import Sx1301Driver
from drivers.transport.gpio import open_output
from drivers.transport.spi import open_spi
from simulators.concentrator.rig import Rig
from simulators.concentrator.tell import main as tell


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, rate=20) as rig:
        yield rig


class Control:
    """A client of the control socket."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(10)
        self._socket.connect(path + ".ctl")
        self._lines = self._socket.makefile("r")

    def ask(self, **request: Any) -> Any:
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        return self.next()

    def next(self) -> Any:
        return json.loads(self._lines.readline())

    def __enter__(self) -> Control:
        return self

    def __exit__(self, *_: object) -> None:
        self._lines.close()
        self._socket.close()


def test_pins_answer_transfers_and_levels(rig: Rig) -> None:
    address = f"unix:{rig.server.path}"
    spi, line = open_spi(address, 2_000_000), open_output(address)
    assert spi.transfer(b"\x01\x00") == b"\x00\x67"
    line.set(True)
    assert spi.transfer(b"\x01\x00") == b"\x00\x00"
    line.set(False)
    assert spi.transfer(b"\x01\x00") == b"\x00\x67"
    rig.set_fault("spi_gone", True)
    with pytest.raises(OSError, match="vanished"):
        spi.transfer(b"\x01\x00")
    spi.close()
    line.close()


@pytest.mark.parametrize("message", [b"X\0\0\0\0", b"S\0\0\0\1x", b"G\0\0\0\1x"])
def test_an_unknown_message_is_answered_with_an_error(rig: Rig, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as pins:
        pins.connect(str(rig.server.path))
        pins.sendall(message)
        assert pins.recv(5) == struct.pack(">cI", b"E", 15)


def test_an_oversized_message_ends_the_connection(rig: Rig) -> None:
    with socket.socket(socket.AF_UNIX) as pins:
        pins.connect(str(rig.server.path))
        pins.sendall(struct.pack(">cI", b"S", 1 << 30))
        assert pins.recv(1) == b""


def test_the_control_socket_says_what_it_does_not_understand(rig: Rig) -> None:
    with Control(str(rig.server.path)) as control:
        assert "no operation 'dance'" in control.ask(op="dance")["error"]
        assert "no fault 'gremlin'" in control.ask(op="fault", name="gremlin")["error"]
        assert "error" in control.ask(op="rx", payload="zz", frequency_hz=1)
        assert "error" in control.ask(hello=1)
        assert control.ask(op="rx", payload="00", frequency_hz=868_100_000) == {
            "heard": False,
            "reason": "not started",
        }
        status = control.ask(op="status")
        assert status["receiving"] is False
        assert status["unheard"] == ["not started"]


async def test_the_air_puts_frames_in_and_is_told_what_is_sent(rig: Rig) -> None:
    with Control(str(rig.server.path)) as control:
        async with Sx1301Driver("hill", rig.settings(region="EU868"), clock=rig.clock) as radio:
            rig.clock.set_rate(1.0)
            control.ask(op="subscribe")
            ahead_us = rig.clock.micros() + 100_000
            heard = control.ask(
                op="rx",
                frequency_hz=868_500_000,
                payload="c0ffee",
                spreading_factor=8,
                coding_rate="4/6",
                rssi_dbm=-99,
                snr_db=3,
                end_us=ahead_us,
            )
            assert heard == {"heard": True}
            frame = await anext(radio.frames())
            assert frame.payload.hex() == "c0ffee"
            assert frame.lora is not None
            assert (frame.lora.coding_rate, frame.lora.rssi_dbm) == ("4/6", -99)
            control.ask(op="rx", modulation="fsk", frequency_hz=868_800_000, payload="f00d")
            fsk = await anext(radio.frames())
            assert fsk.lora is not None
            assert (fsk.payload.hex(), fsk.lora.spreading_factor, fsk.lora.channel) == ("f00d", 0, 9)
            downlink = LoraDownlink(
                frequency_hz=869_525_000,
                spreading_factor=7,
                bandwidth_hz=125_000,
                counter_us=frame.lora.counter_us + 1_000_000,
            )
            await radio.transmit(TxRequest(payload=b"\xaa\xbb", lora=downlink))
            event = control.next()
            assert (event["event"], event["payload"], event["inverted_iq"]) == ("tx", "aabb", True)
            assert event["start_us"] - ahead_us == 1_000_000


async def test_the_model_runs_as_a_process_with_its_own_firmware(tmp_path: Path) -> None:
    path = tmp_path / "run" / "sx1301.sock"
    firmware = tmp_path / "firmware"
    command = [
        sys.executable,
        "-m",
        "simulators.concentrator",
        "--socket",
        str(path),
        "--firmware",
        str(firmware),
    ]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == f"listening on unix:{path}\n".encode()
        await process.stdout.readline()
        printed = b"".join([await process.stdout.readline() for _ in range(9)])
        settings = yaml.safe_load(printed)["lora"]["options"]
        with Rig(tmp_path) as other:  # only for its clock: true speed
            async with Sx1301Driver("hill", settings, clock=other.clock) as radio:
                with Control(str(path)) as control:
                    control.ask(op="rx", frequency_hz=868_100_000, payload="01")
                    assert (await anext(radio.frames())).payload == b"\x01"
                    assert control.ask(op="status")["violations"] == []
    finally:
        process.terminate()
        await process.wait()
    assert process.returncode == 0
    assert not path.exists()


async def test_full_load_on_eight_channels_overruns_nothing(rig: Rig) -> None:
    """22 frames of 222 bytes a second, then 190 of 12: half a second of each, on the chip's clock. That a
    machine does it at full speed is measured by ``python -m benchmarks concentrator``."""
    async with Sx1301Driver("hill", rig.settings(), clock=rig.clock) as radio:
        rig.clock.set_rate(0.25)
        frequencies = [radio._settings.board.frequency_hz(n) for n in range(8)]
        with Control(str(rig.server.path)) as control:
            for rate, size in ((22, 222), (190, 12)):
                begin_us, count = rig.clock.micros() + 100_000, rate // 2
                for n in range(count):
                    control.ask(
                        op="rx",
                        frequency_hz=frequencies[n % 8],
                        payload=bytes(size).hex(),
                        end_us=begin_us + n * 1_000_000 // rate,
                    )
                frames = radio.frames()
                for _ in range(count):
                    assert len((await anext(frames)).payload) == size
            assert control.ask(op="status")["unheard"] == []
        assert radio.stats().frames == {"ok": 106}


def test_a_technician_tells_the_model_of_faults_and_frames(
    rig: Rig, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(rig.server.path)
    assert tell([path, "fault", "name=pll", "value=B"]) == 0
    assert tell([path, "fault", "name=bit_error_rate", "value=1e-5"]) == 0
    assert (rig.chip.faults.pll, rig.chip.faults.bit_error_rate) == ("B", 1e-5)
    assert tell([path, "fault", "name=pll", "value=null"]) == 0
    assert rig.chip.faults.pll == ""
    capsys.readouterr()
    assert tell([path, "rx", "frequency_hz=868100000", "payload=0011"]) == 0
    assert json.loads(capsys.readouterr().out) == {"heard": False, "reason": "not started"}
    assert tell([path, "fault", "name=frozen_counter", "value=maybe"]) == 1
    assert "fault 'frozen_counter' cannot be 'maybe'" in capsys.readouterr().out
    assert tell([f"{path}.none", "status"]) == 1
    assert "python -m simulators.concentrator --socket" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        tell([path, "fault", "pll"])
    assert "'pll' is not NAME=VALUE" in capsys.readouterr().err
