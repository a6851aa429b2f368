"""What another configuration changes: what can be taken while running, and what waits for a restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config.model import Config

TAKEN_WHILE_RUNNING = frozenset(
    {
        "logging.level",
        "storage.max_snapshots",
        "storage.retention_days",
        "limits.max_upload_bytes",
        "limits.blocked_devices",
        *(
            f"limits.{whose}.{what}"
            for whose in ("radio", "peer", "device")
            for what in ("messages_per_minute", "bytes_per_minute")
        ),
    }
)


@dataclass(frozen=True, slots=True)
class Changes:
    """Dotted paths of settings whose values differ."""

    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def changes(running: Config, started: Config, new: Config) -> Changes:
    """``taken`` against what runs now; ``waiting`` against what the daemon was started with."""
    taken = [path for path in _differing(running, new) if path in TAKEN_WHILE_RUNNING]
    waiting = [path for path in _differing(started, new) if path not in TAKEN_WHILE_RUNNING]
    return Changes(tuple(taken), tuple(waiting))


def _differing(one: Config, other: Config) -> list[str]:
    before, after = dict(_leaves(dict(one))), dict(_leaves(dict(other)))
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        inner = dict(value) if hasattr(type(value), "model_fields") else value
        if isinstance(inner, Mapping):
            yield from _leaves(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}", inner
