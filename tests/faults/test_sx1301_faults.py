"""Each fault of a concentrator: named in words, survived where it can be, over when it is over."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from drivers.base import LoraDownlink, TxRequest
from drivers.errors import DriverConfigError, DriverLost, TransmitRefused
from drivers.lora_sx1301 import Sx1301Driver
from drivers.lora_sx1301.firmware import FirmwareRejected
from drivers.lora_sx1301.images import firmware_status, import_firmware
from simulators.concentrator.images import TEST_IMAGES, TEST_SHA256
from simulators.concentrator.rig import Rig

RATE = 10.0


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with Rig(tmp_path, rate=RATE) as rig:
        yield rig


@asynccontextmanager
async def opened(rig: Rig, **settings: Any) -> AsyncIterator[Sx1301Driver]:
    chosen = rig.settings(watchdog_s=2.0, **settings)
    async with Sx1301Driver("hill", chosen, clock=rig.clock) as radio:
        yield radio


async def heard(rig: Rig, radio: Sx1301Driver, payload: bytes) -> bytes:
    rig.hear(payload)
    return (await anext(radio.frames())).payload


async def until(rig: Rig, condition: Callable[[], bool]) -> None:
    """The test's own timeout is the bound."""
    while not condition():
        await rig.clock.sleep(0.05)


# -- while it opens


@pytest.mark.parametrize(
    ("fault", "value", "words"),
    [
        ("missing_chip", True, "no concentrator answers: every byte read is 0xff"),
        ("stuck_miso", 0x00, "no concentrator answers: every byte read is 0x00"),
        ("stuck_miso", 0x42, "chip version reads 66, expected 103"),
        ("bit_error_rate", 1e-3, "SPI; tried at 2 MHz and 1 MHz"),
        ("pll", "B", "the PLL of radio B does not lock at 868.500 MHz"),
        ("calibration", 0x80, "calibration status 0x80"),
        ("corrupt_firmware", 4097, "firmware reads back wrong in 1 of 8192 bytes"),
        ("agc_stuck", "never", "gain control status 0x00"),
        ("spi_gone", True, "SPI device vanished"),
    ],
)
async def test_a_fault_at_the_start_is_named_and_when_it_goes_the_radio_comes(
    rig: Rig, fault: str, value: object, words: str
) -> None:
    rig.set_fault(fault, value)
    with pytest.raises(DriverLost) as caught:
        async with opened(rig):
            pass
    assert words in str(caught.value)
    rig.set_fault(fault, None)
    async with opened(rig) as radio:
        assert await heard(rig, radio, b"here") == b"here"


async def test_noise_at_2_mhz_is_answered_with_1_mhz(rig: Rig) -> None:
    rig.set_fault("bit_error_rate", 1e-4)
    rig.set_fault("bit_errors_above_hz", 1_000_000)
    async with opened(rig) as radio:
        assert radio.stats().gauges["spi_hz"] == 1_000_000
        assert radio.stats().note.endswith("1 MHz")
        assert await heard(rig, radio, b"here") == b"here"


async def test_a_radio_that_calibrates_in_part_works_and_says_so(rig: Rig) -> None:
    rig.set_fault("calibration", 0xBF & ~0x20)
    async with opened(rig) as radio:
        assert "transmit offset of radio A not calibrated" in radio.stats().note


