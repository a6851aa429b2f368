"""SX1257 front-end radio behind the SX1301's SPI master: registers and PLL."""

from __future__ import annotations

READ_ONLY = {0x07, 0x11}


class Sx1257:
    """One radio. It takes a byte each time its chip select rises."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.enabled = False
        self.in_reset = False
        self.lock_fails = False
        self._registers = bytearray(128)

    def reset(self) -> None:
        """Reset values; the enable pin is the chip's, not ours."""
        self._registers = bytearray(128)

    def exchange(self, address: int, data: int) -> int | None:
        """One access; the value read, None for a write or while the radio is off."""
        if not self.enabled or self.in_reset:
            return None
        register = address & 0x7F
        if not address & 0x80:
            return 0x02 if register == 0x11 and self.locked else self._registers[register]
        if register not in READ_ONLY:
            self._registers[register] = data
        return None

    @property
    def locked(self) -> bool:
        """Receive PLL: on, in band, not made to fail."""
        receiving = self._registers[0] & 0x03 == 0x03
        return self.enabled and receiving and not self.lock_fails and 862e6 <= self.frequency_hz <= 1020e6

    @property
    def frequency_hz(self) -> float:
        """Receive centre."""
        word = int.from_bytes(self._registers[1:4], "big")
        return word * 32e6 / (1 << 19)
