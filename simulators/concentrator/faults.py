"""Faults that can be switched on and off while the model runs."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

Cure = Literal["soft_reset", "hard_reset", "never"]


@dataclass(slots=True)
class Faults:
    """None, False or 0 is healthy. A ``Cure`` says what ends the fault by itself."""

    missing_chip: bool = False  # MISO floats high, nothing is taken
    stuck_miso: int | None = None  # every byte read is this
    bit_error_rate: float = 0.0  # of each bit, both ways
    bit_errors_above_hz: int = 0  # only at SPI clocks above this
    spi_gone: bool = False  # the bus itself fails, as a vanished device does
    pll: str = ""  # radios that do not lock: "A", "B", "AB"
    calibration: int | None = None  # status that calibration ends with
    corrupt_firmware: int | None = None  # offset of a byte of program memory that does not hold
    frozen_counter: Cure | None = None
    rx_dead: Cure | None = None
    agc_stuck: Cure | None = None  # the gain control stops answering
    no_pps: bool = False

    def set(self, name: str, value: Any) -> None:
        """Set one by name; None makes it healthy. ValueError for an unknown name or an impossible value."""
        known = {field.name: field.default for field in fields(self)}
        if name not in known:
            raise ValueError(f"no fault {name!r}; there are {', '.join(sorted(known))}")
        if value is not None and not _possible(name, value):
            raise ValueError(f"fault {name!r} cannot be {value!r}")
        setattr(self, name, known[name] if value is None else value)

    def reset(self, kind: Cure) -> None:
        """A reset of this kind happened: what it cures is over."""
        cured = ("soft_reset",) if kind == "soft_reset" else ("soft_reset", "hard_reset")
        for name in ("frozen_counter", "rx_dead", "agc_stuck"):
            if getattr(self, name) in cured:
                setattr(self, name, None)

    def noise(self, data: bytes, clock_hz: int, dice: random.Random) -> bytes:
        """``data`` after a noisy wire; skips ahead geometrically, so that low rates cost nothing."""
        if not self.bit_error_rate or clock_hz <= self.bit_errors_above_hz:
            return data
        noisy = bytearray(data)
        at = -1
        while True:
            at += 1 + int(dice.expovariate(self.bit_error_rate))
            if at >= 8 * len(noisy):
                return bytes(noisy)
            noisy[at >> 3] ^= 1 << (at & 7)


def _possible(name: str, value: Any) -> bool:
    if name in ("frozen_counter", "rx_dead", "agc_stuck"):
        return value in get_args(Cure)
    if name in ("missing_chip", "spi_gone", "no_pps"):
        return isinstance(value, bool)
    if name == "pll":
        return value in ("", "A", "B", "AB")
    if name == "bit_error_rate":
        return type(value) in (int, float) and 0 <= value < 1
    highest = {"stuck_miso": 0xFF, "calibration": 0xFF, "corrupt_firmware": 8191}.get(name, 100_000_000)
    return type(value) is int and 0 <= value <= highest
