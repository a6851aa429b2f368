"""The two radios behind the SPI master, and the IF chains that the registers make of them."""

from __future__ import annotations

from simulators.concentrator.faults import Faults
from simulators.concentrator.processors import Processors
from simulators.concentrator.receiver import Chain
from simulators.concentrator.registers import RegisterFile
from simulators.concentrator.sx1257 import Sx1257


class Frontend:
    """Radios A and B."""

    def __init__(self, registers: RegisterFile, processors: Processors, faults: Faults) -> None:
        self._registers, self._processors, self._faults = registers, processors, faults
        self._radios = (Sx1257("A"), Sx1257("B"))

    def power(self, _before: int, value: int) -> None:
        """Register 43 of page 2: enable and reset pins."""
        for n, radio in enumerate(self._radios):
            radio.enabled = bool(value >> n & 1)
            radio.in_reset = bool(value >> 2 & 1)
            if radio.in_reset:
                radio.reset()

    def select_a(self, before: int, value: int) -> None:
        """Chip select of radio A."""
        self._select(0, before, value)

    def select_b(self, before: int, value: int) -> None:
        """Chip select of radio B."""
        self._select(1, before, value)

    def _select(self, n: int, before: int, value: int) -> None:
        """When it rises, the radio takes address and data."""
        if before & 1 or not value & 1:
            return
        if self._processors.own_the_radios:
            self._processors.complain("radio SPI while the gain control owns it")
            return
        radio, base = self._radios[n], (33, 38)[n]
        radio.lock_fails = radio.name in self._faults.pll
        answer = radio.exchange(self._registers.get(2, base + 2), self._registers.get(2, base))
        if answer is not None:
            self._registers.set(2, base + 1, answer)

    def chains(self) -> list[Chain]:
        """The IF chains as the registers have them now."""
        get = self._registers.get
        enabled, select = get(None, 16), self._processors.agc.radio_select or 0
        found = []
        if enabled >> 1 & 1:
            for n in range(8):
                mask = get(0, 65 + n)
                factors = frozenset(sf for sf in range(7, 13) if mask >> (sf - 6) & 1)
                found.append(self._chain(n, select >> n & 1, 125_000, factors))
        if enabled & 1:
            width = 125_000 << (get(1, 58) & 0x03)
            found.append(self._chain(8, get(1, 58) >> 2 & 1, width, frozenset({get(1, 60) & 0x0F})))
        if enabled >> 2 & 1:
            found.append(self._chain(9, get(1, 65) >> 7, 125_000, frozenset({0})))
        return [chain for chain in found if chain is not None]

    def _chain(self, n: int, radio: int, width: int, factors: frozenset[int]) -> Chain | None:
        if not self._radios[radio].locked:
            return None
        raw = self._registers.get(0, 36 + 2 * n) | self._registers.get(0, 37 + 2 * n) << 8
        offset = (raw & 0x1FFF) - ((raw & 0x1000) << 1)
        return Chain(n, self._radios[radio].frequency_hz + offset * 15_625 / 32, width, factors)
