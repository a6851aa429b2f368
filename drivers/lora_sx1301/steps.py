"""What a sequence asks of the bus: SPI frames to exchange and waits; no I/O.

A sequence is a generator. It yields the MOSI bytes of one chip-select assertion and is sent the MISO bytes
of equal length; or it yields a :class:`Wait` and is sent ``b""``. Whoever drives it owns the bus, the clock
and the lock, so the same code runs on hardware, on the register model and against a recorded trace.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Wait:
    """Leave the bus alone for this long; the lock is kept."""

    seconds: float


Steps: TypeAlias = Generator[bytes | Wait, bytes, T]
