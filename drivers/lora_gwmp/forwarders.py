"""Who forwards to us: EUIs, the address to answer to, and when each was last heard; no socket."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from drivers.lora_gwmp.packets import Stat

Address = tuple[str, int]

GONE_AFTER_S = 60.0  # six of the forwarder's default keep-alives
REMEMBERED_TOKENS = 64  # of each forwarder, to know a datagram that the network doubled
DOUBLED_WITHIN_S = 10.0


@dataclass(slots=True)
class Forwarder:
    """One packet forwarder. ``down`` is where its newest PULL_DATA came from; None: none came yet."""

    eui: bytes
    heard_at: float
    down: Address | None = None
    pulled_at: float = float("-inf")
    stat: Stat | None = None
    tokens: OrderedDict[tuple[int, bytes], float] = field(default_factory=OrderedDict)

    @property
    def name(self) -> str:
        return self.eui.hex()

    def reachable(self, now: float) -> bool:
        """Whether a downlink may be handed to it."""
        return self.down is not None and now - self.pulled_at <= GONE_AFTER_S

    def doubled(self, token: int, digest: bytes, now: float) -> bool:
        """Whether this datagram came a moment ago; equal tokens alone are chance, for they have 16 bits."""
        seen = self.tokens.pop((token, digest), float("-inf"))
        self.tokens[(token, digest)] = now
        while len(self.tokens) > REMEMBERED_TOKENS:
            self.tokens.popitem(last=False)
        return now - seen <= DOUBLED_WITHIN_S


class Forwarders:
    """The bounded table of them. When it is full a new one takes the place of one gone silent, or none."""

    def __init__(self, allowed: frozenset[bytes], limit: int) -> None:
        self._allowed = allowed
        self._limit = limit
        self._by_eui: dict[bytes, Forwarder] = {}

    def __len__(self) -> int:
        return len(self._by_eui)

    def get(self, eui: bytes) -> Forwarder | None:
        return self._by_eui.get(eui)

    def permits(self, eui: bytes) -> bool:
        return not self._allowed or eui in self._allowed

    def heard(self, eui: bytes, now: float) -> Forwarder | None:
        """The forwarder that speaks; None when there is no room for one more."""
        forwarder = self._by_eui.get(eui)
        if forwarder is None:
            if len(self._by_eui) >= self._limit and not self._make_room(now):
                return None
            forwarder = self._by_eui[eui] = Forwarder(eui, now)
        forwarder.heard_at = now
        return forwarder

    def reachable(self, now: float) -> list[Forwarder]:
        return [forwarder for forwarder in self._by_eui.values() if forwarder.reachable(now)]

    def gone(self, now: float) -> list[Forwarder]:
        """Those that once pulled and have been silent for :data:`GONE_AFTER_S`."""
        return [one for one in self._by_eui.values() if one.down is not None and not one.reachable(now)]

    def acknowledged_percent(self) -> float:
        """The worst share of their datagrams that forwarders saw acknowledged by us."""
        shares = [one.stat.acknowledged_percent for one in self._by_eui.values() if one.stat is not None]
        return min((share for share in shares if share is not None), default=100.0)

    def _make_room(self, now: float) -> bool:
        oldest = min(self._by_eui.values(), key=lambda one: one.heard_at)
        if now - oldest.heard_at <= GONE_AFTER_S:
            return False
        del self._by_eui[oldest.eui]
        return True
