"""The SX1301's two microcontrollers: loading an image, knowing that it runs; no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from drivers.lora_sx1301 import registers as reg
from drivers.lora_sx1301.failure import StartFailure
from drivers.lora_sx1301.registers import Registers
from drivers.lora_sx1301.steps import Steps

ARB, AGC = 0, 1
FIRMWARE_VERSION_AT = 0x20  # in each MCU's RAM
LOAD_TRIES = 5  # a bit error in 10^5 spoils three loads of four


def load(registers: Registers, mcu: int, image: bytes, name: str) -> Steps[None]:
    """Write an image into an MCU held in reset, read it back, hand the memory over to the MCU."""
    yield from registers.write(reg.MCU_RESET[mcu], 1)
    yield from registers.write(reg.MCU_MUX[mcu], 0)
    wrong: list[set[int]] = []  # where, each time
    for _ in range(LOAD_TRIES):
        yield from registers.write(reg.MCU_PROM_ADDR, 0)
        yield from registers.write_burst(reg.MCU_PROM, image)
        yield from registers.read(reg.MCU_PROM)  # the first read after a write is stale
        back = yield from registers.read_burst(reg.MCU_PROM, len(image))
        wrong.append({at for at in range(len(image)) if back[at] != image[at]})
        if not wrong[-1]:
            yield from registers.write(reg.MCU_MUX[mcu], 1)
            return
    raise _does_not_hold(name, len(image), wrong)


def _does_not_hold(name: str, size: int, wrong: Sequence[set[int]]) -> StartFailure:
    """Noise hits other bytes each time; a damaged memory the same ones."""
    seen = f"{name} firmware reads back wrong in {len(wrong[-1])} of {size} bytes, {len(wrong)} times"
    if all(places == wrong[0] for places in wrong) and len(wrong[0]) < size // 2:
        first = min(wrong[0])
        return StartFailure("firmware", f"{seen}, byte {first} each time: the chip's memory is damaged")
    return StartFailure("spi", f"{seen}: noisy SPI")


def expect_firmware(
    registers: Registers, address: reg.Field, data: reg.Field, expected: int, name: str
) -> Steps[None]:
    yield from registers.write(address, FIRMWARE_VERSION_AT)
    seen = yield from registers.read(data)
    if seen != expected:
        raise StartFailure(
            "firmware", f"{name} firmware reports version {seen}, expected {expected}: it does not run"
        )
