"""What happens when, as shares of the time that was asked for."""

from __future__ import annotations

from dataclasses import dataclass

SETTLE_S = 90.0
"""After the play: wallets in mid-transfer, who send again what was lost. It ends when every wallet is done,
mostly within seconds; what is not done by then is reported as it stands."""

ACKS_S = 30.0
"""After the wallets: the reconnect and the backlog, until the coordinator holds all of the log."""

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

    def leaves(self, number: int, of: int) -> float:
        """From then on one of the handhelds is in no payment: over LoRa the rest takes a while.

        One after the other, as people leave; together, in the same millisecond, they would only collide.
        """
        return (0.4 + 0.25 * number / of) * self.seconds

    @property
    def stop(self) -> float:
        """The last payment; each wallet then hands over what is left."""
        return 0.8 * self.seconds

    @property
    def deadline(self) -> float:
        """No hand-over goes on after this."""
        return self.seconds + SETTLE_S
