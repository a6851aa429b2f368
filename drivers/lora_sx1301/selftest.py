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
from drivers.lora_sx1301.firmware import Firmware
from drivers.lora_sx1301.images import load_firmware
from drivers.lora_sx1301.rivals import rivals
from drivers.lora_sx1301.settings import Settings
from drivers.lora_sx1301.start import SEAT
from drivers.lora_sx1301.watchdog import judge

COUNTED_S = 1.0  # between two looks at the counter

# What a start goes through, in order, by the part that a failure names.
STEPS = ("version", "spi", "pll", "calibration", "firmware")
WIRE_STEPS = STEPS[:2]
NAMES = {
    "version": "version",
    "spi": "burst",
    "pll": "PLL",
    "calibration": "calibration",
    "firmware": "microcontrollers",
}
FIXES = {
    "bus": "seat the board and see what the kernel says (sudo dmesg | tail); where another program holds the "
    "bus, stop that; where the board is simulated, start its simulator",
    "chip": SEAT,
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
    where = f"in {settings.firmware}"
    try:
        firmware = await asyncio.to_thread(load_firmware, settings.firmware, settings.firmware_sha256)
    except DriverConfigError as error:
        firmware = None
        yield _failed("firmware", error, error.fix)
    else:
        yield Check("firmware", "pass", f"three images {where}, each with its digest")
    for rival in await asyncio.to_thread(rivals, settings.spi):
        yield Check("holders", "warn", f"{rival} runs and may be driving the same chip", rival.remedy)
    chip = Concentrator(settings, clock)
    try:
        async for check in _of_the_board(chip, settings, clock, firmware):
            yield check
    finally:
        await chip.close()


def _failed(name: str, error: DriverError, fix: str) -> Check:
    """What an error says, less the fix, which has its own place."""
    return Check(name, "fail", str(error).removesuffix(f"; {fix}"), fix)


async def _of_the_board(
    chip: Concentrator, settings: Settings, clock: Clock, firmware: Firmware | None
) -> AsyncIterator[Check]:
    try:
        await chip.open()
        await chip.look_for_chip()  # its answer is judged below; here only whether bytes can be exchanged
    except DriverConfigError as error:
        yield _failed("reset" if chip.on_the_bus else "SPI", error, error.fix)
        return
    except DriverError as error:
        yield Check("SPI", "fail", str(error), FIXES["bus"])
        return
    yield Check("SPI", "pass", f"{settings.spi} is open, and ours alone")
    if settings.reset == "none":
        fix = "set the option reset to the line's number, such as gpio:17"
        yield Check("reset", "warn", "no reset line: a hung chip cannot be helped", fix)
    else:
        yield Check("reset", "pass", f"{settings.reset} is held, low, and will be pulsed")
    async for check in _of_the_start(chip, settings, firmware):
        yield check
    if chip.calibration is not None:
        yield await _of_the_counter(chip, clock)


async def _of_the_start(
    chip: Concentrator, settings: Settings, firmware: Firmware | None
) -> AsyncIterator[Check]:
    """A start tells where it failed; the steps before that were passed. Without firmware it ends early."""
    failure: DriverError | None = None
    try:
        await (chip.try_wire() if firmware is None else chip.start(firmware))
    except DriverError as error:
        failure = error
    seen = _Seen(settings, chip.clock_hz)
    for step in WIRE_STEPS if firmware is None else STEPS:
        if failure is not None and step == _step(failure):
            yield _failed(NAMES[step], failure, FIXES[_part(failure)])
            return
        if failure is None or _part(failure) != "bus":
            yield _passed(step, seen(step), chip, settings)
    if failure is not None:  # no step of the start: the bus went away under it
        yield Check("bus", "fail", str(failure), FIXES["bus"])


def _part(failure: DriverError) -> str:
    """Of the board, as :class:`StartFailure` calls it; ``bus`` where the device itself went."""
    cause = failure.__cause__
    return cause.part if isinstance(cause, StartFailure) else "bus"


def _step(failure: DriverError) -> str:
    """The step that the failing part belongs to; the calibration image is a microcontroller's too."""
    part = _part(failure)
    if part == "firmware" and str(failure).startswith("calibration"):
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
