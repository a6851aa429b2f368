"""Our sequences against the recorded transfers of the reference driver (tests/vectors/sx1301/README.md)."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from drivers.lora_sx1301 import boards, calibration, counter, receive, registers, send, start
from drivers.lora_sx1301.firmware import Firmware, check_image, parse_image
from drivers.lora_sx1301.receive import Crc
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.send import Emission, FskModulation, LoraModulation, Trigger
from drivers.lora_sx1301.steps import Steps, Wait

T = TypeVar("T")
TRACES = Path(__file__).parent / "sx1301"


FREQUENCIES = [868_100_000, 868_300_000, 868_500_000, *range(867_100_000, 868_000_000, 200_000)]
OFFSETS = calibration.Offsets(
    i=(bytes.fromhex("fdfeff0001020304"), bytes(8)), q=(bytes.fromhex("050403020100fffe"), bytes(8))
)
IMAGES = {
    name: bytes([7 * n + at // 1024 for at in range(8192)]) for n, name in enumerate(("cal", "arb", "agc"))
}


def transfers(name: str, first: int | None = None, last: int | None = None) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (TRACES / f"{name}.jsonl").read_text().splitlines()]
    rows = [row for row in rows if "tx" in row]
    return [
        row for row in rows if (first is None or row["n"] >= first) and (last is None or row["n"] <= last)
    ]


def replay(steps: Steps[T], rows: list[dict[str, Any]]) -> tuple[T, float]:
    """Drive ``steps`` with the recorded MISO, comparing MOSI to the last row; result and waits."""
    pending: Iterator[dict[str, Any]] = iter(rows)
    waited, answer = 0.0, None
    try:
        while True:
            step = next(steps) if answer is None else steps.send(answer)
            if isinstance(step, Wait):
                waited += step.seconds
                answer = b""
                continue
            row = next(pending, None)
            assert row is not None, f"one transfer too many: {step[:8].hex()}"
            answer = compare(step, row)
    except StopIteration as stop:
        assert next(pending, None) is None, "the recording goes on"
        return stop.value, waited


def compare(mosi: bytes, row: dict[str, Any]) -> bytes:
    assert len(mosi) == sum(row["seg"]), f"transfer {row['n']}"
    if "sha256:" not in row["tx"]:
        assert mosi.hex() == row["tx"], f"transfer {row['n']}"
        return bytes.fromhex(row["rx"]) if row["rx"] else bytes(len(mosi))
    return compare_firmware(mosi, row)


def compare_firmware(mosi: bytes, row: dict[str, Any]) -> bytes:
    """The recording has a digest where the image goes; ours stands in its place, chunk for chunk."""
    assert mosi[:1].hex() == row["tx"].split()[0], f"transfer {row['n']}"
    image = next(name for last, name in ((273, "cal"), (498, "arb"), (522, "agc")) if row["n"] <= last)
    chunk = (row["n"] - {"cal": 257, "arb": 482, "agc": 506}[image]) % 9 * 1024
    content = IMAGES[image][chunk : chunk + 1024]
    if mosi[0] & registers.WRITE:
        assert mosi[1:] == content, f"transfer {row['n']}"
        return bytes(len(mosi))
    assert hashlib.sha256(mosi[1:]).hexdigest() == digest(row["tx"]), f"transfer {row['n']}"
    return b"\0" + content


def digest(field: str) -> str:
    return field.split("sha256:")[1].split()[0]


@pytest.mark.parametrize(
    ("trace", "table", "stop_at"),
    [("eu868_start", "rak_current", None), ("eu_start_rak2245_2019", "rak_2019", 602)],
)
def test_the_start_equals_the_reference_transfer_by_transfer(
    trace: str, table: str, stop_at: int | None
) -> None:
    board = boards.rak2245("EU868", table)
    rows = transfers(trace, last=stop_at)
    assert len(rows) == 603
    found, waited = replay(start.start(Registers(), board, Firmware(**IMAGES)), rows)
    assert found.status == 0xBF
    assert not found.warnings
    assert found.offsets == OFFSETS
    assert 2.8 < waited < 3.0


def test_the_images_go_out_in_the_order_of_the_reference() -> None:
    """Each image reads back as it was written, and the three are different ones."""
    rows = {row["n"]: row for row in transfers("eu868_start")}
    written = {first: [digest(rows[n]["tx"]) for n in range(first, first + 8)] for first in (257, 482, 506)}
    read = {first: [digest(rows[n]["rx"]) for n in range(first + 9, first + 17)] for first in (257, 482, 506)}
    assert written == read
    assert len({tuple(chunks) for chunks in written.values()}) == 3


@pytest.mark.skipif(
    "OFFGRID_FIRMWARE_DIR" not in os.environ, reason="the images are Semtech's; set OFFGRID_FIRMWARE_DIR"
)
def test_the_real_images_have_the_digests_of_the_recording() -> None:
    rows = {row["n"]: row for row in transfers("eu868_start")}
    folder = Path(os.environ["OFFGRID_FIRMWARE_DIR"])
    for name, first in (("cal", 257), ("arb", 482), ("agc", 506)):
        image = parse_image((folder / f"{name}_fw.var").read_bytes())
        check_image(name, image)
        chunks = [hashlib.sha256(image[at : at + 1024]).hexdigest() for at in range(0, 8192, 1024)]
        assert chunks == [digest(rows[n]["tx"]) for n in range(first, first + 8)]


def registers_on(page: int) -> Registers:
    chip = Registers()
    list(chip.select(page))
    return chip


def test_sixteen_packets_are_read_and_popped_as_the_reference_does() -> None:
    packets, _ = replay(receive.receive(registers_on(2)), transfers("eu868_rx4"))
    board = boards.rak2245("EU868")
    assert [packet.payload[:6].hex() for packet in packets] == [f"40{n:02x}01020304" for n in range(16)]
    assert [packet.crc for packet in packets[:3]] == [Crc.OK, Crc.BAD, Crc.MISSING]
    receptions = [receive.correct(packet, board) for packet in packets]
    assert [(r.packet.if_chain, r.packet.spreading_factor, r.frequency_hz) for r in receptions if r] == [
        (n % 8, 7 + n % 6, FREQUENCIES[n % 8]) for n in range(16)
    ]


def test_standard_lora_and_fsk_packets_decode_to_the_values_of_the_facts() -> None:
    board = boards.rak2245("EU868")
    packets, _ = replay(receive.receive(registers_on(2)), transfers("eu868_rx6"))
    lora, fsk = (receive.correct(packet, board) for packet in packets)
    assert lora is not None and fsk is not None
    assert lora.packet.payload.hex() == "0011223344"
    assert (lora.packet.spreading_factor, lora.packet.coding_rate, lora.bandwidth_hz) == (7, "4/5", 250_000)
    assert (lora.packet.snr_db, lora.packet.snr_min_db, lora.packet.snr_max_db) == (3.25, 2.25, 4.25)
    assert (lora.frequency_hz, lora.rssi_dbm) == (868_300_000, 0x56 - 166)
    # 2(5+2)-(7-7) > 0: y = (64*8 + 4*8)//2 = 272; z = 20*((14-7+6) % 7 + 1)//2 = 70; base 32
    assert lora.counter_us == (0x03E8 - 374) % (1 << 32)
    assert fsk.packet.payload.hex() == "99aabb"
    assert (fsk.frequency_hz, fsk.packet.spreading_factor) == (868_800_000, 0)
    level = 0x6A - 166
    assert fsk.rssi_dbm == pytest.approx(60 + 1.5351 * level + 0.003 * level**2)
    assert fsk.counter_us == 2_000_000 + 7  # 680000/50000 - 20 = -7 (13.6 rounded down)


LORA_SF12 = LoraModulation(
    spreading_factor=12, bandwidth_hz=125_000, coding_rate="4/5", crc=False, invert_iq=True
)


@pytest.mark.parametrize(
    ("trace", "power_dbm", "trigger", "modulation", "payload", "at"),
    [
        ("eu868_tx1", 14, Trigger.TIMESTAMP, LORA_SF12, "60ad0001020304", 0x0041EE0B + 1495),
        ("eu868_tx2", 27, Trigger.IMMEDIATE, LORA_SF12, "60ad0001020304", None),
        (
            "eu868_tx3",
            14,
            Trigger.GPS,
            LoraModulation(
                spreading_factor=9, bandwidth_hz=125_000, coding_rate="4/5", crc=False, invert_iq=True
            ),
            "beac00",
            None,
        ),
        (
            "eu868_tx4",
            14,
            Trigger.TIMESTAMP,
            FskModulation(bit_rate=50_000, deviation_khz=25),
            "f00df00d",
            0x004CCE09 + 1497,
        ),
    ],
)
def test_a_send_equals_the_reference_byte_for_byte(
    trace: str,
    power_dbm: float,
    trigger: Trigger,
    modulation: LoraModulation | FskModulation,
    payload: str,
    at: int | None,
) -> None:
    board = boards.rak2245("EU868")
    index = send.gain_index(board.gains, power_dbm)
    emission = Emission(
        frequency_hz=869_525_000,
        gain_index=index,
        modulation=modulation,
        payload=bytes.fromhex(payload),
        trigger=trigger,
        counter_us=at,
    )
    replay(send.send(registers_on(2), emission, board.gains[index], OFFSETS), transfers(trace))


def test_the_live_counter_costs_five_transfers() -> None:
    value, _ = replay(counter.read_live(registers_on(2)), transfers("eu868_session", 665, 669))
    assert value == 0x0032B1A2


def test_stop_is_one_soft_reset() -> None:
    replay(start.stop(Registers()), transfers("eu868_stop"))