async def test_nobody_listening_is_told_from_a_chip_that_does_not_answer(rig: Rig) -> None:
    settings = rig.settings(address=f"unix:{rig.folder}/none")
    with pytest.raises(DriverLost, match=r"nothing listens on .*/none"):
        async with Sx1301Driver("hill", settings, clock=rig.clock):
            pass


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"address": "spidev:9.9", "firmware": "/nowhere"}, "python -m simulators.concentrator"),
        ({"address": "spidev:x", "reset": "none"}, "is not BUS.CHIP"),
        ({"address": "tcp:x", "reset": "none"}, "SPI address 'tcp:x' is not known"),
        ({"reset": "gpio:17"}, "GPIO 17|no GPIO chip"),
        ({"reset": "pin:17"}, "GPIO address 'pin:17' is not known"),
    ],
)
async def test_off_a_pi_it_says_what_is_missing_and_what_to_do(
    rig: Rig, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(DriverConfigError, match=words):
        async with opened(rig, **settings):
            pass


# -- firmware


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda folder: (folder / "agc.bin").unlink(), "agc: missing"),
        (lambda folder: (folder / "agc.bin").write_bytes(bytes(100)), "agc: 100 bytes, expected 8192"),
        (lambda folder: (folder / "cal.bin").write_bytes(TEST_IMAGES["arb"]), "cal: this is the arb image"),
        (lambda folder: (folder / "arb.bin").write_bytes(b"\1" + TEST_IMAGES["arb"][1:]), "parity|sha256"),
    ],
)
async def test_missing_or_wrong_firmware_is_a_matter_for_a_person_with_the_command_to_run(
    rig: Rig, spoil: Callable[[Path], Any], words: str
) -> None:
    spoil(rig.folder)
    with pytest.raises(DriverConfigError, match=words) as caught:
        async with opened(rig):
            pass
    assert "offgrid-gateway firmware import" in caught.value.fix


def var_file(image: bytes) -> str:
    return "static uint8_t fw[8192] = {\n" + ",".join(f"0x{byte:02X}" for byte in image) + "};\n"


def test_firmware_is_imported_from_a_checkout_or_from_files_and_then_stands(tmp_path: Path) -> None:
    source, store = tmp_path / "src", tmp_path / "state" / "firmware"
    source.mkdir()
    for name in ("arb", "agc"):
        (source / f"{name}_fw.var").write_text(var_file(TEST_IMAGES[name]))
    (source / "loragw_hal.c").write_text("int main() { return 0; }")
    single = tmp_path / "calibration"
    single.write_bytes(TEST_IMAGES["cal"])
    assert [status.problem for status in firmware_status(store, TEST_SHA256)] == ["missing"] * 3
    stored = import_firmware([source, single], store, TEST_SHA256)
    assert [(status.name, status.problem) for status in stored] == [
        ("arb", None),
        ("agc", None),
        ("cal", None),
    ]
    assert {status.name: status.sha256 for status in stored} == dict(TEST_SHA256)
    assert hashlib.sha256((store / "cal.bin").read_bytes()).hexdigest() == TEST_SHA256["cal"]


def test_nothing_is_imported_unless_all_three_are_right(tmp_path: Path) -> None:
    (tmp_path / "arb_fw.var").write_text(var_file(TEST_IMAGES["arb"]))
    (tmp_path / "agc_fw.var").write_text(var_file(bytes(8192)))
    (tmp_path / "big.bin").write_bytes(bytes(2_000_000))
    with pytest.raises(
        FirmwareRejected, match=r"not found: agc, cal; agc_fw.var: .* none of .*; big.bin: too large"
    ):
        import_firmware([tmp_path], tmp_path / "store", TEST_SHA256)
    assert not (tmp_path / "store").exists()


# -- while it runs


@pytest.mark.parametrize(
    ("fault", "cure", "resets", "words"),
    [
        ("frozen_counter", "soft_reset", (1, 0), "the counter is frozen at"),
        ("agc_stuck", "soft_reset", (1, 0), "gain control status 0x00"),
        ("agc_stuck", "hard_reset", (1, 1), "gain control status 0x00"),
        ("frozen_counter", "hard_reset", (1, 1), "the counter is frozen at"),
    ],
)
async def test_a_hung_chip_is_found_and_reset_by_software_then_by_the_pin(
    rig: Rig, fault: str, cure: str, resets: tuple[int, int], words: str
) -> None:
    async with opened(rig) as radio:
        assert await heard(rig, radio, b"before") == b"before"
        rig.set_fault(fault, cure)
        await until(rig, lambda: getattr(rig.chip.faults, fault) is None)
        await until(rig, lambda: words in radio.stats().note and rig.chip.receiving)
        gauges = radio.stats().gauges
        assert (int(gauges["resets_soft"]), int(gauges["resets_hard"])) == resets
        assert await heard(rig, radio, b"after") == b"after"


