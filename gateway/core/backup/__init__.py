"""A gateway's backup: ranges of its log as objects that prove themselves; docs/protocol/backup.md."""

from __future__ import annotations

from gateway.core.backup.names import Name, chain, gap, mergeable, read_name, superseded
from gateway.core.backup.ranges import (
    BackupRefused,
    Header,
    Past,
    Range,
    Remains,
    leaf_hashes,
    logged,
    proven,
    read_range,
    write_range,
)

__all__ = [
    "BackupRefused",
    "Header",
    "Name",
    "Past",
    "Range",
    "Remains",
    "chain",
    "gap",
    "leaf_hashes",
    "logged",
    "mergeable",
    "proven",
    "read_name",
    "read_range",
    "superseded",
    "write_range",
]
