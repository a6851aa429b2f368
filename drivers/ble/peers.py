"""What each Bluetooth address may bring, and who stays out for a while; no I/O, no clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

MAX_PEERS = 256  # least lately seen forgotten first: addresses change by themselves every 15 minutes


@dataclass(slots=True)
class Bucket:
    """A minute's worth at once, refilled evenly."""

    per_minute: float
    level: float
    at: float

    def take(self, amount: float, now: float) -> bool:
        self.level = min(self.per_minute, self.level + (now - self.at) * self.per_minute / 60)
        self.at = now
        if amount > self.level:
            return False
        self.level -= amount
        return True

    def seconds_until(self, amount: float) -> int:
        """Whole seconds until so much could be taken; at most a minute."""
        missing = min(amount, self.per_minute) - self.level
        return max(1, round(missing * 60 / self.per_minute + 0.5))


@dataclass(slots=True)
class Peer:
    """One address; what it brought counts on over reconnects."""

    messages: Bucket
    bytes: Bucket
    banned_until: float = 0.0


class Peers:
    """All addresses lately seen, bounded."""

    def __init__(self, messages_per_minute: int, bytes_per_minute: int) -> None:
        self._rates = (float(messages_per_minute), float(bytes_per_minute))
        self._peers: OrderedDict[str, Peer] = OrderedDict()

    def __len__(self) -> int:
        return len(self._peers)

    def get(self, address: str, now: float) -> Peer:
        peer = self._peers.pop(address, None)
        if peer is None:
            messages, bytes_ = self._rates
            peer = Peer(Bucket(messages, messages, now), Bucket(bytes_, bytes_, now))
        self._peers[address] = peer
        if len(self._peers) > MAX_PEERS:
            self._peers.popitem(last=False)
        return peer
