"""Where backups lie and how they are sealed: the one place that opens a target or a backup key."""

from __future__ import annotations

from gateway.backup.sealing import BackupKey, Seal, make_backup_key, read_key, read_recipient
from gateway.backup.target import Directory, Listed, Target, TargetFailed, TargetMissing

__all__ = [
    "BackupKey",
    "Directory",
    "Listed",
    "Seal",
    "Target",
    "TargetFailed",
    "TargetMissing",
    "make_backup_key",
    "read_key",
    "read_recipient",
]
