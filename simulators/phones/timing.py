"""How fast a connection on the air runs; numbers only."""

from __future__ import annotations

from dataclasses import dataclass

T_IFS_S = 150e-6  # Vol 6 Part B 4.1.1
LL_OVERHEAD = {"1M": (10, 8e-6), "2M": (11, 4e-6)}  # preamble, access address, header, CRC; seconds a byte


@dataclass(frozen=True)
class RadioTiming:
    """How a connection runs: the phone, as central, decides."""

    instant: bool = True
    interval_s: float = 0.030
    packets_per_event: int = 6
    phy: str = "1M"
    ll_payload: int = 251  # 27 without data length extension
    supervision_s: float = 2.0
    loss: float = 0.0  # of packet pairs, sent again

    def pair_s(self, down: int, up: int) -> float:
        """A packet each way, with the pauses."""
        overhead, byte_s = LL_OVERHEAD[self.phy]
        return (2 * overhead + down + up) * byte_s + 2 * T_IFS_S

    def capacity_bytes_per_s(self) -> float:
        """LL payload one way, the other way empty: what the link can carry at most."""
        pair = self.pair_s(self.ll_payload, 0)
        pairs = min(self.packets_per_event, int(self.interval_s / pair))
        return pairs * self.ll_payload / self.interval_s
