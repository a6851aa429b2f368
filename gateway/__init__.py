"""The off-grid gateway: signed wallet snapshots in by radio, provable evidence out to a coordinator."""

from __future__ import annotations

__version__ = "0.1.0"
