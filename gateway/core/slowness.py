"""Which parts took longer than they may: counted each time, told once an hour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TELL_EVERY_S = 3600.0


@dataclass(frozen=True, slots=True)
class Slow:
    """What an hour's line says; ``times`` since the one before."""

    part: str
    bound_s: float
    longest_s: float
    times: int


@dataclass(slots=True)
class _Part:
    count: int = 0
    untold: int = 0
    longest_s: float = 0.0
    told_at: float | None = None


class Slowness:
    """``bounds``: of each part the seconds that it may take. Owned by one task; ``now`` is monotonic."""

    def __init__(self, bounds: Mapping[str, float]) -> None:
        self._bounds = bounds
        self._parts = {name: _Part() for name in bounds}

    @property
    def counts(self) -> Mapping[str, int]:
        """How often each was slow."""
        return {name: part.count for name, part in self._parts.items()}

    def took(self, name: str, seconds: float, now: float) -> Slow | None:
        """One measurement; what is to be told, where it is time to tell."""
        part, bound = self._parts[name], self._bounds[name]
        if seconds <= bound:
            return None
        part.count += 1
        part.untold += 1
        part.longest_s = max(part.longest_s, seconds)
        if part.told_at is not None and now - part.told_at < TELL_EVERY_S:
            return None
        told = Slow(name, bound, part.longest_s, part.untold)
        part.told_at, part.untold, part.longest_s = now, 0, 0.0
        return told
