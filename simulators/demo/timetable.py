"""What happens when, as shares of the time that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

SETTLE_S = 40.0
"""After the last payment's time: wallets in mid-transfer, the reconnect, the backlog. It ends when all is
acked, mostly within seconds; what is not settled by then is reported as it stands."""

PROOFS_S = 20.0


@dataclass(frozen=True, slots=True)
class Timetable:
    """Seconds from the first payment on."""

    seconds: float

    @property
    def cheat(self) -> float:
        """Somebody pays twice with the same nonce."""
        return 0.15 * self.seconds

    @property
    def cut(self) -> float:
        return 0.3 * self.seconds

    @property
    def mend(self) -> float:
        return 0.6 * self.seconds

    @property
    def stop(self) -> float:
        """The last payment; each wallet then hands over what is left."""
        return 0.8 * self.seconds

    @property
    def deadline(self) -> float:
        return self.seconds + SETTLE_S
