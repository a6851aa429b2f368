"""The two microcontrollers as the host sees them: program memory port, reset, mailbox, hand-over."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulators.concentrator.faults import Faults
from simulators.concentrator.mcu import Agc, Calibrator, Mcu
from simulators.concentrator.registers import RegisterFile


class Processors:
    """Arbiter (0) and gain control (1). Methods that take two values are acted on by a register write."""

    def __init__(
        self,
        registers: RegisterFile,
        faults: Faults,
        sha256: Mapping[str, str],
        clock: Callable[[], int],
        complain: Callable[[str], None],
    ) -> None:
        self.agc = Agc()
        self.complain = complain
        self._registers, self._faults, self._sha256, self._clock = registers, faults, sha256, clock
        self._mcus = (Mcu(0), Mcu(1))
        self._calibrator = Calibrator()
        self._calibration_status = 0
        self._prom_at = self._prom_latch = 0

    @property
    def sending_works(self) -> bool:
        """The gain control runs and has its table."""
        return self._mcus[1].running == "agc" and self.agc.running

    @property
    def receiving(self) -> bool:
        """Both run: the start went all the way."""
        return self._mcus[0].running == "arb" and self.sending_works

    @property
    def own_the_radios(self) -> bool:
        """The gain control runs and the host did not take the radios back."""
        return self._mcus[1].running == "agc" and not self._registers.get(0, 105) >> 1 & 1

    # -- what is read

    def status(self) -> int:
        """Register 32."""
        running = self._mcus[1].running
        if self._faults.agc_stuck and running == "agc":
            return 0x00
        return {"agc": self.agc.status, "cal": self._calibration_status}.get(running or "", 0)

    def control_value(self) -> int:
        """Register 106 of page 0: reset and mux bits as written, corruption flags as found."""
        flags = sum(mcu.corrupted << 4 + slot for slot, mcu in enumerate(self._mcus))
        return self._registers.get(0, 106) & 0x0F | flags

    def arbiter_ram(self) -> int:
        """The byte that register 80 points at."""
        return self._mcus[0].ram[self._registers.get(2, 80)]

    def gain_ram(self) -> int:
        """The byte that register 81 points at."""
        return self._mcus[1].ram[self._registers.get(2, 81)]

    # -- program memory

    def point(self, _before: int, value: int) -> None:
        """Register 9."""
        self._prom_at = value

    def _reachable(self) -> list[Mcu]:
        """The MCUs whose memory the host reaches: mux to host, held in reset."""
        control = self._registers.get(0, 106)
        reachable = [mcu for mcu in self._mcus if not control >> 2 + mcu.slot & 1]
        if not reachable or any(not control >> mcu.slot & 1 for mcu in reachable):
            self.complain("program memory accessed outside reset")
            return []
        return reachable

    def write_memory(self, _before: int, byte: int) -> None:
        """Register 10."""
        wrong = self._faults.corrupt_firmware == self._prom_at
        for mcu in self._reachable():
            mcu.memory[self._prom_at] = byte ^ 0x01 if wrong else byte
        self._advance()
        self._prom_latch = byte

    def read_memory(self) -> int:
        """Memory is one read behind: the first byte after a write is the one written last."""
        reachable = self._reachable()
        byte, self._prom_latch = self._prom_latch, reachable[-1].memory[self._prom_at] if reachable else 0
        self._advance()
        return byte

    def _advance(self) -> None:
        self._prom_at = (self._prom_at + 1) % len(self._mcus[0].memory)

    # -- running

    def control(self, before: int, value: int) -> None:
        """Register 106 of page 0: an MCU starts when its reset bit falls."""
        for mcu in self._mcus:
            was_held, held = before >> mcu.slot & 1, value >> mcu.slot & 1
            if held and not was_held:
                mcu.halt()
            if was_held and not held:
                self._release(mcu, value)

    def _release(self, mcu: Mcu, control: int) -> None:
        if not control >> 2 + mcu.slot & 1:
            self.complain(f"MCU {mcu.slot} released while the host has its memory")
        elif not self._registers.clocked:
            self.complain(f"MCU {mcu.slot} released with its clock gated")
        else:
            mcu.release(self._sha256, self.complain)
            if mcu.running == "agc":
                self.agc = Agc()

    def hand_over(self, before: int, value: int) -> None:
        """Register 127: 0 gives the registers to the calibration image, 1 takes them back."""
        calibrating = self._mcus[1].running == "cal"
        if before & 1 and not value & 1:
            if not calibrating or self._registers.page != 3:
                self.complain("registers handed over to no calibration")
                return
            self._calibrator.begin(self._clock(), self._registers.get(0, 35))
        elif not before & 1 and value & 1 and calibrating:
            self._calibration_status = self._calibrator.finish(
                self._clock(), self._mcus[1].ram, self._faults.calibration, self.complain
            )

    def post(self, _before: int, value: int) -> None:
        """Register 35 of page 0: the mailbox, while the gain control starts."""
        if self._mcus[1].running == "agc":
            self.agc.post(value, self.complain)
