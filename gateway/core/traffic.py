"""Bytes by interface and day, kept over restarts, and the month's budget of those that cost money.

The kernel counts from the boot. So within one boot nothing is lost whenever the daemon ends; what was sent
between the last write and a power cut is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fnmatch import fnmatchcase
from typing import Any

DAYS = 62
"""Kept: this month and the one before, whatever day of the month the contract begins on."""
MAX_INTERFACES = 32
"""Counted; what comes and goes under ever new names beyond that is not."""


class TrafficInvalid(ValueError):
    """What was kept cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """``month_bytes`` of the interfaces whose names match, from ``first_day`` of each month (1 to 28)."""

    month_bytes: int
    interfaces: tuple[str, ...]
    first_day: int = 1

    def covers(self, interface: str) -> bool:
        """Whether its bytes cost money."""
        return any(fnmatchcase(interface, pattern) for pattern in self.interfaces)


class Traffic:
    """Owned by the event loop. ``boot`` names this run of the machine."""

    def __init__(self, boot: str) -> None:
        self._boot = boot
        self._counters: dict[str, int] = {}
        self._days: dict[tuple[date, str], int] = {}

    def observe(self, counters: Mapping[str, tuple[int, int]], now_ms: int) -> None:
        """What the kernel has counted by now; it belongs to today."""
        today = day_of(now_ms)
        for name, both in counters.items():
            if name not in self._counters and len(self._counters) >= MAX_INTERFACES:
                continue
            total, before = sum(both), self._counters.get(name, 0)
            # An interface that was taken out and put back counts from nothing.
            grown = total - before if total >= before else total
            self._counters[name] = total
            if grown:
                self._days[today, name] = self._days.get((today, name), 0) + grown
        self._forget(today)

    def of_day(self, now_ms: int) -> dict[str, int]:
        """Today's bytes by interface."""
        today = day_of(now_ms)
        return {name: size for (day, name), size in self._days.items() if day == today}

    def of_month(self, budget: Budget, now_ms: int) -> int:
        """Bytes that count for the budget since its month began."""
        today = day_of(now_ms)
        begin = today.replace(day=budget.first_day)
        if begin > today:
            begin = (begin.replace(day=1) - timedelta(days=1)).replace(day=budget.first_day)
        counted = ((day, name) for day, name in self._days if begin <= day <= today and budget.covers(name))
        return sum(self._days[one] for one in counted)

    def kept(self) -> dict[str, Any]:
        """What a file holds of it."""
        days = [[day.isoformat(), name, size] for (day, name), size in self._days.items()]
        return {"boot": self._boot, "counters": self._counters, "days": days}

    def restore(self, kept: Any) -> None:
        """Go on from what was kept: in another boot the kernel has begun anew. Raises TrafficInvalid."""
        try:
            rows: Iterable[Any] = kept["days"]
            days = {(date.fromisoformat(day), str(name)): int(size) for day, name, size in rows}
            counters = {str(name): int(total) for name, total in kept["counters"].items()}
            boot = str(kept["boot"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise TrafficInvalid(f"not a record of traffic: {error!r}") from None
        self._days = days
        if boot == self._boot != "unknown":
            self._counters = dict(list(counters.items())[:MAX_INTERFACES])

    def _forget(self, today: date) -> None:
        """Also days that are not yet: a clock that was wrong once must not use up a later month."""
        oldest = today - timedelta(days=DAYS)
        for day, name in [one for one in self._days if not oldest <= one[0] <= today]:
            del self._days[day, name]


def day_of(unix_ms: int) -> date:
    """The day in UTC, in which contracts are hardly ever counted; a few hours more or less of one day."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=unix_ms)).date()