async def test_a_chip_that_was_reset_behind_our_back_is_set_up_again(rig: Rig) -> None:
    async with opened(rig) as radio:
        with rig.server.lock:
            rig.chip.set_reset(True)
            rig.chip.set_reset(False)
        await until(rig, lambda: radio.stats().gauges["resets_soft"] == 1 and rig.chip.receiving)
        await until(rig, lambda: "last reset" in radio.stats().note)
        assert await heard(rig, radio, b"after") == b"after"


@pytest.mark.parametrize(("cure", "resets"), [("soft_reset", (1, 0)), ("hard_reset", (1, 1))])
async def test_dead_receivers_are_found_by_their_silence_against_history(
    rig: Rig, cure: str, resets: tuple[int, int]
) -> None:
    async with opened(rig, silence_s=5.0) as radio:
        for n in range(25):
            assert await heard(rig, radio, bytes((n,))) == bytes((n,))
        rig.set_fault("rx_dead", cure)
        await until(rig, lambda: rig.chip.faults.rx_dead is None)
        await until(rig, lambda: "nothing received for" in radio.stats().note and rig.chip.receiving)
        gauges = radio.stats().gauges
        assert (int(gauges["resets_soft"]), int(gauges["resets_hard"])) == resets
        assert await heard(rig, radio, b"after") == b"after"


async def test_frames_already_read_outlive_a_reset_and_what_waits_to_be_sent_is_refused(rig: Rig) -> None:
    async with opened(rig, region="EU868") as radio:
        rig.hear(b"early")
        await until(rig, lambda: radio.stats().frames.get("ok") == 1)
        now_us = (await anext(radio.frames())).lora.counter_us  # type: ignore[union-attr]
        rig.hear(b"kept")
        await until(rig, lambda: radio.stats().frames.get("ok") == 2)
        downlink = LoraDownlink(
            frequency_hz=869_525_000,
            spreading_factor=7,
            bandwidth_hz=125_000,
            counter_us=now_us + 300_000_000,
        )
        asked = TxRequest(payload=b"x", timeout_s=600, lora=downlink)
        waiting = asyncio.create_task(radio.transmit(asked))
        await asyncio.sleep(0)
        rig.set_fault("agc_stuck", "soft_reset")
        with pytest.raises(TransmitRefused, match="the concentrator is reset: gain control status") as caught:
            await waiting
        assert caught.value.reason == "no_route"
        await until(rig, lambda: "last reset" in radio.stats().note)
        assert (await anext(radio.frames())).payload == b"kept"
        assert radio.stats().gauges["sub_band_869400_airtime_used_s"] == 0


async def test_the_counters_line_goes_on_over_a_reset(rig: Rig) -> None:
    async with opened(rig) as radio:
        rig.hear(b"before")
        before = await anext(radio.frames())
        began_s = rig.clock.monotonic()
        rig.set_fault("frozen_counter", "soft_reset")
        await until(rig, lambda: "last reset" in radio.stats().note)
        rig.hear(b"after")
        after = await anext(radio.frames())
        passed_us = (rig.clock.monotonic() - began_s) * 1e6
        assert before.lora is not None
        assert after.lora is not None
        assert 0 < after.lora.counter_us - before.lora.counter_us < passed_us + 2_000_000


