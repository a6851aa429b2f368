"""A running model with its firmware on disk: what a test, a demo or a benchmark needs of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulators.concentrator.air import Emission, Uplink
from simulators.concentrator.chip import Chip
from simulators.concentrator.images import TEST_IMAGES, TEST_SHA256
from simulators.concentrator.server import ConcentratorServer
from simulators.concentrator.warp import WarpClock


class Rig:
    """A context manager; ``settings()`` are those of a driver that is to reach the model.

    ``rate`` is how fast the model's clock runs; hand the same ``clock`` to the driver.
    """

    def __init__(self, folder: Path, *, rate: float = 1.0, counter_at_start: int = 0) -> None:
        self.clock = WarpClock(rate)
        self.chip = Chip(self.clock.micros, counter_at_start=counter_at_start)
        self.folder = folder
        self.server = ConcentratorServer(self.chip, folder / "sx1301.sock")

    def __enter__(self) -> Rig:
        for name, image in TEST_IMAGES.items():
            (self.folder / f"{name}.bin").write_bytes(image)
        self.server.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.__exit__()

    def settings(self, **more: Any) -> dict[str, Any]:
        """Address and firmware, and what else is given."""
        return {
            "address": f"unix:{self.server.path}",
            "firmware": str(self.folder),
            "firmware_sha256": TEST_SHA256,
            **more,
        }

    def hear(self, payload: bytes, *, frequency_hz: int = 868_100_000, **more: Any) -> int:
        """A frame ends at the antenna now; the chip's counter at that moment. Raises if it is not heard."""
        with self.server.lock:
            at_us = self.clock.micros()
            reason = self.chip.hear(Uplink(frequency_hz=frequency_hz, payload=payload, **more), at_us)
            if reason is not None:
                raise RuntimeError(f"not heard: {reason}")
            return self.chip.counter(at_us)

    def set_fault(self, name: str, value: Any) -> None:
        """Switch a fault on, or off with None."""
        with self.server.lock:
            self.chip.faults.set(name, value)

    def emissions(self) -> list[Emission]:
        """What left the antenna so far."""
        with self.server.lock:
            self.chip.pass_time()
            return list(self.chip.emissions)
