"""The register file: values, pages, what resets to what, what cannot be written."""

from __future__ import annotations

Key = tuple[int | None, int]  # page (None: every page), address

RESET_VALUES: dict[Key, int] = {
    (None, 16): 0x00, (None, 17): 0x03, (None, 127): 0x01,
    (0, 33): 0x02, (0, 78): 0x54, (0, 93): 0x09, (0, 95): 0x21, (0, 99): 0x28, (0, 104): 0x78, (0, 105): 0x0E,
    (0, 106): 0x03, (0, 111): 0x07, (0, 112): 0x05, (0, 113): 0x08,
    (1, 36): 0x21, (1, 42): 0x94, (1, 46): 0x21, (1, 53): 0x24, (1, 58): 0x08, (1, 59): 0x38, (1, 60): 0x17,
    (1, 77): 0x09, (2, 43): 0x04, (2, 89): 0x02,
}  # fmt: skip
READ_ONLY: set[Key] = {
    *((None, at) for at in (1, 4, 12, 13, 14, 15, 32, 125, 126)),
    (1, 62),
    *((2, at) for at in (34, 39, 51, 64, 65, 70, 71, 72, 73)),
}
PORTS = {4, 6, 8, 10}  # the address stays, a pointer inside advances


class RegisterFile:
    """Plain storage; whoever gives a register meaning acts beside it."""

    def __init__(self) -> None:
        self.page = 0
        self._values = dict(RESET_VALUES)

    def key(self, address: int) -> Key:
        """Where an address of a frame leads on the current page."""
        return (None if address <= 32 or address >= 125 else self.page, address)

    def get(self, page: int | None, address: int) -> int:
        """The stored byte."""
        return self._values.get((page, address), 0)

    def set(self, page: int | None, address: int, value: int) -> None:
        """Store a byte."""
        self._values[page, address] = value

    @property
    def clocked(self) -> bool:
        """GLOBAL_EN and CLK32M_EN: the modems, MCUs and the counter run."""
        return bool(self.get(None, 16) >> 3 & 1 and self.get(None, 17) & 1)

    @property
    def host_owns(self) -> bool:
        """Whether the host may write: not while the calibration image works."""
        return bool(self.get(None, 127) & 1)
