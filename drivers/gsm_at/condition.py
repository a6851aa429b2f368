"""What a modem said last about itself, as gauges and as a note for people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from drivers.gsm_at.answers import Storage
from drivers.gsm_at.bringup import Abilities

REGISTERED = (1, 5, 6, 7)  # home, roaming, and both for SMS only (TS 27.007 clause 7.2)
DENIED = 3
SIM_GONE = ("+CPIN: NOT INSERTED", "+CPIN: NOT READY", "+SIMCARD: NOT AVAILABLE", "+QSIMSTAT: 1,0")
SIM_HERE = ("+CPIN: READY", "SMS Ready", "SMS DONE", "+QIND: SMS DONE", "+QIND: PB DONE")
FULL = ("+SMSFULL", "+SMS FULL", '+QIND: "smsfull"', "^SMMEMFULL")  # and no more indications
NEARLY_FULL = 0.8


@dataclass(slots=True)
class Condition:
    """Owned by the driver's keeping task. ``registration`` is ``<stat>`` of TS 27.007 clause 7.2."""

    abilities: Abilities | None = None
    port: str = ""
    sim: bool = False
    registration: int | None = None
    signal_dbm: float | None = None
    operator: str = ""

    @property
    def registered(self) -> bool:
        return self.registration in REGISTERED

    def gauges(self, fill: Mapping[str, Storage]) -> dict[str, float]:
        gauges = {"registered": float(self.registered), "sim_ready": float(self.sim)}
        if self.signal_dbm is not None:
            gauges["signal_dbm"] = self.signal_dbm
        for name, storage in fill.items():
            gauges[f"storage_used_percent_{name.lower()}"] = 100 * storage.used / max(1, storage.total)
        return gauges

    def note(self, fill: Mapping[str, Storage], aside: int) -> str:
        """What a person should know; empty when all is well."""
        full = [name for name, one in fill.items() if one.used >= NEARLY_FULL * one.total > 0]
        notes = (
            self._network_note() if self.sim else "no SIM",
            f"storage nearly full: {', '.join(full)}" if full else "",
            f"{aside} messages set aside" if aside else "",
        )
        return "; ".join(note for note in notes if note)

    def _network_note(self) -> str:
        if self.registered:
            return ""
        return "registration denied" if self.registration == DENIED else "not registered"
