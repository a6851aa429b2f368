"""Faults that can be switched on and off while the model runs."""

from __future__ import annotations

import random
from dataclasses import dataclass, fields
from typing import Any, Literal

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
        """Set one by name; None makes it healthy. KeyError for an unknown name."""
        known = {field.name: field.default for field in fields(self)}
        if name not in known:
            raise KeyError(f"no fault {name!r}; there are {', '.join(sorted(known))}")
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
