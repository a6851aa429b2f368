"""Settings that the coordinator applied over the gateway's own: which it may, and how a trial of them ends.

none, or confirmed ── begin ──→ trial ── confirm ──→ confirmed
                                  └── roll back, a second start in the trial ──→ what was before
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Settings = Mapping[str, Any]

ALLOWED = frozenset(
    {
        "logging.level",
        "limits",
        "sync",
        "storage.max_snapshots",
        "storage.retention_days",
        "storage.min_free_mb",
        "network.ws_url",
        "network.reconnect_interval",
        "network.budget",
        "lora.spreading_factor",
        "lora.bandwidth",
        "lora.tx_power",
        "lora.beacon_seconds",
        "gsm.per_minute",
        "gsm.per_day",
        "gsm.answers_per_hour",
        "gsm.last_way_home",
        "backup.interval_seconds",
        "backup.keep_days",
        "backup.monthly_mb",
        "carry.max_megabytes",
    }
)
"""Each with all below it. No key, no path, no door, no driver, and not who the gateway is: a mistake there a
rollback cannot take back. The link's address may change, for a link to the pinned key must follow."""

MAX_DEPTH = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Settings that are in force until they are confirmed. ``score`` is the health they must reach again;
    ``started``: the daemon runs with them, so a start that finds this is one that follows a failure."""

    version: int
    settings: Settings
    score: int
    started: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """What is on disk. ``version`` 0: nothing was ever confirmed. ``tried`` is the newest version that was
    begun; ``last`` says what came of it."""

    version: int = 0
    settings: Settings = field(default_factory=dict)
    tried: int = 0
    last: str = ""
    trial: Trial | None = None

    @property
    def in_force(self) -> Settings:
        return self.settings if self.trial is None else self.trial.settings

    def begun(self, trial: Trial) -> Applied:
        return replace(self, trial=trial, tried=trial.version, last=f"version {trial.version} is on trial")

    def started(self) -> Applied:
        """The daemon starts with the trial."""
        return self if self.trial is None else replace(self, trial=replace(self.trial, started=True))

    def confirmed(self) -> Applied:
        trial = self.trial
        if trial is None:
            return self
        last = f"version {trial.version} is in force"
        return replace(self, version=trial.version, settings=trial.settings, last=last, trial=None)

    def rolled_back(self, why: str) -> Applied:
        if self.trial is None:
            return self
        return replace(self, last=f"version {self.trial.version} was rolled back: {why}", trial=None)

    def dropped(self) -> Applied:
        """A person at the gateway wants its own configuration."""
        return Applied(tried=self.tried, last="dropped at the gateway")


def not_allowed(settings: Settings) -> list[str]:
    """Dotted paths that the coordinator may not set. Raises ValueError where they nest too deep."""
    return sorted(path for path in _leaves(settings) if not any(_is_below(path, one) for one in ALLOWED))


def _is_below(path: str, above: str) -> bool:
    return path == above or path.startswith(f"{above}.")


def overlaid(values: Settings, over: Settings) -> dict[str, Any]:
    """``over`` wins; mappings are joined, everything else is replaced."""
    joined = dict(values)
    for name, value in over.items():
        below = joined.get(name)
        both = isinstance(value, Mapping)
        joined[name] = overlaid(below if isinstance(below, Mapping) else {}, value) if both else value
    return joined


def _leaves(settings: Settings, path: str = "", depth: int = 0) -> Iterator[str]:
    if depth > MAX_DEPTH:
        raise ValueError(f"settings nested deeper than {MAX_DEPTH}")
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, f"{path}{name}.", depth + 1)
        else:
            yield f"{path}{name}"