async def test_a_pulse_read_while_the_chip_is_reset_does_not_bend_the_counters_line(tmp_path: Path) -> None:
    """A fresh counter's value, placed by the old one's offset, once moved the line by up to half an hour."""
    with Rig(tmp_path, rate=RATE, counter_at_start=3_000_000_000) as rig:
        async with opened(rig) as radio:
            began_us, began_s = await radio.latched_counter_us(), rig.clock.monotonic()
            rig.chip.counter_at_start = 0
            rig.set_fault("agc_stuck", "hard_reset")
            while "last reset" not in radio.stats().note:
                with suppress(DriverLost):
                    await radio.latched_counter_us()
                await rig.clock.sleep(0.02)
            rig.hear(b"after")
            frame = await anext(radio.frames())
            passed_us = (rig.clock.monotonic() - began_s) * 1e6
            assert frame.lora is not None
            assert 0 < frame.lora.counter_us - began_us < passed_us + 2_000_000


@pytest.mark.parametrize(
    ("fault", "value", "words"),
    [
        ("missing_chip", True, "no concentrator answers: every byte read is 0xff"),
        ("stuck_miso", 0x42, "chip version reads 66, expected 103"),
        ("stuck_miso", 0x00, "no concentrator answers: every byte read is 0x00"),
    ],
)
async def test_the_first_word_of_a_chip_that_vanished_is_that_it_vanished(
    rig: Rig, caplog: pytest.LogCaptureFixture, fault: str, value: object, words: str
) -> None:
    async with opened(rig) as radio:
        rig.set_fault(fault, value)
        with pytest.raises(DriverLost, match=words):
            await anext(radio.frames())
    (first, *_) = [record.getMessage() for record in caplog.records if "reset" in record.getMessage()]
    assert words in first


async def test_opening_that_is_called_off_at_any_moment_leaves_the_board_free_and_out_of_reset(
    rig: Rig,
) -> None:
    for moment_s in (0.0, 0.05, 0.15, 0.25, 0.5, 2.0):
        opening = asyncio.create_task(Sx1301Driver("hill", rig.settings(), clock=rig.clock).__aenter__())
        await rig.clock.sleep(moment_s)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        assert opening.cancelled()
        assert not rig.chip.held_in_reset
        await until(rig, lambda: not rig.server.connections)
    async with opened(rig) as radio:
        assert await heard(rig, radio, b"here") == b"here"


@pytest.mark.parametrize(
    ("fault", "value", "words"),
    [
        ("missing_chip", True, "no concentrator answers"),
        ("agc_stuck", "never", "gain control status 0x00"),
        ("spi_gone", True, "SPI device vanished"),
    ],
)
async def test_what_no_reset_cures_is_driver_lost_and_opening_again_works_when_it_is_over(
    rig: Rig, fault: str, value: object, words: str
) -> None:
    async with opened(rig) as radio:
        rig.hear(b"read before")
        await until(rig, lambda: radio.stats().frames.get("ok") == 1)
        rig.set_fault(fault, value)
        await until(rig, lambda: words in radio.stats().note)
        frames = radio.frames()
        assert (await anext(frames)).payload == b"read before"
        with pytest.raises(DriverLost, match=words):
            await anext(frames)
    rig.set_fault(fault, None)
    async with opened(rig) as radio:
        assert await heard(rig, radio, b"again") == b"again"


async def test_bit_errors_at_1e_5_lose_frames_at_most_and_never_the_radio(rig: Rig) -> None:
    async with opened(rig, silence_s=3600) as radio:
        rig.set_fault("bit_error_rate", 1e-5)
        for n in range(200):
            rig.hear(n.to_bytes(2, "big"))
            await rig.clock.sleep(0.05)
        rig.set_fault("bit_error_rate", None)
        rig.hear(b"end")
        heard_good = [(await anext(radio.frames())).payload]
        while heard_good[-1] != b"end":
            heard_good.append((await anext(radio.frames())).payload)
        assert len(heard_good) > 180
        assert rig.chip.receiving


async def test_opening_through_bit_errors_at_1e_5_succeeds_or_names_them(rig: Rig) -> None:
    rig.set_fault("bit_error_rate", 1e-5)
    try:
        async with opened(rig):
            assert rig.chip.receiving
    except DriverLost as error:
        assert "noisy SPI" in str(error)
