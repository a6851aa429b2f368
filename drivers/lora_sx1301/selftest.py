"""The self-test: from the images on disk to a counter that counts, step by step, each with what was seen.

It stops after the first step without which the next make no sense, and leaves the board in reset's care: the
pins are released at the end, whatever happened.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from drivers.base import Check, Clock
from drivers.errors import DriverConfigError, DriverError
from drivers.lora_sx1301.concentrator import SLOW_HZ, Concentrator
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.images import IMPORT_COMMAND, firmware_status, load_firmware
from drivers.lora_sx1301.settings import Settings
from drivers.lora_sx1301.watchdog import judge

COUNTED_S = 1.0  # between two looks at the counter

# What a start goes through, in order, by the part that a failure names.
STEPS = ("version", "spi", "pll", "calibration", "firmware")
NAMES = {
    "version": "version",
    "spi": "burst",
    "pll": "PLL",
    "calibration": "calibration",
    "firmware": "microcontrollers",
}
FIXES = {
    "chip": "seat the board on all 40 pins, power it, and check that its reset line idles low",
    "version": "check that the board carries an SX1301 and that nothing else drives this SPI bus",
    "spi": "shorter SPI wires, a better supply, no other board on the header",
    "pll": "set lora.frequency to the board's band; if it is right, the board's clock or supply is faulty",
    "calibration": "measure the 5 V at the header under load; a weak supply is the usual cause",
    "firmware": "a weak supply or noisy SPI; if it persists the chip is damaged",
    "agc": "a weak supply or noisy SPI; if it persists the chip is damaged",
}


@dataclass(frozen=True, slots=True)
class _Seen:
    """What each step of a start that went well shows."""

    settings: Settings
    clock_hz: int

    def __call__(self, part: str) -> str:
        radios = " and ".join(f"{hz / 1e6:.3f}" for hz in self.settings.board.centre_hz)
        return {
            "version": "an SX1301 answers with version 103",
            "spi": f"2,000 bytes read back as written at {self.clock_hz / 1e6:g} MHz",
            "pll": f"both radios lock, at {radios} MHz",
            "calibration": "finished; image rejection and carrier leakage found",
            "firmware": "all three images run and say their version",
        }[part]


async def self_test(settings: Settings, clock: Clock) -> AsyncIterator[Check]:
    """See :class:`drivers.base.SelfTesting`."""
    problems = [
        f"{status.name}: {status.problem}"
        for status in await asyncio.to_thread(firmware_status, settings.firmware, settings.firmware_sha256)
        if status.problem
    ]
    where = f"in {settings.firmware}"
    if problems:
        yield Check("firmware", "fail", f"{where}: {'; '.join(problems)}", IMPORT_COMMAND)
    else:
        yield Check("firmware", "pass", f"three images {where}, each with its digest")
    chip = Concentrator(settings, clock)
    try:
        async for check in _of_the_board(chip, settings, clock, started=not problems):
            yield check
    finally:
        await chip.close()


async def _of_the_board(
    chip: Concentrator, settings: Settings, clock: Clock, *, started: bool
) -> AsyncIterator[Check]:
    try:
        await chip.open()
    except DriverError as error:
        fix = error.fix if isinstance(error, DriverConfigError) else "load the simulator or the SPI driver"
        name = "reset" if chip.on_the_bus else "SPI"
        yield Check(name, "fail", str(error).removesuffix(f"; {fix}"), fix)
        return
    yield Check("SPI", "pass", f"{settings.spi} is open")
    if settings.reset == "none":
        fix = "set the option reset to the line's number, such as gpio:17"
        yield Check("reset", "warn", "no reset line: a hung chip cannot be helped", fix)
    else:
        yield Check("reset", "pass", f"{settings.reset} is held, low, and will be pulsed")
    if not started:
        return
    async for check in _of_the_start(chip, settings):
        yield check
    if chip.calibration is not None:
        yield await _of_the_counter(chip, clock)


async def _of_the_start(chip: Concentrator, settings: Settings) -> AsyncIterator[Check]:
    """A start tells where it failed; the steps before that were passed."""
    failure: Exception | None = None
    part = ""
    try:
        firmware = await asyncio.to_thread(load_firmware, settings.firmware, settings.firmware_sha256)
        await chip.start(firmware)
    except DriverError as error:
        failure = error
        cause = error.__cause__
        part = cause.part if isinstance(cause, StartFailure) else "spi"
    seen = _Seen(settings, chip.clock_hz)
    failed_at = _step(part, str(failure))
    for step in STEPS:
        if step == failed_at:
            yield Check(NAMES[step], "fail", str(failure), FIXES[part])
            return
        yield _passed(step, seen(step), chip, settings)


def _step(part: str, failure: str) -> str:
    """The step that a failing part belongs to; the calibration image is a microcontroller's too."""
    if part == "firmware" and failure.startswith("calibration"):
        return "calibration"
    return {"chip": "version", "agc": "firmware"}.get(part, part)


def _passed(step: str, seen: str, chip: Concentrator, settings: Settings) -> Check:
    """Passed, perhaps with something to be said about it."""
    warnings = chip.calibration.warnings if chip.calibration is not None else ()
    if step == "calibration" and warnings:
        return Check(NAMES[step], "warn", "; ".join(warnings), FIXES[step])
    if step == "spi" and chip.clock_hz == SLOW_HZ < settings.clock_hz:
        return Check(NAMES[step], "warn", f"{seen}, but not at {settings.clock_hz / 1e6:g} MHz", FIXES[step])
    return Check(NAMES[step], "pass", seen)


async def _of_the_counter(chip: Concentrator, clock: Clock) -> Check:
    try:
        before = await chip.vitals()
        await clock.sleep(COUNTED_S)
        after = await chip.vitals()
    except DriverError as error:
        return Check("counter", "fail", str(error), FIXES["chip"])
    trouble = judge(None, before) or judge(before, after)
    if trouble:
        return Check("counter", "fail", trouble, FIXES["calibration"])
    counted, passed_s = after.counter_us - before.counter_us, after.at_s - before.at_s
    return Check(
        "counter", "pass", f"counted {counted} us in {passed_s:.3f} s of the host; gain control works"
    )
